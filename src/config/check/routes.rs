//! `[[routes]]`: each becomes a rule for the gate and an upstream for forwarding, under one prefix.

use super::{access, address};
use crate::base::path::{self, PathForm, RouteTable};
use crate::base::url::WebUrl;
use crate::config::complaint::Report;
use crate::config::raw::{FlagOrTexts, Located, Section, Sections};
use crate::config::source::Source;
use crate::forward::settings::Upstream;
use crate::gate::settings::{Allow, ForgeTokenFor, GroupsFor, RouteRule};

/// A route, whole.
#[derive(Clone, Debug)]
pub struct Route {
    /// The prefix as written.
    pub path: String,
    /// What the gate does.
    pub rule: RouteRule,
    /// Where it leads.
    pub upstream: Upstream,
}

/// The table that the gate judges by.
pub(super) fn rules(routes: &[Route]) -> RouteTable<RouteRule> {
    RouteTable::new(routes.iter().map(|route| (route.path.clone(), route.rule.public, route.rule.clone())))
}

/// The table that requests are forwarded by: the same prefixes.
pub(super) fn upstreams(routes: &[Route]) -> RouteTable<Upstream> {
    RouteTable::new(
        routes.iter().map(|route| (route.path.clone(), route.rule.public, route.upstream.clone())),
    )
}

/// Reads all routes.
pub(super) fn check(
    sections: &Sections<'_>,
    prefix: Option<&str>,
    source: &Source,
    report: &mut Report<'_>,
) -> Option<Vec<Route>> {
    let mut routes: Vec<Option<Route>> = Vec::new();
    let mut paths: Vec<String> = Vec::new();
    for section in sections.each("routes") {
        let path = route_path(section, prefix, report);
        if let Some(path) = &path {
            let trimmed = path.trim_end_matches('/').to_owned();
            if paths.contains(&trimmed) {
                let fix = "give each route a path of its own";
                report.error(&section.spot("path"), "another route has this path", fix);
            }
            paths.push(trimmed);
        }
        let rule = rule(section, report);
        let upstream = upstream(section, rule.as_ref(), source, report);
        routes.push(path.zip(rule).zip(upstream).map(|((path, rule), upstream)| Route {
            path,
            rule,
            upstream,
        }));
    }
    if routes.is_empty() && sections.each("admin").next().is_none() {
        let fix = "add [[routes]] with path = \"/\" and upstream = \"http://127.0.0.1:9000\"";
        report.missing(&sections.end("routes"), "no route: there is nothing behind this proxy", fix);
    }
    routes.into_iter().collect()
}

fn route_path(section: &Section<'_>, prefix: Option<&str>, report: &mut Report<'_>) -> Option<String> {
    let Located { value, spot } = section.text("path", report)?;
    if !value.starts_with('/') {
        report.error(&spot, "a path starts with a slash", format!("write \"/{value}\""));
        return None;
    }
    let plain = value.chars().all(|c| c.is_ascii_graphic() && !"%?#;\\\"<>{}|^`".contains(c));
    let segments = value.split('/').all(|part| part != "." && part != "..") && !value.contains("//");
    if !(plain && segments && path::form(&value) == PathForm::Plain) {
        let fix = "write a plain path: no `.` or `..` segments, no `//`, `%`, `;`, `?`, `#`, spaces or letters beyond ASCII";
        report.error(&spot, "a path that different servers read differently", fix);
        return None;
    }
    let is_below =
        |outer: &str| value.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    if let Some(prefix) = prefix.filter(|prefix| is_below(prefix)) {
        let fix = format!("choose another path, or another prefix in [server] than \"{prefix}\"");
        report.error(&spot, "our own endpoints lie there: no request would reach this route", fix);
        return None;
    }
    Some(value)
}

fn rule(section: &Section<'_>, report: &mut Report<'_>) -> Option<RouteRule> {
    let forge_token = forge_token(section, report);
    let groups = groups(section, report);
    let allow = section.has("allow").then(|| access::allow_list(section, "allow", report));
    let public = section.flag("public", report);
    let cross_origin = section.flag("cross_origin", report);
    let renew_on_401 = section.flag("renew_on_401", report);
    if public == Some(true) && allow.is_some() {
        report.error(
            &section.spot("public"),
            "public lets everybody in, allow only some",
            "remove one of the two",
        );
    }
    let opted_in = forge_token.as_ref().is_some_and(|who| *who != ForgeTokenFor::Nobody);
    if renew_on_401 == Some(true) && !opted_in {
        let fix = "write forge_token = true, or remove it";
        report.warn(
            &section.spot("renew_on_401"),
            "this upstream gets no token, so it has none to refuse",
            fix,
        );
    }
    for (name, on) in [("public", public), ("cross_origin", cross_origin)] {
        if opted_in && on == Some(true) {
            report.warn(
                &section.spot(name),
                format!(
                    "{name} with forge_token: a page of another site can act with the visitor's token here"
                ),
                "give the token to a route of its own, unless the app checks where requests come from",
            );
        }
    }
    let allow = match allow {
        None => None,
        Some(list) => Some(list?),
    };
    Some(RouteRule {
        public: public?,
        allow,
        forge_token: forge_token?,
        groups: groups?,
        cross_origin: cross_origin?,
        renew_on_401: renew_on_401?,
    })
}

fn forge_token(section: &Section<'_>, report: &mut Report<'_>) -> Option<ForgeTokenFor> {
    Some(match section.flag_or_texts("forge_token", report)? {
        FlagOrTexts::Flag(false) => ForgeTokenFor::Nobody,
        FlagOrTexts::Flag(true) => ForgeTokenFor::Everybody,
        FlagOrTexts::Texts(texts) if texts.is_empty() => {
            report.error(&section.spot("forge_token"), "the list is empty", "write false, true, or for whom");
            return None;
        }
        FlagOrTexts::Texts(texts) => ForgeTokenFor::Only(access::visitors(&texts, report)),
    })
}

fn groups(section: &Section<'_>, report: &mut Report<'_>) -> Option<GroupsFor> {
    Some(match section.flag_or_texts("groups", report)? {
        FlagOrTexts::Flag(false) => GroupsFor::None,
        FlagOrTexts::Flag(true) => GroupsFor::All,
        FlagOrTexts::Texts(texts) if texts.is_empty() => {
            report.error(&section.spot("groups"), "the list is empty", "write false, true, or which groups");
            return None;
        }
        FlagOrTexts::Texts(texts) => GroupsFor::Only(access::groups(&texts, report)),
    })
}

fn upstream(
    section: &Section<'_>,
    rule: Option<&RouteRule>,
    source: &Source,
    report: &mut Report<'_>,
) -> Option<Upstream> {
    let allow_plaintext = section.flag("allow_plaintext", report);
    let ca_pem = super::certificates(section, source, report);
    let text = section.text("upstream", report)?;
    let is_https = text.value.starts_with("https://");
    if section.has("ca") && !is_https {
        let fix = "remove it, or write https://... in upstream";
        report.error(&section.spot("ca"), "certificates for an upstream without TLS", fix);
    }
    if let Some(path) = text.value.strip_prefix("unix:") {
        if !path.starts_with('/') || path.len() < 2 {
            report.error(&text.spot, "not the path of a socket", "write \"unix:/absolute/path\"");
            return None;
        }
        return Some(Upstream::Unix { path: path.into() });
    }
    if !(is_https || text.value.starts_with("http://")) {
        let fix = "write \"http://host:9000\", \"https://host:8443\" or \"unix:/path\"";
        report.error(&text.spot, "not the address of an upstream", fix);
        return None;
    }
    let url = address::origin(&text, report)?;
    let opted_in = rule.is_some_and(|rule| rule.forge_token != ForgeTokenFor::Nobody);
    if opted_in && allow_plaintext == Some(false) && address::is_plaintext_beyond_loopback(&url) {
        let fix = "write https://..., or allow_plaintext = true if nobody can listen on the way";
        report.error(&text.spot, "visitors' tokens would travel in the clear", fix);
    }
    http_upstream(&url, ca_pem)
}

/// A file of certificates that could not be read was told of, so that without it nothing starts.
fn http_upstream(url: &WebUrl, ca_pem: Option<Vec<u8>>) -> Option<Upstream> {
    let authority = address::authority(url)?;
    let is_https = url.parts().scheme() == "https";
    Some(if is_https { Upstream::Https { authority, ca_pem } } else { Upstream::Http { authority } })
}

/// Warns where a token goes to an upstream although anybody may come by.
pub(super) fn warn_of_wide_tokens(
    sections: &Sections<'_>,
    routes: &[Route],
    allow: &[Allow],
    report: &mut Report<'_>,
) {
    for (section, route) in sections.each("routes").zip(routes) {
        let who = match &route.rule.forge_token {
            ForgeTokenFor::Nobody => continue,
            ForgeTokenFor::Everybody => route.rule.allow.as_deref().unwrap_or(allow),
            ForgeTokenFor::Only(list) => list,
        };
        if who.contains(&Allow::AnyUser) {
            report.warn(
                &section.spot("forge_token"),
                "whoever runs this upstream gets a token of every user of the forge who comes by",
                "make sure that all who may come trust its owner, or say who: forge_token = [\"user:...\"]",
            );
        }
    }
}
