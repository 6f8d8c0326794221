//! An endless answer that says goodbye when its visitor's session ends. `cargo run --example stream`
#![allow(clippy::print_stdout, reason = "an example talks to whoever started it")]

use std::convert::Infallible;
use std::error::Error;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hero_proxy::base::session_end::SessionEnd;
use hero_proxy::gate::body::Untrailed;
use hero_proxy::gate::{ForgeAuthLayer, ForgeKeeper};
use http::{Request, Response};
use http_body::{Body, Frame};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tower::{ServiceBuilder, service_fn};

pub mod fake;
mod keeper;

type Ended = Pin<Box<dyn Future<Output = ()> + Send>>;

/// News for as long as somebody is signed in. The first piece says that it begins, the last one why it ends.
struct News {
    begun: bool,
    /// None: over, or nobody is signed in.
    ended: Option<Ended>,
}

impl Body for News {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let piece =
            |words: &'static str| Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(words.as_bytes())))));
        if !self.begun {
            self.begun = true;
            return piece("it begins\n");
        }
        match self.ended.as_mut().map(|ended| ended.as_mut().poll(context)) {
            Some(Poll::Pending) => Poll::Pending,
            Some(Poll::Ready(())) => {
                self.ended = None;
                piece("your session has ended\n")
            }
            None => Poll::Ready(None),
        }
    }
}

async fn news(request: Request<Untrailed<Incoming>>) -> Result<Response<News>, Infallible> {
    let ended = request.extensions().get::<SessionEnd>().map(SessionEnd::ended);
    Ok(Response::new(News { begun: false, ended }))
}

/// Serves until the listener fails.
///
/// # Errors
/// The listener's.
pub async fn serve(listener: TcpListener, keeper: ForgeKeeper) -> std::io::Result<()> {
    // Without this line no request has a `SessionEnd`, and the news break off in the middle.
    let gate = ForgeAuthLayer::new(keeper.telling_ends());
    let mut connections = JoinSet::new();
    loop {
        let (socket, _) = listener.accept().await?;
        let app = ServiceBuilder::new().layer(gate.clone()).service(service_fn(news));
        let connection =
            http1::Builder::new().serve_connection(TokioIo::new(socket), TowerToHyperService::new(app));
        connections.spawn(connection);
        // What has ended is let go.
        while connections.try_join_next().is_some() {}
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://localhost:{}", listener.local_addr()?.port());
    let fake = fake::start(&url).await?;
    println!("open {url}, sign in as alice, wonderland-1865, and sign out at {url}/_hero/auth/sessions");
    Ok(serve(listener, fake.section.keeper()?).await?)
}
