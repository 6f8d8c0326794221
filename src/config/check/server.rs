//! `[server]` and the serving half of `[limits]`.

use super::address;
use crate::base::path::{self, PathForm};
use crate::base::peer::TrustedPeers;
use crate::base::url::WebUrl;
use crate::config::complaint::Report;
use crate::config::raw::{Located, Section};
use crate::serve::settings::{Limits, Listen, Settings};
use crate::wire::trust::{BadNetwork, Network};

/// What `[server]` says.
pub(super) struct Server {
    pub(super) serve: Settings,
    pub(super) public_url: WebUrl,
    pub(super) prefix: String,
    pub(super) trusted_proxies: TrustedPeers,
}

/// Reads `[server]` and its limits.
///
/// `instead`: the public URL and the addresses of `[admin]` where there is nothing else.
pub(super) fn check(
    server: &Section<'_>,
    limits: &Section<'_>,
    instead: Option<(Option<&WebUrl>, Option<&[Listen]>)>,
    report: &mut Report<'_>,
) -> Option<Server> {
    let listen = match instead {
        Some((_, Some(own))) => {
            not_used(server, "listen", report);
            Some(own.to_vec())
        }
        Some((_, None)) | None => listen(server, report),
    };
    let health = health(server, listen.as_deref().unwrap_or_default(), report);
    let public_url = match instead {
        Some((own, _)) => {
            not_used(server, "public_url", report);
            own.cloned()
        }
        None => public_url(server, report),
    };
    let prefix = prefix(server, report);
    let trusted_proxies = trusted_proxies(server, report);
    let limits = serving_limits(limits, report);
    let serve = Settings { listen: listen?, health, limits: limits?, unix_mode: 0o660 };
    Some(Server { serve, public_url: public_url?, prefix: prefix?, trusted_proxies: trusted_proxies? })
}

/// There are no routes, and `[admin]` says it for itself.
fn not_used(server: &Section<'_>, name: &'static str, report: &mut Report<'_>) {
    if server.has(name) {
        let what = "not used: there are no routes, and [admin] has its own";
        report.warn(&server.spot(name), what, "remove it");
    }
}

fn serving_limits(limits: &Section<'_>, report: &mut Report<'_>) -> Option<Limits> {
    let max_connections = limits.count("max_connections", report);
    let head_timeout = limits.duration("head_timeout", report);
    let client_idle_timeout = limits.duration("client_idle_timeout", report);
    let max_headers = limits.count("max_headers", report);
    let max_head_bytes = limits.size("max_head_size", report);
    let max_target_bytes = limits.size("max_target_size", report);
    let max_body_bytes = limits.size("max_body_size", report);
    if max_head_bytes.zip(max_target_bytes).is_some_and(|(head, target)| target > head) {
        let fix = "write no more than max_head_size";
        report.error(&limits.spot("max_target_size"), "a target larger than the whole head", fix);
    }
    Some(Limits {
        max_connections: usize::try_from(max_connections?).ok()?,
        head_timeout: head_timeout?,
        client_idle_timeout: client_idle_timeout?,
        max_headers: usize::try_from(max_headers?).ok()?,
        max_head_bytes: usize::try_from(max_head_bytes?).ok()?,
        max_target_bytes: usize::try_from(max_target_bytes?).ok()?,
        max_body_bytes: max_body_bytes?,
    })
}

pub(super) fn listen(server: &Section<'_>, report: &mut Report<'_>) -> Option<Vec<Listen>> {
    let texts = server.texts("listen", report)?;
    if texts.is_empty() {
        report.error(
            &server.spot("listen"),
            "no address to listen on",
            "write one, such as [\"127.0.0.1:8080\"]",
        );
    }
    let mut all: Vec<Listen> = Vec::new();
    for text in &texts {
        let Some(listen) = address_to_listen_on(text, report) else { continue };
        if all.contains(&listen) && !is_any_port(&listen) {
            report.error(&text.spot, "this address stands twice", "remove one of the two");
        }
        if is_public(&listen) {
            report.warn(
                &text.spot,
                "other machines reach this address, and it speaks plain HTTP: cookies travel in the clear",
                "listen on loopback or a Unix socket behind whatever ends TLS, or let only that machine reach it",
            );
        }
        all.push(listen);
    }
    Some(all)
}

fn health(server: &Section<'_>, listen: &[Listen], report: &mut Report<'_>) -> Option<Listen> {
    let text = server.text("health", report)?;
    let health = address_to_listen_on(&text, report)?;
    if is_public(&health) {
        let fix = "write an address such as \"127.0.0.1:9180\"";
        report.error(&text.spot, "the health listener may be on loopback or a Unix socket only", fix);
        return None;
    }
    if listen.contains(&health) && !is_any_port(&health) {
        report.error(
            &text.spot,
            "visitors come in at this address",
            "give the health listener one of its own",
        );
        return None;
    }
    Some(health)
}

fn address_to_listen_on(text: &Located<String>, report: &mut Report<'_>) -> Option<Listen> {
    let listen = text.value.parse().ok();
    if let Some(listen) = &listen {
        address::warn_of_missing_folder(listen, &text.spot, report);
    } else {
        let fix = "write \"ADDRESS:PORT\" with a numeric address, \"[IPv6]:PORT\" or \"unix:/path\"";
        report.error(&text.spot, "not an address to listen on", fix);
    }
    listen
}

pub(super) fn is_any_port(listen: &Listen) -> bool {
    matches!(listen, Listen::Tcp(address) if address.port() == 0)
}

fn is_public(listen: &Listen) -> bool {
    matches!(listen, Listen::Tcp(address) if !address.ip().to_canonical().is_loopback())
}

pub(super) fn public_url(server: &Section<'_>, report: &mut Report<'_>) -> Option<WebUrl> {
    let text = server.text("public_url", report)?;
    let url = address::origin(&text, report)?;
    if address::is_plaintext_beyond_loopback(&url) {
        let fix = "write https://...; plain http is for localhost, 127.0.0.0/8 and ::1";
        report.error(&text.spot, "plain http: session cookies would travel in the clear", fix);
        return None;
    }
    Some(url)
}

fn prefix(server: &Section<'_>, report: &mut Report<'_>) -> Option<String> {
    let text = server.text("prefix", report)?;
    let plain = text.value.chars().all(|c| c.is_ascii_alphanumeric() || "/_-.".contains(c));
    let is_name = |part: &str| !part.trim_matches('.').is_empty();
    let segments = text.value.strip_prefix('/').is_some_and(|rest| rest.split('/').all(is_name));
    if !(plain && segments && path::form(&text.value) == PathForm::Plain) {
        let fix = "write a path such as \"/_hero\": letters, digits, `_`, `-`, `.`, no slash at the end";
        report.error(&text.spot, "not a path prefix", fix);
        return None;
    }
    Some(text.value)
}

fn trusted_proxies(server: &Section<'_>, report: &mut Report<'_>) -> Option<TrustedPeers> {
    let mut trusted = TrustedPeers::default();
    for text in server.texts("trusted_proxies", report)? {
        match text.value.parse::<Network>() {
            Ok(network) => {
                if network.is_whole_family() {
                    let fix = "name the proxy's own address";
                    report.warn(&text.spot, "everybody's X-Forwarded-* headers are believed", fix);
                }
                trusted.networks.push(network);
            }
            Err(_) if text.value == "unix" => trusted.unix = true,
            Err(BadNetwork::HostBits) => {
                let fix = "write its first address (\"10.1.0.0/16\"), or one address without a length";
                report.error(&text.spot, "an address within a network, and no network", fix);
            }
            Err(_) => {
                let fix = "write an address (\"10.0.0.5\"), a network (\"10.0.0.0/8\") or \"unix\"";
                report.error(&text.spot, "not an address or a network", fix);
            }
        }
    }
    Some(trusted)
}
