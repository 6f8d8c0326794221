use axum::Router;
use axum::routing::get;
use hero_proxy::wire::consume::{ConsumeForgeTokenLayer, Visitor};
use hero_proxy::wire::credential::ForgeCredential;
use hero_proxy::wire::trust::{PeerAddress, Trust};

/// The app believes whoever comes through its Unix socket, and nobody else.
pub fn app() -> Router {
    Router::new().route("/", get(home)).layer(ConsumeForgeTokenLayer::new(Trust::unix_peer()))
}

async fn home(visitor: Option<Visitor>, credential: ForgeCredential) -> String {
    let who = visitor.map_or_else(|| "nobody".to_owned(), |visitor| visitor.login);
    // credential.token() is for `Authorization: Bearer …` to the forge, and for nothing else.
    format!("{who}, token: {:?}", credential.source())
}

pub async fn serve(listener: tokio::net::UnixListener) -> std::io::Result<()> {
    axum::serve(listener, app().into_make_service_with_connect_info::<PeerAddress>()).await
}
