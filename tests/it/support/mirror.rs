//! A backend that keeps nothing but the last token, for tests with more requests than one would want to keep.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::http::HeaderMap;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// A running backend: it answers with the visitor's name. It ends when dropped.
pub struct Mirror {
    pub address: SocketAddr,
    last: Arc<Mutex<String>>,
    _server: JoinSet<()>,
}

/// What it answers to a visitor whose token came along.
pub fn with_token(login: &str) -> String {
    format!("{login}, with a token")
}

impl Mirror {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let last = Arc::new(Mutex::new(String::new()));
        let keep = Arc::clone(&last);
        let app = Router::new().fallback(move |headers: HeaderMap| {
            let keep = Arc::clone(&keep);
            async move {
                let value = |name| headers.get(name).map(|value| value.to_str().unwrap().to_owned());
                let (user, token) = (value("x-hero-user"), value("x-hero-forge-token"));
                let user = user.unwrap_or_else(|| "nobody".to_owned());
                let answer = if token.is_some() { with_token(&user) } else { user };
                *keep.lock().unwrap() = token.unwrap_or_default();
                answer
            }
        });
        let mut server = JoinSet::new();
        server.spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { address, last, _server: server }
    }

    /// The token of the last request; empty if it brought none.
    pub fn last_token(&self) -> String {
        self.last.lock().unwrap().clone()
    }
}
