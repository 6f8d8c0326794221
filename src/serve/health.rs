//! `/livez` and `/readyz`, on a listener of their own and nowhere else.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::future::{Ready, ready};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::{Method, Request, Response, StatusCode, request};
use http_body_util::Full;
use tower_service::Service;

use crate::base::fault::Fault;
use crate::serve::edge::Answers;

/// Whether the process can serve, and if not, why. Who knows of a part sets it; clones share all.
#[derive(Clone, Debug)]
pub struct Readiness(Arc<Mutex<Parts>>);

/// The reason why a part is not ready; none: it is.
type Parts = BTreeMap<&'static str, Option<&'static str>>;

impl Readiness {
    /// Waits for these parts to be set; until then each is `starting`.
    pub fn of(parts: impl IntoIterator<Item = &'static str>) -> Self {
        Self(Arc::new(Mutex::new(parts.into_iter().map(|part| (part, Some("starting"))).collect())))
    }

    /// This part works.
    pub fn up(&self, part: &'static str) {
        self.parts().insert(part, None);
    }

    /// This part does not work; `reason` is a stable code, lower case with underscores.
    pub fn down(&self, part: &'static str, reason: &'static str) {
        self.parts().insert(part, Some(reason));
    }

    /// The parts that are not ready, each with its reason.
    pub fn missing(&self) -> Vec<(&'static str, &'static str)> {
        self.parts().iter().filter_map(|(part, reason)| Some((*part, (*reason)?))).collect()
    }

    fn parts(&self) -> MutexGuard<'_, Parts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Answers the two paths, exactly as they are written.
#[derive(Clone, Debug)]
pub(super) struct Health(pub(super) Readiness);

impl<B> Service<Request<B>> for Health {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        ready(Ok(answer(request.method(), request.uri().path(), &self.0.missing())))
    }
}

impl Answers for Health {
    type Answer = Full<Bytes>;

    fn refuse(&self, _: Option<&request::Parts>, fault: Fault) -> Response<Full<Bytes>> {
        fault.problem().map(Full::from)
    }
}

fn answer(method: &Method, path: &str, missing: &[(&str, &str)]) -> Response<Full<Bytes>> {
    let (status, body) = match path {
        _ if !matches!(path, "/livez" | "/readyz") => (StatusCode::NOT_FOUND, serde_json::json!({})),
        _ if method != Method::GET && method != Method::HEAD => {
            (StatusCode::METHOD_NOT_ALLOWED, serde_json::json!({}))
        }
        // Whoever can answer lives; a store or a forge that is down is no reason to kill the process.
        "/livez" => (StatusCode::OK, serde_json::json!({ "alive": true })),
        _ if missing.is_empty() => (StatusCode::OK, serde_json::json!({ "ready": true })),
        _ => {
            let reasons: BTreeMap<_, _> = missing.iter().copied().collect();
            let body = serde_json::json!({ "ready": false, "reasons": reasons });
            (StatusCode::SERVICE_UNAVAILABLE, body)
        }
    };
    let mut answer = Response::new(Full::from(body.to_string()));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if status == StatusCode::METHOD_NOT_ALLOWED {
        headers.insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
    }
    answer
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::{Readiness, answer};

    fn status(method: &Method, path: &str, missing: &[(&str, &str)]) -> u16 {
        answer(method, path, missing).status().as_u16()
    }

    #[test]
    fn only_the_exact_paths_are_answered() {
        assert_eq!(status(&Method::GET, "/livez", &[]), 200);
        assert_eq!(status(&Method::HEAD, "/readyz", &[]), 200);
        assert_eq!(status(&Method::POST, "/readyz", &[]), 405);
        for path in ["/", "/livez/", "/Livez", "//livez", "/livez%20", "/x/livez", "/metrics"] {
            assert_eq!(status(&Method::GET, path, &[]), 404, "{path}");
        }
    }

    #[test]
    fn a_part_is_missing_until_it_is_set_and_again_when_it_fails() {
        let readiness = Readiness::of(["forge", "store"]);
        assert_eq!(readiness.missing(), [("forge", "starting"), ("store", "starting")]);
        readiness.up("forge");
        readiness.up("store");
        assert_eq!(readiness.missing(), []);
        readiness.down("store", "unreachable");
        assert_eq!(status(&Method::GET, "/readyz", &readiness.missing()), 503);
        assert_eq!(status(&Method::GET, "/livez", &readiness.missing()), 200);
    }
}
