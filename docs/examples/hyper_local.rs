//! The layer under hyper on one thread, in front of a service that cannot leave it, with a gatekeeper of one's own: the
//! header law needs neither `Send` nor a forge. `cargo run --example hyper_local`
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "an example talks to whoever started it")]

use std::cell::Cell;
use std::convert::Infallible;
use std::error::Error;
use std::future::Ready;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use hero_proxy::base::fault::Fault;
use hero_proxy::gate::ForgeAuthLayer;
use hero_proxy::gate::body::Untrailed;
use hero_proxy::gate::verdict::{Answer, Asked, Decision, Gatekeeper, Verdict};
use hero_proxy::wire::inject::{Injection, VisitorHeaders};
use hero_proxy::wire::scrub::{OwnCookies, ScrubRules, Scrubbed, SessionCookie};
use http::request::Parts;
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::task::{LocalSet, spawn_local};
use tower::{ServiceBuilder, service_fn};

/// A gatekeeper that knows one visitor: whoever brings the cookie `toy=alice`. `Rc` keeps it on its thread.
#[derive(Clone)]
struct Toy(Rc<ScrubRules>);

impl Toy {
    fn new() -> Self {
        let named = |name: &str| name.to_owned();
        let cookies = OwnCookies {
            session: named("toy"),
            flow_prefix: named("toy_flow_"),
            signed_out: named("toy_out"),
        };
        Self(Rc::new(ScrubRules { cookies, extra: Vec::new() }))
    }
}

fn refuse(status: StatusCode) -> Answer {
    let mut answer = Response::new(Bytes::from_static(b"no\n"));
    *answer.status_mut() = status;
    answer
}

impl Gatekeeper for Toy {
    type Later = Ready<Verdict>;

    fn rules(&self) -> &ScrubRules {
        &self.0
    }

    fn believes_peer(&self, _: &Parts) -> bool {
        false
    }

    fn new_request_id(&self) -> HeaderValue {
        HeaderValue::from_static("toy")
    }

    fn decide(&self, _: &Parts, scrubbed: Scrubbed, asked: &mut Asked) -> Decision<Self::Later> {
        let SessionCookie::One(cookie) = scrubbed.session else {
            return Decision::Now(Verdict::Answer(Box::new(refuse(StatusCode::UNAUTHORIZED))));
        };
        if cookie.as_bytes() != b"alice" {
            return Decision::Now(Verdict::Answer(Box::new(refuse(StatusCode::FORBIDDEN))));
        }
        asked.signed_in = true;
        let visitor = VisitorHeaders {
            user: HeaderValue::from_static("alice"),
            user_id: HeaderValue::from_static("42"),
            email: None,
            groups: None,
        };
        Decision::Now(Verdict::Pass(Injection { visitor: Some(Arc::new(visitor)), ..Injection::default() }))
    }

    fn explain(&self, fault: &Fault, _: &Asked) -> Answer {
        refuse(fault.status)
    }
}

/// Serves until the listener fails. Must run on a [`LocalSet`].
///
/// # Errors
/// The listener's.
pub async fn serve(listener: TcpListener) -> std::io::Result<()> {
    let visits = Rc::new(Cell::new(0_u32));
    let app = ServiceBuilder::new().layer(ForgeAuthLayer::new(Toy::new())).service(service_fn(
        move |request: Request<Untrailed<Incoming>>| {
            let visits = Rc::clone(&visits);
            async move {
                visits.set(visits.get() + 1);
                let who = request.headers().get_all("x-hero-user").iter().filter_map(|who| who.to_str().ok());
                let text = format!("{:?}, visit {}", who.collect::<Vec<_>>(), visits.get());
                Ok::<_, Infallible>(Response::new(Full::<Bytes>::from(text)))
            }
        },
    ));
    loop {
        let (socket, _) = listener.accept().await?;
        let app = TowerToHyperService::new(app.clone());
        let connection = http1::Builder::new().serve_connection(TokioIo::new(socket), app);
        spawn_local(async move {
            if let Err(error) = connection.await {
                eprintln!("a connection ended early: {error}");
            }
        });
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("curl -H 'Cookie: toy=alice' http://{}/", listener.local_addr()?);
    Ok(LocalSet::new().run_until(serve(listener)).await?)
}
