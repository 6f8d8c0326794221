//! The forge over HTTP.

use url::Url;

use crate::base::secret::ClientSecret;

/// What the forge client must be told.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What the browser sees, and the issuer up to one trailing slash.
    pub url: Url,
    /// What we call, if that is another address.
    pub internal_url: Option<Url>,
    /// Certificates to trust instead of the system's, PEM.
    pub ca_pem: Option<Vec<u8>>,
    /// Our client id.
    pub client_id: String,
    /// Our client secret.
    pub client_secret: ClientSecret,
    /// The longest a call may take in all.
    pub timeout: std::time::Duration,
}
