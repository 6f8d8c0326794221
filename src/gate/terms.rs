//! One configuration and what follows from it, and the first look at a request by it (pure).

use std::net::IpAddr;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderValue, Method, header};

use crate::base::path::PathForm;
use crate::base::peer::Peer;
use crate::base::seal::Sealer;
use crate::gate::flow::Flows;
use crate::gate::reason::{self, Reason};
use crate::gate::settings::Settings;
use crate::session::cookie::{CookieNames, UnsafeOrigin};
use crate::wire::hops;
use crate::wire::inject::ForwardedHeaders;
use crate::wire::scrub::{ScrubRules, Scrubbed, fold};

/// One configuration, and what follows from it.
#[derive(Debug)]
pub(super) struct Terms {
    pub settings: Settings,
    /// Our origin as browsers write it (RFC 6454 §6.2).
    pub origin: String,
    /// The Host that we answer to, and with an explicit default port too.
    hosts: [String; 2],
    pub cookies: CookieNames,
    pub rules: ScrubRules,
    pub scope: String,
    proto: HeaderValue,
    host: HeaderValue,
}

impl Terms {
    /// What follows from these settings.
    ///
    /// # Errors
    /// [`UnsafeOrigin`]
    pub(super) fn new(settings: Settings) -> Result<Self, UnsafeOrigin> {
        let cookies = CookieNames::for_origin(&settings.public_url)?;
        let rules = ScrubRules {
            cookies: cookies.names().clone(),
            extra: settings.extra_reserved.iter().map(|name| fold(name)).collect(),
        };
        let public_url = settings.public_url.parts();
        let host = public_url.host_str().unwrap_or_default().to_owned();
        let port = public_url.port_or_known_default().unwrap_or_default();
        let bare = if public_url.port().is_some() { format!("{host}:{port}") } else { host.clone() };
        Ok(Self {
            origin: settings.public_url.origin(),
            host: HeaderValue::from_str(&bare).unwrap_or(HeaderValue::from_static("-")),
            hosts: [bare, format!("{host}:{port}")],
            cookies,
            rules,
            scope: settings.scopes.join(" "),
            proto: HeaderValue::from_static(if public_url.scheme() == "https" { "https" } else { "http" }),
            settings,
        })
    }

    /// How sign-ins under way are kept in browsers at this origin.
    pub(super) fn flows<'a>(&'a self, sealer: &'a Sealer) -> Flows<'a> {
        Flows { names: &self.cookies, origin: &self.origin, sealer }
    }
}

/// Whether the request is one that nobody here answers to, whoever sends it.
pub(super) fn misshapen(head: &Parts, form: PathForm, terms: &Terms) -> Option<Reason> {
    if matches!(head.method, Method::CONNECT | Method::TRACE) {
        return Some(reason::BAD_METHOD);
    }
    if form == PathForm::Broken {
        return Some(reason::BAD_PATH);
    }
    // RFC 9112 §3.2.2: the authority of an absolute target wins over the Host field.
    let authority = head.uri.authority().map(|authority| authority.as_str().as_bytes());
    let mut lines = head.headers.get_all(header::HOST).iter();
    let (host, more) = (lines.next(), lines.next());
    let Some(host) = authority.or(host.map(HeaderValue::as_bytes)).filter(|_| more.is_none()) else {
        return Some(reason::BAD_HOST);
    };
    let served = terms.hosts.iter().any(|ours| host.eq_ignore_ascii_case(ours.as_bytes()));
    (!served).then_some(reason::UNKNOWN_HOST)
}

/// What the backend learns of where the request came from: from the connection, and from a believed peer's words.
pub(super) fn forwarded(head: &Parts, scrubbed: &Scrubbed, terms: &Terms) -> ForwardedHeaders {
    let peer = match head.extensions.get::<Peer>() {
        Some(Peer::Ip(address)) => Some(address.ip().to_canonical()),
        Some(Peer::Unix) | None => None,
    };
    let client = with(scrubbed.forwarded_for.as_ref(), peer.and_then(address_value));
    // Who sends none needs none: X-Forwarded-For says the same.
    let hops = scrubbed.forwarded.as_ref().and_then(|before| {
        with(Some(before), peer.and_then(|peer| HeaderValue::try_from(hops::element(peer)).ok()))
    });
    ForwardedHeaders {
        client,
        hops,
        // What the browser sees is configured, not guessed, so a header cannot alter it.
        proto: Some(terms.proto.clone()),
        host: Some(terms.host.clone()),
        authority: head.uri.authority().map(|_| terms.host.clone()),
    }
}

/// A list and one more member of it, as far as there are any.
fn with(before: Option<&HeaderValue>, last: Option<HeaderValue>) -> Option<HeaderValue> {
    match (before, last) {
        (Some(before), Some(last)) => {
            HeaderValue::from_bytes(&[before.as_bytes(), b", ", last.as_bytes()].concat()).ok()
        }
        (Some(before), None) => Some(before.clone()),
        (None, last) => last,
    }
}

/// An address as a header's value. Of IPv4 by hand: it is written for every request, and a formatter costs ten times as much.
fn address_value(address: IpAddr) -> Option<HeaderValue> {
    let IpAddr::V4(address) = address else { return HeaderValue::from_str(&address.to_string()).ok() };
    let mut text = Vec::with_capacity(15);
    for (place, octet) in address.octets().into_iter().enumerate() {
        if place > 0 {
            text.push(b'.');
        }
        if octet >= 100 {
            text.push(b'0' + octet / 100);
        }
        if octet >= 10 {
            text.push(b'0' + octet / 10 % 10);
        }
        text.push(b'0' + octet % 10);
    }
    HeaderValue::from_maybe_shared(Bytes::from(text)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_written_as_everybody_writes_it() {
        for octet in 0..=255 {
            let address = IpAddr::from([octet, 255 - octet, 0, octet / 3]);
            assert_eq!(address_value(address).unwrap(), address.to_string());
        }
        let address: IpAddr = "2001:db8::1".parse().unwrap();
        assert_eq!(address_value(address).unwrap(), "2001:db8::1");
    }
}
