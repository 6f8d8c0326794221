//! The layer in a plain `ServiceBuilder`, asked without any server. `cargo run --example plain`
#![allow(clippy::print_stdout, reason = "an example talks to whoever started it")]

use std::convert::Infallible;
use std::error::Error;

use bytes::Bytes;
use hero_proxy::gate::body::{GateBody, Untrailed};
use hero_proxy::gate::{ForgeAuthLayer, ForgeKeeper};
use http::{Request, Response};
use http_body_util::Full;
use tower::{ServiceBuilder, ServiceExt, service_fn};

pub mod fake;
mod keeper;

/// The proxy behind the gate; here it only says who came.
async fn my_proxy(request: Request<Untrailed<Full<Bytes>>>) -> Result<Response<Full<Bytes>>, Infallible> {
    let who = request.headers().get("x-hero-user").map_or("nobody", |who| who.to_str().unwrap_or("?"));
    Ok(Response::new(Full::from(format!("hello, {who}"))))
}

/// Sends one request through the gate.
pub async fn ask(keeper: ForgeKeeper, request: Request<Full<Bytes>>) -> Response<GateBody<Full<Bytes>>> {
    let app = ServiceBuilder::new().layer(ForgeAuthLayer::new(keeper)).service(service_fn(my_proxy));
    match app.oneshot(request).await {
        Ok(answer) => answer,
        Err(never) => match never {},
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let fake = fake::start("http://localhost:8080").await?;
    let request = Request::get("/").header("host", "localhost:8080").header("accept", "text/html");
    let answer = ask(fake.section.keeper()?, request.body(Full::default())?).await;
    let to = answer.headers().get("location").and_then(|to| to.to_str().ok());
    println!("{} {}", answer.status(), to.unwrap_or_default());
    Ok(())
}
