//! The law of headers, request side: what a client may not say is taken out, in one walk, before anything is decided.
//!
//! 1. Hop-by-hop fields go, and every field that `Connection` names (RFC 9110 §7.6.1). Host and framing are immune, and
//!    so is all that is injected later.
//! 2. Every name that *folds* to a reserved one goes: lower-cased, each byte that is neither letter nor digit read
//!    as `-`, as lenient backends read `_` or `.`.
//! 3. Our own cookies are taken out of `Cookie` and handed over; the others keep their order and bytes.
//! 4. `X-Request-Id` stays when it is short and harmless; what a believed peer says in `X-Forwarded-For` or `Forwarded` is
//!    handed over.
//!
//! Injection comes last (`inject`): after it nothing is removed, so no client can make a later step drop what we set.

use http::header::{self, HeaderMap, HeaderName, HeaderValue};

use crate::wire::{hops, name};

/// The names of our cookies at one origin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnCookies {
    /// The session's.
    pub session: String,
    /// What a sign-in flow's begins with.
    pub flow_prefix: String,
    /// The marker that says "signed out on purpose".
    pub signed_out: String,
}

impl OwnCookies {
    /// Whether a cookie of this name is ours. Case does not count, so that no backend sees a near miss.
    pub fn owns(&self, name: &[u8]) -> bool {
        let starts = |prefix: &str| {
            name.get(..prefix.len()).is_some_and(|head| head.eq_ignore_ascii_case(prefix.as_bytes()))
        };
        name.eq_ignore_ascii_case(self.session.as_bytes())
            || name.eq_ignore_ascii_case(self.signed_out.as_bytes())
            || starts(&self.flow_prefix)
    }
}

/// What is scrubbed beside the built-in names.
#[derive(Clone, Debug)]
pub struct ScrubRules {
    /// Our cookies.
    pub cookies: OwnCookies,
    /// Further reserved names of the operator's, folded (see [`fold`]).
    pub extra: Vec<String>,
}

/// The session cookie as it came.
#[derive(Clone, Debug, Default)]
pub enum SessionCookie {
    /// None there.
    #[default]
    Absent,
    /// One, of a length that an id can have.
    One(ShortText),
    /// One that cannot be an id, or more than one: no session, and it is to be cleared.
    Odd,
}

/// A cookie's value of at most 64 bytes, kept in place. It is a bearer secret: `Debug` redacts, and nothing compares it.
#[derive(Clone)]
pub struct ShortText {
    length: usize,
    bytes: [u8; 64],
}

impl ShortText {
    fn new(text: &[u8]) -> Option<Self> {
        let mut bytes = [0; 64];
        bytes.get_mut(..text.len())?.copy_from_slice(text);
        Some(Self { length: text.len(), bytes })
    }

    /// The value.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}

impl std::fmt::Debug for ShortText {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ShortText([redacted])")
    }
}

/// Another cookie of ours: a flow's, or the marker.
#[derive(Clone, PartialEq, Eq)]
pub struct OwnCookie {
    /// Its name as it came.
    pub name: String,
    /// Its value as it came.
    pub value: Vec<u8>,
}

impl std::fmt::Debug for OwnCookie {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OwnCookie").field("name", &self.name).finish_non_exhaustive()
    }
}

/// How many cookies of ours beside the session's are looked at; ten flows and a marker are the most that we set.
const MAX_OWN_COOKIES: usize = 32;

/// What a client said that was taken out, as far as somebody wants to know it.
#[derive(Clone, Debug, Default)]
pub struct Scrubbed {
    /// The session cookie.
    pub session: SessionCookie,
    /// Our other cookies, in order.
    pub cookies: Vec<OwnCookie>,
    /// The request id, if the client sent one that is short and harmless.
    pub request_id: Option<HeaderValue>,
    /// The addresses a believed peer says the request came through (`X-Forwarded-For`), as far as they make sense.
    pub forwarded_for: Option<HeaderValue>,
    /// The same, as it says it in `Forwarded` (RFC 7239): one `for` an element.
    pub forwarded: Option<HeaderValue>,
    /// Whether the request asks to leave HTTP (`Upgrade` named in `Connection`).
    pub upgrade: bool,
    /// How many header lines went because their name is reserved or folds to a reserved one.
    pub spoofed: usize,
}

/// A name as a lenient backend may read it: lower case, each byte that is neither letter nor digit as `-`.
pub fn fold(name: &str) -> String {
    name.bytes().map(|byte| char::from(folded(byte))).collect()
}

fn folded(byte: u8) -> u8 {
    if byte.is_ascii_alphanumeric() { byte.to_ascii_lowercase() } else { b'-' }
}

fn folds_to(name: &str, reserved: &str) -> bool {
    name.len() == reserved.len()
        && name.bytes().zip(reserved.bytes()).all(|(byte, wanted)| folded(byte) == wanted)
}

fn folds_under(name: &str, prefix: &str) -> bool {
    name.len() >= prefix.len()
        && name.bytes().zip(prefix.bytes()).all(|(byte, wanted)| folded(byte) == wanted)
}

/// Names that we set, that other products set to say who somebody is, or that a backend may take a URL or an address
/// from. Whatever begins so, once folded, is reserved.
const RESERVED_PREFIXES: [&str; 14] = [
    "x-hero-",
    "x-forwarded-",
    "x-auth-request-",
    "x-webauth-",
    "x-authentik-",
    "x-ssl-client-",
    "tailscale-",
    "x-pomerium-",
    "x-remote-",
    "x-vouch-",
    "x-goog-authenticated-user-",
    "x-amzn-oidc-",
    "x-ms-client-principal",
    "oidc-claim-",
];

/// Reserved whole names, folded.
const RESERVED: [&str; 20] = [
    "forwarded",
    "x-real-ip",
    "x-client-ip",
    "true-client-ip",
    "x-original-url",
    "x-original-uri",
    "x-original-method",
    "x-rewrite-url",
    "x-http-host-override",
    "x-remote-user",
    "remote-user",
    "remote-email",
    "remote-name",
    "remote-groups",
    "x-request-id",
    "x-goog-iap-jwt-assertion",
    "cf-access-jwt-assertion",
    "x-amzn-oidc-accesstoken",
    "proxy",
    "sudo",
];

/// What reserved names begin with.
const RESERVED_FIRST: &[u8] = b"xfrtcpso";

/// Names whose *aliases* are refused, since a lenient backend would see a second framing, host, cookie or credential;
/// in their exact spelling they follow their own rules.
const GUARDED: [&str; 10] = [
    "transfer-encoding",
    "content-length",
    "content-type",
    "host",
    "connection",
    "cookie",
    "authorization",
    "proxy-authorization",
    "sec-fetch-site",
    "via",
];

/// Whether a name, once folded, is one that clients may not send. `name` is lower case, as [`HeaderName`] keeps it.
pub fn is_reserved(name: &str, extra: &[String]) -> bool {
    // One letter decides nearly always: this is asked for every header line of every request.
    let first = name.bytes().next().map_or(0, folded);
    let begins_so = |listed: &&&str| listed.as_bytes().first() == Some(&first);
    let listed = RESERVED_FIRST.contains(&first)
        && (RESERVED_PREFIXES.iter().filter(begins_so).any(|prefix| folds_under(name, prefix))
            || RESERVED.iter().filter(begins_so).any(|reserved| folds_to(name, reserved)));
    listed
        || (name.bytes().any(|byte| folded(byte) != byte)
            && GUARDED.iter().any(|guarded| folds_to(name, guarded) && name != *guarded))
        || extra.iter().any(|reserved| folds_to(name, reserved))
}

const CLEAR_SITE_DATA: HeaderName = HeaderName::from_static("clear-site-data");

/// Fields that belong to one hop (RFC 9110 §7.6.1), in lower case.
fn is_hop_by_hop(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "connection"
            | "proxy-connection"
            | "keep-alive"
            | "te"
            | "trailer"
            | "transfer-encoding"
            | "upgrade"
            | "proxy-authorization"
            | "proxy-authenticate"
            | "proxy-authentication-info"
            | "http2-settings"
    )
}

/// Fields that an honest proxy in front of us sets: from a believed peer they are no forgery, whether they count or not.
fn is_of_a_proxy(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "forwarded"
            | "x-forwarded-for"
            | "x-forwarded-host"
            | "x-forwarded-port"
            | "x-forwarded-proto"
            | "x-forwarded-server"
            | "x-real-ip"
    )
}

/// Fields that `Connection` cannot take away.
fn is_immune(name: &HeaderName) -> bool {
    matches!(
        *name,
        header::HOST
            | header::CONTENT_LENGTH
            | header::TRANSFER_ENCODING
            | header::CONTENT_TYPE
            | header::ORIGIN
    ) || name.as_str().starts_with("sec-fetch-")
}

/// Scrubs a request's headers; `believed` says whether the peer's `X-Forwarded-*` count.
pub fn scrub(headers: &mut HeaderMap, rules: &ScrubRules, believed: bool) -> Scrubbed {
    let mut seen = Scrubbed::default();
    let mut drop: Vec<HeaderName> = Vec::new();
    let mut cookies = false;

    // What must be read before it is removed.
    seen.request_id = request_id(headers);
    if believed {
        seen.forwarded_for = hops::believed(headers.get_all(&name::FORWARDED_FOR).iter());
        seen.forwarded = hops::believed_elements(headers.get_all(header::FORWARDED).iter());
    }
    for line in headers.get_all(header::CONNECTION).iter().chain(headers.get_all("proxy-connection").iter()) {
        for listed in tokens(line) {
            seen.upgrade |= listed.eq_ignore_ascii_case(b"upgrade") && headers.contains_key(header::UPGRADE);
            // A name that is not there, or that cannot be a name, has nothing to remove.
            if let Ok(listed) = HeaderName::from_bytes(listed)
                && !is_immune(&listed)
                && listed != header::COOKIE
                && headers.contains_key(&listed)
            {
                drop.push(listed);
            }
        }
    }

    for field in headers.keys() {
        if *field == header::COOKIE {
            cookies = true;
        } else if is_reserved(field.as_str(), &rules.extra) {
            if *field != name::REQUEST_ID && !(believed && is_of_a_proxy(field)) {
                seen.spoofed += headers.get_all(field).iter().count();
            }
            drop.push(field.clone());
        } else if is_hop_by_hop(field) {
            drop.push(field.clone());
        }
    }
    for field in &drop {
        headers.remove(field);
    }
    if cookies {
        take_cookies(headers, &rules.cookies, &mut seen);
    }
    seen
}

/// The members of a comma-separated list, trimmed.
fn tokens(line: &HeaderValue) -> impl Iterator<Item = &[u8]> {
    line.as_bytes().split(|byte| *byte == b',').map(<[u8]>::trim_ascii).filter(|token| !token.is_empty())
}

/// One `X-Request-Id` of 1 to 64 harmless bytes; anything else is none.
pub fn request_id(headers: &HeaderMap) -> Option<HeaderValue> {
    let id = only(headers, &name::REQUEST_ID)?;
    let harmless = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    (1..=64).contains(&id.len()).then_some(()).filter(|()| id.as_bytes().iter().all(harmless)).map(|()| id)
}

fn only(headers: &HeaderMap, name: &HeaderName) -> Option<HeaderValue> {
    let mut lines = headers.get_all(name).iter();
    let first = lines.next()?;
    lines.next().is_none().then(|| first.clone())
}

/// Takes our cookies out of all `Cookie` lines. What is left is one line, joined by `; ` (RFC 9113 §8.2.3), or none.
fn take_cookies(headers: &mut HeaderMap, own: &OwnCookies, seen: &mut Scrubbed) {
    let lines = headers.get_all(header::COOKIE);
    let untouched = {
        // The glance that most requests end at: one line, and nothing of ours in it.
        let mut found = lines.iter().flat_map(|line| pairs(line.as_bytes())).peekable();
        let one_line = lines.iter().nth(1).is_none();
        one_line && found.peek().is_some() && !found.any(|pair| own.owns(name_of(pair)))
    };
    if untouched {
        return;
    }
    let mut rest: Vec<u8> = Vec::new();
    for pair in lines.iter().flat_map(|line| pairs(line.as_bytes())) {
        let name = name_of(pair);
        if !own.owns(name) {
            if !rest.is_empty() {
                rest.extend_from_slice(b"; ");
            }
            rest.extend_from_slice(pair);
            continue;
        }
        let value = pair
            .get(name.len()..)
            .and_then(|tail| tail.trim_ascii_start().strip_prefix(b"="))
            .unwrap_or_default();
        if name == own.session.as_bytes() {
            // Two of them: somebody planted one (RFC 6265bis §5), and no order tells which. Neither counts.
            seen.session = match (&seen.session, ShortText::new(value)) {
                (SessionCookie::Absent, Some(text)) => SessionCookie::One(text),
                _ => SessionCookie::Odd,
            };
        } else if seen.cookies.len() < MAX_OWN_COOKIES
            && let Ok(name) = std::str::from_utf8(name)
        {
            seen.cookies.push(OwnCookie { name: name.to_owned(), value: value.to_vec() });
        }
    }
    match HeaderValue::from_bytes(&rest) {
        Ok(mut value) if !rest.is_empty() => {
            value.set_sensitive(true);
            headers.insert(header::COOKIE, value);
        }
        _ => {
            headers.remove(header::COOKIE);
        }
    }
}

/// The `name=value` pairs of a `Cookie` line, trimmed, empty ones left out.
fn pairs(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(|byte| *byte == b';').map(<[u8]>::trim_ascii).filter(|pair| !pair.is_empty())
}

fn name_of(pair: &[u8]) -> &[u8] {
    pair.split(|byte| *byte == b'=').next().unwrap_or_default().trim_ascii_end()
}

/// The name under which a browser sends a cookie back. One without a name (`=a=b`) comes back as its value: as `a=b`, so
/// that `a` is what it sets.
fn set_by(pair: &[u8]) -> &[u8] {
    let nameless = |byte: &u8| *byte == b'=' || byte.is_ascii_whitespace();
    let begin = pair.iter().position(|byte| !nameless(byte)).unwrap_or(pair.len());
    name_of(pair.get(begin..).unwrap_or_default())
}

/// Scrubs an answer of the backend: our cookies, our names and `Clear-Site-Data` for cookies are not the
/// backend's to send. Says how many lines went.
pub fn scrub_answer(headers: &mut HeaderMap, rules: &ScrubRules) -> usize {
    let mut dropped = 0;
    let ours = |field: &&HeaderName| {
        folds_under(field.as_str(), "x-hero-") || folds_to(field.as_str(), "x-forwarded-access-token")
    };
    let named: Vec<HeaderName> = headers.keys().filter(ours).cloned().collect();
    for field in named {
        dropped += headers.get_all(&field).iter().count();
        headers.remove(&field);
    }
    let sets_ours = |line: &HeaderValue| {
        pairs(line.as_bytes()).next().is_some_and(|pair| rules.cookies.owns(set_by(pair)))
    };
    if headers.get_all(header::SET_COOKIE).iter().any(sets_ours) {
        let lines: Vec<HeaderValue> = headers.get_all(header::SET_COOKIE).iter().cloned().collect();
        headers.remove(header::SET_COOKIE);
        for line in lines {
            if sets_ours(&line) {
                dropped += 1;
            } else {
                headers.append(header::SET_COOKIE, line);
            }
        }
    }
    let clears = headers.get_all(CLEAR_SITE_DATA);
    if clears.iter().flat_map(tokens).any(|kind| matches!(kind, b"\"cookies\"" | b"\"*\"")) {
        dropped += clears.iter().count();
        headers.remove(CLEAR_SITE_DATA);
    }
    dropped
}

#[cfg(test)]
mod tests;
