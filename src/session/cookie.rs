//! The names of our cookies at an origin, and the `Set-Cookie` lines for them.
//!
//! 1. `https` on its usual port: `__Host-hero_session`, `__Host-hero_flow_<id>`, `__Host-hero_signed_out`. Browsers keep
//!    such names to one host, secure and without a `Domain` (RFC 6265bis §4.1.3.2).
//! 2. Cookies ignore ports. So at another port the names carry `_` and eight hexadecimal digits of the origin's hash,
//!    else two proxies on one host would sign each other's visitors out.
//! 3. Plain `http` is for loopback alone: the same names with the hash, without `__Host-`, which needs `Secure`.
//! 4. A cookie is set once, with its absolute end, and cleared with the very attributes that it was set with.
//!
//! Browsers tell names apart by case, and so does reading; taking ours out of a request folds case and is
//! `wire::scrub`'s. No name is one of the forge's (`session`, `persistent`, `redirect_to`, `lang`, `flash`).

use std::time::Duration;

use cookie::time::OffsetDateTime;
use cookie::{Cookie, SameSite};
use http::HeaderValue;
use thiserror::Error;
use url::Host;

use crate::base::url::WebUrl;
use crate::session::id::SessionId;
use crate::wire::scrub::OwnCookies;

/// The most bytes that name and value of a cookie may have together: what browsers keep (RFC 6265bis §5.6).
pub const MAX_COOKIE_BYTES: usize = 4096;

/// Our cookies at one origin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CookieNames {
    names: OwnCookies,
    secure: bool,
}

/// A public URL at which no session cookie is safe: neither `https` nor plain `http` on loopback.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("plain http is for loopback only: anybody on the way could take the session")]
pub struct UnsafeOrigin;

/// A cookie that no browser would keep: more than [`MAX_COOKIE_BYTES`], or bytes that a cookie cannot hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("no browser would keep this cookie")]
pub struct Unsettable;

impl CookieNames {
    /// The names at an origin: what the browser sees. The path of the URL does not count.
    ///
    /// # Errors
    /// [`UnsafeOrigin`]: neither `https` nor plain `http` on loopback.
    pub fn for_origin(public_url: &WebUrl) -> Result<Self, UnsafeOrigin> {
        let secure = match public_url.parts().scheme() {
            "https" => true,
            "http" if is_loopback(public_url) => false,
            _ => return Err(UnsafeOrigin),
        };
        let prefix = if secure { "__Host-hero" } else { "hero" };
        let at = if secure && public_url.parts().port().is_none() {
            String::new()
        } else {
            origin_mark(public_url)
        };
        let names = OwnCookies {
            session: format!("{prefix}_session{at}"),
            flow_prefix: format!("{prefix}_flow{at}_"),
            signed_out: format!("{prefix}_signed_out{at}"),
        };
        Ok(Self { names, secure })
    }

    /// The names, as whoever takes them out of a request needs them.
    pub fn names(&self) -> &OwnCookies {
        &self.names
    }

    /// The name of a sign-in's cookie. None unless the id is of ASCII letters and digits.
    pub fn flow_name(&self, id: &str) -> Option<String> {
        is_flow_id(id).then(|| format!("{}{id}", self.names.flow_prefix))
    }

    /// The id in the name of a sign-in's cookie of this origin.
    pub fn flow_id<'a>(&self, name: &'a str) -> Option<&'a str> {
        name.strip_prefix(&self.names.flow_prefix).filter(|id| is_flow_id(id))
    }

    /// Hands a session to the browser, `life` being the time to its absolute end.
    #[expect(
        clippy::expect_used,
        clippy::missing_panics_doc,
        reason = "43 characters of base64url fit any cookie"
    )]
    pub fn set_session(&self, id: &SessionId, life: Duration) -> HeaderValue {
        self.set(&self.names.session, &id.text(), life).expect("a session cookie is short and plain")
    }

    /// Sets one of our cookies for `life`, counted in whole seconds.
    ///
    /// # Errors
    /// [`Unsettable`]: name and value are longer than a browser keeps, or hold what a cookie cannot hold.
    pub fn set(&self, name: &str, value: &str, life: Duration) -> Result<HeaderValue, Unsettable> {
        let seconds = i64::try_from(life.as_secs()).unwrap_or(i64::MAX);
        self.line(name, value, |cookie| cookie.set_max_age(cookie::time::Duration::seconds(seconds)))
    }

    /// Clears one of our cookies.
    ///
    /// # Errors
    /// [`Unsettable`]: this name cannot be said in a `Set-Cookie` line.
    pub fn clear(&self, name: &str) -> Result<HeaderValue, Unsettable> {
        self.line(name, "", |cookie| {
            cookie.set_max_age(cookie::time::Duration::ZERO);
            // For clients that know no `Max-Age`. A fixed moment: the crate's own removal would ask the wall clock.
            cookie.set_expires(OffsetDateTime::UNIX_EPOCH);
        })
    }

    fn line(
        &self,
        name: &str,
        value: &str,
        end: impl FnOnce(&mut Cookie<'_>),
    ) -> Result<HeaderValue, Unsettable> {
        let plain = !name.is_empty() && name.bytes().all(is_token_byte) && value.bytes().all(is_cookie_octet);
        if !plain || name.len() + value.len() > MAX_COOKIE_BYTES {
            return Err(Unsettable);
        }
        let mut cookie = Cookie::build((name, value))
            .path("/")
            .http_only(true)
            .same_site(SameSite::Lax)
            .secure(self.secure)
            .build();
        end(&mut cookie);
        let mut line = HeaderValue::try_from(cookie.to_string()).map_err(|_| Unsettable)?;
        line.set_sensitive(true);
        Ok(line)
    }
}

/// `_` and eight hexadecimal digits: enough to tell the few origins of one host apart, and nobody's secret.
fn origin_mark(public_url: &WebUrl) -> String {
    let origin = public_url.origin();
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, origin.as_bytes());
    digest.as_ref().iter().take(4).fold(String::from("_"), |mark, byte| format!("{mark}{byte:02x}"))
}

fn is_loopback(url: &WebUrl) -> bool {
    match url.parts().host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// No `_`: it parts the origin's mark from the id, so that an origin never takes another one's for its own.
fn is_flow_id(id: &str) -> bool {
    !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// RFC 9110 §5.6.2.
fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// RFC 6265 §4.1.1.
fn is_cookie_octet(byte: u8) -> bool {
    byte.is_ascii_graphic() && !matches!(byte, b'"' | b',' | b';' | b'\\')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::entropy::SeededEntropy;

    fn at(url: &str) -> CookieNames {
        CookieNames::for_origin(&url.parse().unwrap()).unwrap()
    }

    #[test]
    fn each_origin_has_names_of_its_own() {
        fn check(url: &str, session: &str, flow_prefix: &str, signed_out: &str) {
            let names = at(url);
            let expected = OwnCookies {
                session: session.to_owned(),
                flow_prefix: flow_prefix.to_owned(),
                signed_out: signed_out.to_owned(),
            };
            assert_eq!(names.names(), &expected, "{url}");
        }
        let usual = ("__Host-hero_session", "__Host-hero_flow_", "__Host-hero_signed_out");
        check("https://vm1.example.org", usual.0, usual.1, usual.2);
        check("https://vm1.example.org:443/", usual.0, usual.1, usual.2);
        check(
            "http://localhost:8080",
            "hero_session_a76d8c3e",
            "hero_flow_a76d8c3e_",
            "hero_signed_out_a76d8c3e",
        );
        check(
            "https://vm1.example.org:8443",
            "__Host-hero_session_632b652a",
            "__Host-hero_flow_632b652a_",
            "__Host-hero_signed_out_632b652a",
        );
        assert_ne!(at("http://localhost:8080").names(), at("http://localhost:8081").names());
        assert_eq!(at("http://localhost:8080/a"), at("http://localhost:8080"));
    }

    /// Holds: S1.
    #[test]
    fn plain_http_beyond_loopback_has_no_cookies() {
        for url in ["http://vm1.example.org", "http://10.0.0.5:80", "http://localhost.example.org"] {
            assert_eq!(CookieNames::for_origin(&url.parse().unwrap()), Err(UnsafeOrigin), "{url}");
        }
        for url in ["http://localhost", "http://vm1.localhost:1", "http://127.0.0.2:80", "http://[::1]:8080"]
        {
            assert!(CookieNames::for_origin(&url.parse().unwrap()).is_ok(), "{url}");
        }
    }

    /// Holds: S1.
    #[test]
    fn every_line_has_the_attributes_of_its_origin() {
        let id = SessionId::random(&SeededEntropy::new(1));
        let life = Duration::from_millis(86_400_999);
        let (text, tls, plain) = (id.text(), at("https://vm1.example.org"), at("http://localhost:8080"));
        let check = |line: HeaderValue, expected: &str| {
            assert_eq!(line.to_str().unwrap(), expected);
            assert!(line.is_sensitive());
        };
        check(
            tls.set_session(&id, life),
            &format!("__Host-hero_session={text}; HttpOnly; SameSite=Lax; Secure; Path=/; Max-Age=86400"),
        );
        check(
            plain.set_session(&id, life),
            &format!("hero_session_a76d8c3e={text}; HttpOnly; SameSite=Lax; Path=/; Max-Age=86400"),
        );
        check(
            tls.clear(&tls.names().session).unwrap(),
            "__Host-hero_session=; HttpOnly; SameSite=Lax; Secure; Path=/; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT",
        );
        check(
            plain.set(&plain.names().signed_out, "1", Duration::from_mins(10)).unwrap(),
            "hero_signed_out_a76d8c3e=1; HttpOnly; SameSite=Lax; Path=/; Max-Age=600",
        );
    }

    /// Holds: S1.
    #[test]
    fn a_cookie_that_no_browser_keeps_is_not_set() {
        let names = at("https://vm1.example.org");
        let name = names.flow_name("abc123").unwrap();
        let room = MAX_COOKIE_BYTES - name.len();
        assert!(names.set(&name, &"x".repeat(room), Duration::from_mins(15)).is_ok());
        assert_eq!(names.set(&name, &"x".repeat(room + 1), Duration::from_mins(15)), Err(Unsettable));
        for value in ["a;b", "a b", "a,b", "\"a\"", "a\r\nSet-Cookie: b=c", "é"] {
            assert_eq!(names.set(&name, value, Duration::from_mins(15)), Err(Unsettable), "{value:?}");
        }
        for name in ["", "a=b", "a;b", "a b", "a\0"] {
            assert_eq!(names.clear(name), Err(Unsettable), "{name:?}");
        }
    }

    #[test]
    fn an_origin_knows_its_own_flows_only() {
        let (usual, other) = (at("https://vm1.example.org"), at("https://vm1.example.org:8443"));
        let name = other.flow_name("abc123").unwrap();
        assert_eq!(other.flow_id(&name), Some("abc123"));
        assert_eq!(usual.flow_id(&name), None);
        assert_eq!(usual.flow_id("__Host-hero_flow_"), None);
        assert_eq!(usual.flow_id("__host-hero_flow_abc123"), None, "browsers tell names apart by case");
        assert_eq!(usual.flow_name("a_b"), None);
        assert_eq!(usual.flow_name("a;b"), None);
    }

    /// Holds: S1.
    #[test]
    fn no_name_is_one_of_the_forges() {
        for url in ["https://vm1.example.org", "https://vm1.example.org:8443", "http://localhost:8080"] {
            let names = at(url);
            for theirs in ["session", "persistent", "redirect_to", "lang", "flash", "i_like_gitea", "_csrf"] {
                assert!(!names.names().owns(theirs.as_bytes()), "{url} {theirs}");
            }
        }
    }
}
