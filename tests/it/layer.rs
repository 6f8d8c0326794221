//! The layer by itself, as in somebody else's proxy: a gatekeeper of one's own, and any service behind.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use bytes::Bytes;
use hero_proxy::base::fault::Fault;
use hero_proxy::gate::ForgeAuthLayer;
use hero_proxy::gate::body::Untrailed;
use hero_proxy::gate::verdict::{Answer, Asked, Decision, Gatekeeper, Trial, Verdict};
use hero_proxy::wire::inject::{Injection, TokenHeaders};
use hero_proxy::wire::scrub::{OwnCookies, ScrubRules, Scrubbed};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use http_body::{Body, Frame};
use http_body_util::BodyExt as _;
use tower::{Layer as _, ServiceExt as _};

/// A gatekeeper that lets everybody pass, with a token.
#[derive(Clone, Debug)]
struct Open(Arc<ScrubRules>);

impl Open {
    fn new() -> Self {
        let cookies = OwnCookies {
            session: "__Host-hero_session".to_owned(),
            flow_prefix: "__Host-hero_flow_".to_owned(),
            signed_out: "__Host-hero_signed_out".to_owned(),
        };
        Self(Arc::new(ScrubRules { cookies, extra: Vec::new() }))
    }
}

impl Gatekeeper for Open {
    type Later = Pin<Box<dyn Future<Output = Verdict> + Send>>;

    fn rules(&self) -> &ScrubRules {
        &self.0
    }

    fn believes_peer(&self, _: &Parts) -> bool {
        false
    }

    fn new_request_id(&self) -> HeaderValue {
        HeaderValue::from_static("one")
    }

    fn decide(&self, head: &Parts, _: Scrubbed, _: &mut Asked) -> Decision<Self::Later> {
        let value = HeaderValue::from_static;
        let token = TokenHeaders { token: value("true"), expires: value("9"), scopes: None };
        let verdict = Verdict::Pass(Injection { token: Some(Arc::new(token)), ..Injection::default() });
        if head.uri.path().starts_with("/trial") {
            let trial = Trial::new(move || {
                let token = TokenHeaders { token: value("new"), expires: value("9"), scopes: None };
                let again = Injection { token: Some(Arc::new(token)), ..Injection::default() };
                // A trial of the second try is not begun.
                let endless = Trial::new(|| Box::pin(async { panic!("once and no more") }));
                Box::pin(async { Some(Verdict::PassOnTrial(again, endless)) })
            });
            let Verdict::Pass(injection) = verdict else { unreachable!() };
            let verdict = Verdict::PassOnTrial(injection, trial);
            return match head.uri.path() {
                "/trial/later" => Decision::Later(Box::pin(async { verdict })),
                _ => Decision::Now(verdict),
            };
        }
        match head.uri.path() {
            "/later" => Decision::Later(Box::pin(async { verdict })),
            _ => Decision::Now(verdict),
        }
    }

    fn explain(&self, fault: &Fault, asked: &Asked) -> Answer {
        let mut answer = Answer::new(Bytes::from(format!("{} {}", fault.reason, asked.id())));
        *answer.status_mut() = fault.status;
        answer
    }
}

/// A body of these frames.
#[derive(Default)]
struct Frames(VecDeque<Frame<Bytes>>);

impl Frames {
    fn with(trailers: &[(&'static str, &'static str)]) -> Self {
        let mut map = HeaderMap::new();
        for (name, value) in trailers {
            map.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_static(value));
        }
        let data = Bytes::from_static(b"abc");
        Self([Frame::data(data.clone()), Frame::data(data), Frame::trailers(map)].into())
    }
}

impl Body for Frames {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.pop_front().map(Ok))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_empty()
    }
}

const TRAILERS: [(&str, &str); 10] = [
    ("x-hero-forge-token", "planted"),
    ("X_Hero_User", "planted"),
    ("x-forwarded-user", "planted"),
    ("remote.user", "planted"),
    ("x-request-id", "planted"),
    ("content_length", "planted"),
    ("set-cookie", "__Host-hero_session=planted"),
    ("clear-site-data", "\"*\""),
    ("grpc-status", "0"),
    ("server-timing", "a"),
];

/// Holds: H7.
#[tokio::test]
async fn reserved_names_are_no_trailers_in_either_direction() {
    for path in ["/now", "/later"] {
        let arrived = Arc::new(Mutex::new(None));
        let backend = tower::service_fn({
            let arrived = Arc::clone(&arrived);
            move |request: Request<Untrailed<Frames>>| {
                let arrived = Arc::clone(&arrived);
                async move {
                    let (head, body) = request.into_parts();
                    *arrived.lock().unwrap() = Some((head.headers, body.collect().await?));
                    Ok::<_, Infallible>(Response::new(Frames::with(&TRAILERS)))
                }
            }
        });
        let gate = ForgeAuthLayer::new(Open::new()).layer(backend);
        let request = Request::post(path).header("x-hero-forge-token", "planted").header("te", "trailers");
        let response = gate.oneshot(request.body(Frames::with(&TRAILERS)).unwrap()).await.unwrap();
        let (headers, body) = arrived.lock().unwrap().take().unwrap();
        assert_eq!(headers.get_all("x-hero-forge-token").iter().collect::<Vec<_>>(), ["true"]);
        assert_eq!(body.trailers(), None, "a request's trailers end here");
        assert_eq!(body.to_bytes(), "abcabc");
        let body = response.into_body().collect().await.unwrap();
        let mut names: Vec<_> = body.trailers().unwrap().keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["grpc-status", "server-timing"]);
        assert_eq!(body.to_bytes(), "abcabc");
    }
}

/// A backend that refuses every token, and wants to be asked whether it is ready before each call.
#[derive(Default)]
struct Refuses {
    ready: bool,
    seen: Arc<Mutex<Vec<(HeaderMap, u64)>>>,
}

impl Clone for Refuses {
    fn clone(&self) -> Self {
        Self { ready: false, seen: Arc::clone(&self.seen) }
    }
}

impl tower::Service<Request<Untrailed<Frames>>> for Refuses {
    type Response = Response<Frames>;
    type Error = Infallible;
    type Future = std::future::Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.ready = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Untrailed<Frames>>) -> Self::Future {
        assert!(std::mem::take(&mut self.ready), "called before it was ready");
        let length = request.body().size_hint().lower();
        self.seen.lock().unwrap().push((request.headers().clone(), length));
        let response =
            Response::builder().status(401).header("www-authenticate", "Bearer error=invalid_token");
        std::future::ready(Ok(response.body(Frames::default()).unwrap()))
    }
}

/// Holds: R15.
#[tokio::test]
async fn a_request_on_trial_is_sent_once_more_by_a_ready_service_and_with_nothing_of_the_first() {
    for path in ["/trial", "/trial/later"] {
        for (method, body, expected) in [
            ("GET", Frames::default(), vec!["true", "new"]),
            ("POST", Frames::default(), vec!["true"]),
            ("PUT", Frames::with(&[]), vec!["true"]),
        ] {
            let backend = Refuses::default();
            let seen = Arc::clone(&backend.seen);
            let gate = ForgeAuthLayer::new(Open::new()).layer(backend);
            let request = Request::builder().method(method).uri(path).header("x-hero-forge-token", "planted");
            let response = gate.oneshot(request.body(body).unwrap()).await.unwrap();
            assert_eq!(response.status(), 401, "the backend's answer, the second time too");
            let seen = seen.lock().unwrap();
            let tokens: Vec<_> = seen.iter().map(|(headers, _)| &headers["x-hero-forge-token"]).collect();
            assert_eq!(tokens, expected, "{method} {path}");
            assert!(
                seen.iter().all(|(headers, _)| headers.get_all("x-hero-forge-token").iter().count() == 1)
            );
        }
    }
}

/// Holds: K10.
#[tokio::test]
async fn a_service_that_panics_costs_its_request_and_nothing_else() {
    let backend = tower::service_fn(|request: Request<Untrailed<Frames>>| {
        let fuse = request.headers().get("fuse").and_then(|fuse| fuse.to_str().ok()).map(str::to_owned);
        assert_ne!(fuse.as_deref(), Some("at once"), "hush-hush");
        async move {
            tokio::task::yield_now().await;
            assert_ne!(fuse.as_deref(), Some("late"), "hush-hush");
            Ok::<_, Infallible>(Response::new(Frames::default()))
        }
    });
    let gate = ForgeAuthLayer::new(Open::new()).layer(backend);
    for path in ["/now", "/later"] {
        for (fuse, status) in [("at once", 500), ("late", 500), ("none", 200)] {
            let request = Request::get(path).header("fuse", fuse).body(Frames::default()).unwrap();
            let response = gate.clone().oneshot(request).await.unwrap();
            assert_eq!(response.status(), status, "{path} {fuse}");
            let body = response.into_body().collect().await.unwrap().to_bytes();
            assert_eq!(body, if status == 500 { "internal_error one" } else { "" }, "{path} {fuse}");
        }
    }
}
