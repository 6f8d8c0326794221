//! The layer around an axum router, with the peer that axum's server knows. `cargo run --example axum`
#![allow(clippy::print_stdout, reason = "an example talks to whoever started it")]

use std::error::Error;
use std::net::SocketAddr;

use ::axum::Router;
use ::axum::extract::{ConnectInfo, Request};
use ::axum::http::HeaderMap;
use ::axum::middleware::{Next, from_fn};
use ::axum::response::Response;
use ::axum::routing::get;
use hero_proxy::base::peer::Peer;
use hero_proxy::gate::{ForgeAuthLayer, ForgeKeeper};
use tokio::net::TcpListener;

pub mod fake;
mod keeper;

/// The gate wants to know the peer, for `X-Forwarded-For`; nobody's word is believed by default.
async fn tell_peer(ConnectInfo(peer): ConnectInfo<SocketAddr>, mut request: Request, next: Next) -> Response {
    request.extensions_mut().insert(Peer::Ip(peer));
    next.run(request).await
}

async fn hello(headers: HeaderMap) -> String {
    let who = headers.get("x-hero-user").map_or("nobody", |who| who.to_str().unwrap_or("?"));
    let from = headers.get("x-forwarded-for").map_or("nowhere", |from| from.to_str().unwrap_or("?"));
    format!("hello, {who} from {from}")
}

/// Serves until the listener fails. The layer added last is met first: the peer is told before the gate asks.
///
/// # Errors
/// The listener's.
pub async fn serve(listener: TcpListener, keeper: ForgeKeeper) -> std::io::Result<()> {
    let app = Router::new()
        .route("/", get(hello))
        .route("/open", get(hello))
        .layer(ForgeAuthLayer::new(keeper))
        .layer(from_fn(tell_peer));
    ::axum::serve(listener, app.into_make_service_with_connect_info::<SocketAddr>()).await
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://localhost:{}", listener.local_addr()?.port());
    let fake = fake::start(&url).await?;
    println!("open {url} and sign in as alice, wonderland-1865");
    Ok(serve(listener, fake.section.keeper()?).await?)
}
