//! The discovery document: where the forge's endpoints are, and what it calls itself.
//!
//! 1. The issuer is the configured public URL, up to one trailing slash: Forgejo has one until 11, none from 12 on
//!    (docs/FORGEJO.md 0.1). What it says, byte for byte, is what an id_token's `iss` must be.
//! 2. The document speaks of public addresses only, also when it is read from an internal one (docs/FORGEJO.md 1.1): the
//!    browser gets those; what we call ourselves is moved to the internal address.
//! 3. An endpoint outside the configured URL is refused: our client secret would go there.
//!
//! Source: OpenID Connect Discovery §3, §4.3.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;
use url::Url;

use crate::forge::error::{ForgeError, Quote, Unfit};

/// The longest issuer taken, in bytes.
const MAX_ISSUER: usize = 512;

/// The two addresses of one forge.
#[derive(Clone, Debug)]
pub(crate) struct Addresses {
    /// What the browser sees.
    pub(crate) public: Url,
    /// What we call, if that is another.
    pub(crate) internal: Option<Url>,
}

/// What was learnt from a discovery document.
#[derive(Debug)]
pub(crate) struct Document {
    /// The issuer, byte for byte.
    pub(crate) issuer: Arc<str>,
    /// Whether answers of the authorize endpoint name the issuer (RFC 9207 §3).
    pub(crate) promises_iss: bool,
    /// For the browser.
    pub(crate) authorize: Url,
    /// For us: codes and refresh tokens go there.
    pub(crate) token: Url,
    /// For us: the forge's public keys.
    pub(crate) keys: Url,
    /// For us: what a token is good for.
    pub(crate) introspect: Url,
    /// For us: who a token's owner is.
    pub(crate) userinfo: Url,
}

#[derive(Deserialize)]
struct Raw {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    jwks_uri: String,
    introspection_endpoint: String,
    userinfo_endpoint: Option<String>,
    #[serde(default)]
    id_token_signing_alg_values_supported: Value,
    #[serde(default)]
    authorization_response_iss_parameter_supported: bool,
}

impl Addresses {
    /// Where the discovery document is read.
    pub(crate) fn well_known(&self) -> Url {
        self.below("/.well-known/openid-configuration")
    }

    /// The endpoint of the forge's API that needs no scope (docs/FORGEJO.md 2.3).
    pub(crate) fn version(&self) -> Url {
        self.below("/api/v1/version")
    }

    /// A path of the forge's, where we call it.
    fn below(&self, path: &str) -> Url {
        let mut url = self.internal.as_ref().unwrap_or(&self.public).clone();
        let path = format!("{}{path}", base_path(&url));
        url.set_path(&path);
        url
    }

    /// Reads a discovery document.
    ///
    /// # Errors
    /// [`ForgeError::Garbled`]: no such document. [`ForgeError::Unfit`]: one that speaks of another forge, or of keys
    /// that are refused here.
    pub(crate) fn read(&self, body: &[u8]) -> Result<Document, ForgeError> {
        let raw: Raw =
            serde_json::from_slice(body).map_err(|_| ForgeError::Garbled("no discovery document"))?;
        if raw.issuer.len() > MAX_ISSUER || !self.is_public(&raw.issuer) {
            let configured = Quote::url(&self.public);
            return Err(ForgeError::Unfit(Unfit::Issuer { configured, announced: Quote::text(&raw.issuer) }));
        }
        signing(&raw.id_token_signing_alg_values_supported)?;
        Ok(Document {
            issuer: raw.issuer.into(),
            promises_iss: raw.authorization_response_iss_parameter_supported,
            authorize: self.endpoint("the authorization endpoint", &raw.authorization_endpoint)?,
            token: self.called(&self.endpoint("the token endpoint", &raw.token_endpoint)?),
            keys: self.called(&self.endpoint("the key set", &raw.jwks_uri)?),
            introspect: self
                .called(&self.endpoint("the introspection endpoint", &raw.introspection_endpoint)?),
            userinfo: match &raw.userinfo_endpoint {
                Some(userinfo) => self.called(&self.endpoint("userinfo", userinfo)?),
                // Recommended, not required (OpenID Connect Discovery §3): Forgejo's place (docs/FORGEJO.md 1).
                None => self.below("/login/oauth/userinfo"),
            },
        })
    }

    /// Whether an issuer is the public URL up to one trailing slash. Both are compared as the URL standard writes
    /// them, since the configured one was parsed: `https://Forge.example:443` is `https://forge.example`.
    fn is_public(&self, issuer: &str) -> bool {
        let Ok(url) = Url::parse(issuer) else { return false };
        let trimmed = |url: &Url| {
            let path = url.path();
            path.strip_suffix('/').unwrap_or(path).to_owned()
        };
        url.query().is_none()
            && url.fragment().is_none()
            && same_place(&url, &self.public)
            && trimmed(&url) == trimmed(&self.public)
    }

    fn endpoint(&self, what: &'static str, text: &str) -> Result<Url, ForgeError> {
        let outside = || ForgeError::Unfit(Unfit::Endpoint(what));
        let url = Url::parse(text).map_err(|_| outside())?;
        let below =
            url.path().strip_prefix(base_path(&self.public)).is_some_and(|rest| rest.starts_with('/'));
        if !same_place(&url, &self.public) || !below || url.fragment().is_some() {
            return Err(outside());
        }
        Ok(url)
    }

    /// A public endpoint, moved to where we call it.
    fn called(&self, public: &Url) -> Url {
        let Some(internal) = &self.internal else { return public.clone() };
        let below = public.path().strip_prefix(base_path(&self.public)).unwrap_or(public.path());
        let mut url = internal.clone();
        url.set_path(&format!("{}{below}", base_path(internal)));
        url.set_query(public.query());
        url
    }
}

/// A URL's path without a trailing slash: empty for the root.
fn base_path(url: &Url) -> &str {
    url.path().trim_end_matches('/')
}

/// Same scheme, host and port, and no user in it.
fn same_place(url: &Url, base: &Url) -> bool {
    url.scheme() == base.scheme()
        && url.host() == base.host()
        && url.port_or_known_default() == base.port_or_known_default()
        && url.username().is_empty()
        && url.password().is_none()
}

/// A forge that announces nothing but HS* is told from others before anybody is sent there.
fn signing(announced: &Value) -> Result<(), ForgeError> {
    let Some(names) = announced.as_array() else { return Ok(()) };
    let mut names = names.iter().filter_map(Value::as_str).peekable();
    if names.peek().is_some() && names.all(|name| name.starts_with("HS")) {
        return Err(ForgeError::Unfit(Unfit::SharedSecret));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn addresses(public: &str, internal: Option<&str>) -> Addresses {
        Addresses { public: public.parse().unwrap(), internal: internal.map(|url| url.parse().unwrap()) }
    }

    fn document(issuer: &str, base: &str) -> Value {
        json!({
            "issuer": issuer,
            "authorization_endpoint": format!("{base}/login/oauth/authorize"),
            "token_endpoint": format!("{base}/login/oauth/access_token"),
            "jwks_uri": format!("{base}/login/oauth/keys"),
            "introspection_endpoint": format!("{base}/login/oauth/introspect"),
            "id_token_signing_alg_values_supported": ["RS256"],
        })
    }

    fn read(addresses: &Addresses, document: &Value) -> Result<Document, ForgeError> {
        addresses.read(&serde_json::to_vec(document).unwrap())
    }

    /// Holds: O11, I15, I17.
    #[test]
    fn the_issuer_is_the_configured_url_up_to_one_slash_and_kept_byte_for_byte() {
        let check = |configured: &str, announced: &str| {
            read(&addresses(configured, None), &document(announced, "https://h"))
                .map(|d| d.issuer.to_string())
        };
        for (configured, announced) in [
            ("https://h", "https://h"),
            ("https://h", "https://h/"),
            ("https://h/", "https://h"),
            ("https://H:443/", "https://h/"),
        ] {
            assert_eq!(check(configured, announced).unwrap(), announced);
        }
        for announced in [
            "https://h//",
            "http://h",
            "https://h:444",
            "https://h.evil",
            "https://h/x",
            "h",
            "",
            "https://u@h/",
            "https://h/?x",
        ] {
            let error = check("https://h", announced).unwrap_err();
            assert!(matches!(error, ForgeError::Unfit(Unfit::Issuer { .. })), "{announced}: {error}");
        }
        let text = check("https://h", "https://other.example").unwrap_err().to_string();
        for part in ["https://h/", "https://other.example", "forge.url", "ROOT_URL"] {
            assert!(text.contains(part), "{text}");
        }
    }

    /// Holds: O13.
    #[test]
    fn the_browser_gets_the_public_address_and_our_calls_go_to_the_internal_one() {
        let check = |public: &str, base: &str, internal: &str, called: &str| {
            let addresses = addresses(public, Some(internal));
            assert_eq!(addresses.well_known().as_str(), format!("{called}/.well-known/openid-configuration"));
            let document = read(&addresses, &document(public, base)).unwrap();
            assert_eq!(document.authorize.as_str(), format!("{base}/login/oauth/authorize"));
            assert_eq!(document.token.as_str(), format!("{called}/login/oauth/access_token"));
            assert_eq!(document.keys.as_str(), format!("{called}/login/oauth/keys"));
            assert_eq!(document.introspect.as_str(), format!("{called}/login/oauth/introspect"));
            assert_eq!(&*document.issuer, public);
        };
        check("https://h", "https://h", "http://10.0.0.5:3000", "http://10.0.0.5:3000");
        check("https://h/", "https://h", "http://10.0.0.5:3000/", "http://10.0.0.5:3000");
        check("https://h/forge/", "https://h/forge", "http://10.0.0.5:3000", "http://10.0.0.5:3000");
        check("https://h/forge", "https://h/forge", "http://10.0.0.5:3000/sub", "http://10.0.0.5:3000/sub");
    }

    #[test]
    fn an_endpoint_outside_the_configured_url_is_refused() {
        let addresses = addresses("https://h/forge", None);
        for key in ["authorization_endpoint", "token_endpoint", "jwks_uri", "introspection_endpoint"] {
            for url in [
                "https://evil/forge/x",
                "http://h/forge/x",
                "https://h:8443/forge/x",
                "https://h/other",
                "https://h/forgery/x",
                "https://h/forge/../x",
                "https://u@h/forge/x",
                "https://h@evil/forge/x",
                "/forge/x",
                "javascript:alert(1)",
            ] {
                let mut document = document("https://h/forge", "https://h/forge");
                document[key] = url.into();
                let error = read(&addresses, &document).unwrap_err();
                assert!(matches!(error, ForgeError::Unfit(Unfit::Endpoint(_))), "{key} {url}: {error}");
            }
        }
    }

    #[test]
    fn a_forge_that_signs_with_the_client_secret_is_told_at_discovery() {
        let addresses = addresses("https://h", None);
        let mut hostile = document("https://h", "https://h");
        hostile["id_token_signing_alg_values_supported"] = json!(["HS256"]);
        let error = read(&addresses, &hostile).unwrap_err();
        assert!(matches!(error, ForgeError::Unfit(Unfit::SharedSecret)));
        assert!(error.to_string().contains("HS*"));
        for fine in [json!(["RS256", "HS256"]), json!([]), json!(null), json!("HS256"), json!([1])] {
            hostile["id_token_signing_alg_values_supported"] = fine;
            assert!(read(&addresses, &hostile).is_ok());
        }
    }

    #[test]
    fn a_body_that_is_no_document_is_garbled() {
        let whole = serde_json::to_vec(&document("https://h", "https://h")).unwrap();
        for body in [&b""[..], b"<html>", b"[]", b"{}", b"null", &whole[..whole.len() - 2]] {
            let error = addresses("https://h", None).read(body).unwrap_err();
            assert!(matches!(error, ForgeError::Garbled(_)));
        }
        let deep = format!("{{\"issuer\":{}", "[".repeat(100_000));
        assert!(matches!(addresses("https://h", None).read(deep.as_bytes()), Err(ForgeError::Garbled(_))));
    }
}
