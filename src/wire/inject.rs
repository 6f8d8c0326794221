//! What is said to the backend, written last. Absent means absent: there is no empty value.

use std::sync::Arc;

use http::header::{HeaderMap, HeaderName, HeaderValue};

use crate::wire::name;

/// Who the visitor is, as ready-made header values.
#[derive(Debug)]
pub struct VisitorHeaders {
    /// `X-Hero-User`: the login name, encoded.
    pub user: HeaderValue,
    /// `X-Hero-User-Id`: the numeric id.
    pub user_id: HeaderValue,
    /// `X-Hero-Email`: the verified address, encoded.
    pub email: Option<HeaderValue>,
    /// `X-Hero-Groups`: all groups, encoded.
    pub groups: Option<HeaderValue>,
}

/// The visitor's token, as ready-made header values.
#[derive(Debug)]
pub struct TokenHeaders {
    /// `X-Hero-Forge-Token`, marked sensitive.
    pub token: HeaderValue,
    /// `X-Hero-Forge-Token-Expires`: unix seconds.
    pub expires: HeaderValue,
    /// `X-Hero-Forge-Scopes`: as the forge granted them.
    pub scopes: Option<HeaderValue>,
}

/// What the backend learns of where a request came from.
#[derive(Clone, Debug, Default)]
pub struct ForwardedHeaders {
    /// `X-Forwarded-For`
    pub client: Option<HeaderValue>,
    /// `Forwarded`, where a believed peer has sent one.
    pub hops: Option<HeaderValue>,
    /// `X-Forwarded-Proto`
    pub proto: Option<HeaderValue>,
    /// `X-Forwarded-Host`
    pub host: Option<HeaderValue>,
    /// `Host`, where the request's target names one: it wins over the field (RFC 9112 §3.2.2).
    pub authority: Option<HeaderValue>,
}

/// All that is injected into one request.
#[derive(Clone, Debug, Default)]
pub struct Injection {
    /// The visitor; none on a public route without a session.
    pub visitor: Option<Arc<VisitorHeaders>>,
    /// The token; none when it is not wanted, not allowed, withheld, or not to be had.
    pub token: Option<Arc<TokenHeaders>>,
    /// The groups that this route's upstream may know.
    pub groups: Option<HeaderValue>,
    /// Where the request came from.
    pub forwarded: ForwardedHeaders,
    /// Whether oauth2-proxy's names are set as well.
    pub compat: bool,
}

/// oauth2-proxy's header names, for apps that were made for it.
const COMPAT_USER: HeaderName = HeaderName::from_static("x-forwarded-user");
const COMPAT_PREFERRED: HeaderName = HeaderName::from_static("x-forwarded-preferred-username");
const COMPAT_EMAIL: HeaderName = HeaderName::from_static("x-forwarded-email");
const COMPAT_GROUPS: HeaderName = HeaderName::from_static("x-forwarded-groups");
const COMPAT_TOKEN: HeaderName = HeaderName::from_static("x-forwarded-access-token");

/// Writes an injection over a scrubbed request's headers.
pub fn inject(headers: &mut HeaderMap, injection: Injection) {
    let Injection { visitor, token, groups, forwarded, compat } = injection;
    let mut set = |name: HeaderName, value: Option<&HeaderValue>| {
        if let Some(value) = value {
            headers.insert(name, value.clone());
        }
    };
    if let Some(visitor) = &visitor {
        set(name::USER, Some(&visitor.user));
        set(name::USER_ID, Some(&visitor.user_id));
        set(name::EMAIL, visitor.email.as_ref());
        set(name::GROUPS, groups.as_ref());
    }
    if let Some(token) = &token {
        set(name::FORGE_TOKEN, Some(&token.token));
        set(name::FORGE_TOKEN_EXPIRES, Some(&token.expires));
        set(name::FORGE_SCOPES, token.scopes.as_ref());
    }
    set(name::FORWARDED_FOR, forwarded.client.as_ref());
    set(http::header::FORWARDED, forwarded.hops.as_ref());
    set(name::FORWARDED_PROTO, forwarded.proto.as_ref());
    set(name::FORWARDED_HOST, forwarded.host.as_ref());
    set(http::header::HOST, forwarded.authority.as_ref());
    if compat && let Some(visitor) = &visitor {
        set(COMPAT_USER, Some(&visitor.user));
        set(COMPAT_PREFERRED, Some(&visitor.user));
        set(COMPAT_EMAIL, visitor.email.as_ref());
        set(COMPAT_GROUPS, groups.as_ref());
        set(COMPAT_TOKEN, token.as_ref().map(|token| &token.token));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &'static str) -> HeaderValue {
        HeaderValue::from_static(text)
    }

    /// Holds: H6.
    #[test]
    fn absent_is_absent_and_never_an_empty_value() {
        let mut headers = HeaderMap::new();
        inject(&mut headers, Injection::default());
        assert!(headers.is_empty());
        let visitor = VisitorHeaders { user: value("alice"), user_id: value("7"), email: None, groups: None };
        inject(
            &mut headers,
            Injection { visitor: Some(Arc::new(visitor)), compat: true, ..Injection::default() },
        );
        let names: Vec<&str> = headers.keys().map(HeaderName::as_str).collect();
        assert_eq!(
            names,
            ["x-hero-user", "x-hero-user-id", "x-forwarded-user", "x-forwarded-preferred-username"]
        );
    }
}
