//! A backend on bare tower: no axum, no runtime.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::task::{Context, Poll};

use hero_proxy::wire::consume::{ConsumeForgeToken, ConsumeForgeTokenLayer, PassedToken, Visitor};
use hero_proxy::wire::credential::{Asker, ByoToken, ForgeCredential};
use hero_proxy::wire::trust::Trust;
use http::{Request, Response};
use tower_layer::Layer;
use tower_service::Service;

/// Answers with who asked and where the token came from.
#[derive(Clone)]
pub struct Backend {
    /// A token that somebody pasted, from wherever this backend keeps it.
    pub byo: Option<ByoToken>,
}

/// The backend behind the layer that reads the headers; it believes processes of this machine.
pub fn app(backend: Backend) -> ConsumeForgeToken<Backend> {
    ConsumeForgeTokenLayer::new(Trust::loopback()).layer(backend)
}

impl<B> Service<Request<B>> for Backend {
    type Response = Response<String>;
    type Error = Infallible;
    type Future = Ready<Result<Response<String>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let said = request.extensions();
        let who = said.get::<Visitor>().map_or("nobody", |visitor| visitor.login.as_str());
        let credential =
            ForgeCredential::resolve(said.get::<PassedToken>().cloned(), self.byo.clone(), Asker::of(said));
        ready(Ok(Response::new(format!("{who}: {:?}", credential.source()))))
    }
}
