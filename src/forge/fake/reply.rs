//! Answers in Forgejo's shapes: cache header, content types, redirects, cookies.

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use url::form_urlencoded;

use super::ask::Ask;
use super::server::Forge;

/// On every answer, token answers too; not `no-store`.
pub(super) const CACHE_CONTROL: HeaderValue =
    HeaderValue::from_static("max-age=0, private, must-revalidate, no-transform");

/// What Forgejo's sign-in code says to a token that it does not take.
const BAD_CREDENTIALS: &str = "Credentials are incorrect or have expired. Retry your command or see \
                               https://codeberg.org/forgejo/forgejo/issues/2809 for more information\n";

pub(super) struct Reply(Box<Response>);

/// A handler's outcome; a refusal is an answer too.
pub(super) type Answer = Result<Reply, Reply>;

/// Marks an answer that was given before the page context exists: it sets no `_csrf` (≤ 13).
#[derive(Clone)]
pub(super) struct TooEarlyForCsrf;

impl Reply {
    fn new(status: StatusCode, content_type: &'static str, body: String) -> Self {
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        if !content_type.is_empty() {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        }
        headers.insert(header::CACHE_CONTROL, CACHE_CONTROL);
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        Self(Box::new(response))
    }

    pub(super) fn empty(status: StatusCode) -> Self {
        Self::new(status, "", String::new())
    }

    pub(super) fn json(status: StatusCode, value: &Value) -> Self {
        Self::new(status, "application/json;charset=utf-8", format!("{value}\n"))
    }

    /// Discovery and JWKS have no charset.
    pub(super) fn document(value: &Value) -> Self {
        Self::new(StatusCode::OK, "application/json", format!("{value:#}\n"))
    }

    /// A page's plain text answer.
    pub(super) fn text(status: StatusCode, text: &str) -> Self {
        Self::new(status, "text/plain;charset=utf-8", text.to_owned())
    }

    /// An error text of Go's own server.
    pub(super) fn go_error(status: StatusCode, text: &str) -> Self {
        Self::new(status, "text/plain; charset=utf-8", format!("{text}\n"))
    }

    pub(super) fn bad_credentials() -> Self {
        let mut reply =
            Self::new(StatusCode::UNAUTHORIZED, "text/plain; charset=utf-8", BAD_CREDENTIALS.to_owned());
        reply.0.extensions_mut().insert(TooEarlyForCsrf);
        reply
    }

    pub(super) fn html(status: StatusCode, page: String) -> Self {
        Self::new(status, "text/html; charset=utf-8", page).header(header::X_FRAME_OPTIONS, "SAMEORIGIN")
    }

    /// A redirect as Go writes it: a GET gets a little HTML body, others get none.
    pub(super) fn redirect(ask: &Ask, status: StatusCode, location: &str) -> Self {
        let reply = if ask.method == Method::GET || ask.method == Method::HEAD {
            let words = status.canonical_reason().unwrap_or_default();
            let place = location.replace('&', "&amp;").replace('"', "&#34;").replace('<', "&lt;");
            let body = format!("<a href=\"{place}\">{words}</a>.\n\n");
            Self::new(status, "text/html; charset=utf-8", body)
        } else {
            Self::empty(status)
        };
        reply.header(header::LOCATION, location)
    }

    pub(super) fn see_other(ask: &Ask, location: &str) -> Self {
        Self::redirect(ask, StatusCode::SEE_OTHER, location)
    }

    /// An API error: `message` and `url`.
    pub(super) fn api_error(forge: &Forge, status: StatusCode, message: &str) -> Self {
        Self::json(status, &json!({"message": message, "url": forge.link("api/swagger")}))
    }

    /// An API error of the account checks, which know no `url` (`docs/FORGEJO.md` 3.3).
    pub(super) fn account_error(message: &str) -> Self {
        Self::json(StatusCode::FORBIDDEN, &json!({"message": message}))
    }

    /// What the API says of a repository that is not there or not yours to see.
    pub(super) fn api_not_found(forge: &Forge) -> Self {
        let url = forge.link("api/swagger");
        let body = json!({"message": "The target couldn't be found.", "url": url, "errors": []});
        Self::json(StatusCode::NOT_FOUND, &body)
    }

    /// An OAuth token error: always 400.
    pub(super) fn token_error(error: &str, description: &str) -> Self {
        Self::json(StatusCode::BAD_REQUEST, &json!({"error": error, "error_description": description}))
    }

    /// Adds a header line; a value that fits no header is left out.
    #[must_use]
    pub(super) fn header(mut self, name: HeaderName, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.0.headers_mut().append(name, value);
        }
        self
    }

    #[must_use]
    pub(super) fn cookie(self, name: &str, value: &str) -> Self {
        self.header(header::SET_COOKIE, &format!("{name}={value}; Path=/; HttpOnly; SameSite=Lax"))
    }

    #[must_use]
    pub(super) fn drop_cookie(self, name: &str) -> Self {
        self.header(header::SET_COOKIE, &format!("{name}=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax"))
    }

    /// A message for the next page.
    #[must_use]
    pub(super) fn flash(self, forge: &Forge, text: &str) -> Self {
        let once = form_urlencoded::Serializer::new(String::new()).append_pair("success", text).finish();
        self.cookie(forge.settings.version.flash_cookie(), &escape(&once))
    }
}

/// One value, percent-encoded for a query or a cookie.
pub(super) fn escape(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

impl IntoResponse for Reply {
    fn into_response(self) -> Response {
        *self.0
    }
}
