//! The layer under hyper, on a runtime of several threads. `cargo run --example hyper_multi`
#![allow(clippy::print_stdout, reason = "an example talks to whoever started it")]

use std::convert::Infallible;
use std::error::Error;

use bytes::Bytes;
use hero_proxy::base::peer::Peer;
use hero_proxy::gate::body::Untrailed;
use hero_proxy::gate::{ForgeAuthLayer, ForgeKeeper};
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tower::{ServiceBuilder, service_fn};

pub mod fake;
mod keeper;

async fn my_proxy(request: Request<Untrailed<Incoming>>) -> Result<Response<Full<Bytes>>, Infallible> {
    let who = request.headers().get("x-hero-user").map_or("nobody", |who| who.to_str().unwrap_or("?"));
    Ok(Response::new(Full::from(format!("hello, {who}"))))
}

/// Serves until the listener fails.
///
/// # Errors
/// The listener's.
pub async fn serve(listener: TcpListener, keeper: ForgeKeeper) -> std::io::Result<()> {
    let gate = ForgeAuthLayer::new(keeper);
    let mut connections = JoinSet::new();
    loop {
        let (socket, peer) = listener.accept().await?;
        let app = ServiceBuilder::new()
            .map_request(move |mut request: Request<Incoming>| {
                request.extensions_mut().insert(Peer::Ip(peer));
                request
            })
            .layer(gate.clone())
            .service(service_fn(my_proxy));
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
    println!("open {url} and sign in as alice, wonderland-1865");
    Ok(serve(listener, fake.section.keeper()?).await?)
}
