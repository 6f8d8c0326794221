//! The forge over HTTP: the only file that opens a connection to it, and the only one that knows the HTTP client.
//!
//! 1. No redirect is followed: a secret goes where it was sent, or nowhere.
//! 2. A call has one total time, its body included, and a shorter time to connect. A call for tokens has twice that time.
//! 3. A body is read in pieces and given up beyond 1 MiB.
//! 4. No proxy is taken from the environment, no cookie is kept, no body is unpacked.
//! 5. An error keeps neither body nor URL: it is a fixed text.

use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

use http::{HeaderMap, StatusCode};
use thiserror::Error;
use url::Url;

use crate::base::secret::ClientSecret;
use crate::base::url::WebUrl;
use crate::forge::error::ForgeError;

/// What the forge client must be told.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What the browser sees, and the issuer up to one trailing slash.
    pub url: WebUrl,
    /// What we call, if that is another address.
    pub internal_url: Option<WebUrl>,
    /// Certificates to trust instead of the system's, PEM.
    pub ca_pem: Option<Vec<u8>>,
    /// Our client id.
    pub client_id: String,
    /// Our client secret.
    pub client_secret: ClientSecret,
    /// The longest a call may take in all; one for tokens twice as long ([`token_timeout`]).
    pub timeout: Duration,
}

/// The longest a call for tokens may take where other calls may take `timeout`: the forge may have outdated the old ones
/// when we give up, and then the visitor has to sign in again.
pub fn token_timeout(timeout: Duration) -> Duration {
    timeout * 2
}

/// Why no client can be made of the settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum BadSettings {
    /// `ca_pem` cannot be used.
    #[error("the forge's `ca` holds no certificate in PEM form that can be read")]
    Ca,
    /// The system's certificates cannot be loaded.
    #[error(
        "this machine has no list of trusted certificates: install one (ca-certificates) or set the forge's `ca`"
    )]
    SystemCa,
}

/// The longest answer read, in bytes.
pub(crate) const MAX_BODY: usize = 1024 * 1024;

/// An idle connection is kept so long; what stands before a forge often closes it after 15 s or more.
const IDLE: Duration = Duration::from_secs(10);

/// Connecting takes no longer than this, however long a call may take.
const CONNECT: Duration = Duration::from_secs(5);

/// Sends requests under the rules of this module. Clones share connections.
#[derive(Clone)]
pub(crate) struct Transport {
    client: reqwest::Client,
    timeout: Duration,
}

impl Transport {
    /// A transport for the forge of these settings.
    ///
    /// reqwest takes the process's rustls provider, or aws-lc-rs when none is installed: it never panics here.
    ///
    /// # Errors
    /// [`BadSettings`], none of it ever cured by trying again.
    #[expect(clippy::disallowed_methods, reason = "the one place that makes an HTTP client")]
    pub(crate) fn new(settings: &Settings) -> Result<Self, BadSettings> {
        let called = settings.internal_url.as_ref().unwrap_or(&settings.url);
        let mut builder = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .no_proxy()
            .referer(false)
            .user_agent(concat!("hero_proxy/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(settings.timeout.min(CONNECT))
            .pool_idle_timeout(IDLE);
        if let Some(pem) = &settings.ca_pem {
            let certificates = reqwest::Certificate::from_pem_bundle(pem).map_err(|_| BadSettings::Ca)?;
            if certificates.is_empty() {
                return Err(BadSettings::Ca);
            }
            builder = builder.tls_certs_only(certificates);
        } else if called.parts().scheme() == "http" {
            // Nothing to trust: a machine without a list of certificates can still run against a forge on loopback.
            builder = builder.tls_certs_only([]);
        }
        let fault = if settings.ca_pem.is_some() { BadSettings::Ca } else { BadSettings::SystemCa };
        Ok(Self { client: builder.build().map_err(|_| fault)?, timeout: settings.timeout })
    }

    /// Asks for a document that anybody may read.
    ///
    /// # Errors
    /// Those of [`Transport::send`], and those of [`odd_status`] for any status but 200.
    pub(crate) async fn get(&self, url: &Url) -> Result<Vec<u8>, ForgeError> {
        let request = http::Request::get(url.as_str()).header(http::header::ACCEPT, "application/json");
        let request =
            request.body(Vec::new()).map_err(|_| ForgeError::Garbled("a URL that cannot be called"))?;
        let response = self.send(request).await?;
        match response.status() {
            StatusCode::OK => Ok(response.into_body()),
            status => Err(odd_status(status)),
        }
    }

    /// Sends one request, once, and reads its whole answer, whatever the status.
    ///
    /// # Errors
    /// [`ForgeError::Unavailable`]: no connection, no trust in the certificate, no answer in time.
    /// [`ForgeError::Garbled`]: an answer over [`MAX_BODY`].
    ///
    /// # Cancel safety
    /// Dropping the future closes the connection; the forge may have acted all the same.
    pub(crate) async fn send(
        &self,
        request: http::Request<Vec<u8>>,
    ) -> Result<http::Response<Vec<u8>>, ForgeError> {
        self.send_within(self.timeout, request).await
    }

    /// The same for the token endpoint: an answer of its that is lost may be the end of a grant.
    ///
    /// # Errors
    /// As [`Transport::send`].
    ///
    /// # Cancel safety
    /// As [`Transport::send`].
    pub(crate) async fn send_for_tokens(
        &self,
        request: http::Request<Vec<u8>>,
    ) -> Result<http::Response<Vec<u8>>, ForgeError> {
        self.send_within(token_timeout(self.timeout), request).await
    }

    async fn send_within(
        &self,
        limit: Duration,
        request: http::Request<Vec<u8>>,
    ) -> Result<http::Response<Vec<u8>>, ForgeError> {
        let mut request = reqwest::Request::try_from(request)
            .map_err(|_| ForgeError::Garbled("a URL that cannot be called"))?;
        *request.timeout_mut() = Some(limit);
        let mut answer = self.client.execute(request).await.map_err(|error| fault(&error))?;
        if answer.content_length().is_some_and(|length| length > MAX_BODY as u64) {
            return Err(ForgeError::Garbled("an answer that is too large"));
        }
        let mut body = Vec::new();
        while let Some(piece) = answer.chunk().await.map_err(|error| fault(&error))? {
            if body.len() + piece.len() > MAX_BODY {
                return Err(ForgeError::Garbled("an answer that is too large"));
            }
            body.extend_from_slice(&piece);
        }
        let mut response = http::Response::new(body);
        *response.status_mut() = answer.status();
        *response.headers_mut() = std::mem::take(answer.headers_mut());
        Ok(response)
    }
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Transport")
    }
}

/// What a status means that the asker cannot use: for now (5xx, 408, 429), or nothing sensible.
pub(crate) fn odd_status(status: StatusCode) -> ForgeError {
    // The registered words (RFC 9110 §15), not those of the answer.
    let words = status.canonical_reason();
    match status.as_u16() {
        408 | 429 => ForgeError::Unavailable(words.unwrap_or("it asks to wait")),
        500.. => ForgeError::Unavailable(words.unwrap_or("a server error")),
        300..=399 => ForgeError::Garbled("a redirect"),
        _ => ForgeError::Garbled(words.unwrap_or("an unexpected status")),
    }
}

/// Whether the body is announced as JSON.
pub(crate) fn is_json(headers: &HeaderMap) -> bool {
    let kind =
        headers.get(http::header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
}

/// A fixed text for what the HTTP client says; its own text would name the URL.
fn fault(error: &reqwest::Error) -> ForgeError {
    if error.is_timeout() {
        return ForgeError::Unavailable("no answer in time");
    }
    // rustls is not among this room's crates; its text is looked at, not kept. A test holds the two together.
    let mut cause = error.source();
    while let Some(inner) = cause {
        if inner.to_string().starts_with("invalid peer certificate") {
            return ForgeError::Unavailable("its certificate is not trusted");
        }
        cause = inner.source();
    }
    ForgeError::Unavailable(if error.is_connect() { "no connection" } else { "the answer broke off" })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(url: &str, ca_pem: Option<&[u8]>) -> Settings {
        Settings {
            url: url.parse().unwrap(),
            internal_url: None,
            ca_pem: ca_pem.map(<[u8]>::to_vec),
            client_id: "id".into(),
            client_secret: ClientSecret::new("CANARY"),
            timeout: Duration::from_secs(1),
        }
    }

    #[test]
    fn a_ca_that_holds_no_certificate_is_refused_by_name() {
        let broken = b"-----BEGIN CERTIFICATE-----\nbm8=\n-----END CERTIFICATE-----\n";
        for pem in
            [&b""[..], b"no pem", b"-----BEGIN CERTIFICATE-----\n%%%\n-----END CERTIFICATE-----", broken]
        {
            assert_eq!(Transport::new(&settings("https://h", Some(pem))).unwrap_err(), BadSettings::Ca);
        }
    }

    #[test]
    fn only_statuses_that_pass_by_themselves_count_as_unavailable_and_each_is_named() {
        for (status, transient, words) in [
            (500, true, "Internal Server Error"),
            (502, true, "Bad Gateway"),
            (599, true, "a server error"),
            (429, true, "Too Many Requests"),
            (408, true, "Request Timeout"),
            (303, false, "a redirect"),
            (404, false, "Not Found"),
            (401, false, "Unauthorized"),
            (418, false, "I'm a teapot"),
            (299, false, "an unexpected status"),
        ] {
            let error = odd_status(StatusCode::from_u16(status).unwrap());
            assert!(error.to_string().contains(words), "{error}");
            assert_eq!(matches!(error, ForgeError::Unavailable(_)), transient, "{status}");
            assert!(error.is_transient(), "neither proves anything about anybody");
        }
    }
}
