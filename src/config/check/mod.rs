//! From words to meaning: each section is read in a file of its own, all complaints are gathered, and only a file
//! without errors becomes a [`Config`].

mod access;
mod address;
mod admin;
mod features;
mod forge;
mod hero_proc;
mod routes;
mod secret;
mod server;
mod session;

use toml::de::DeTable;

pub use admin::{Admin, MayCall, Place};
pub use routes::Route;
pub use session::{KeyPlan, Store, key_plan};

use crate::config::complaint::{Complaint, Report, Show, Spot};
use crate::config::keys::{self, Kind};
use crate::config::log::{AccessLog, Format, Level, LogSettings};
use crate::config::raw::{Section, Sections};
use crate::config::source::Source;
use crate::config::statement::{self, Statements};
use crate::config::{Config, forward, gate};

/// What came of a text.
#[derive(Debug)]
pub struct Checked {
    /// The configuration; none if there is an error among the complaints.
    pub config: Option<Config>,
    /// All that is wrong or worth knowing, in the order of the file.
    pub complaints: Vec<Complaint>,
}

/// Checks the text of a configuration file. It reads secrets, certificates and the store's permissions, and never
/// opens a connection but to hero_proc, if a secret is there.
pub fn check(text: &str, source: &Source) -> Checked {
    let mut report = Report::on(text);
    // What the parser can read needs no second reader.
    let statements = if DeTable::parse(text).is_ok() { Statements::default() } else { Statements::of(text) };
    for open in &statements.open {
        let spot = syntax_spot(text, open.at..open.at + 1);
        report.syntax(&spot, "this list has no end", "write the `]` that is missing");
    }
    // The parser would take all that follows for elements of the list.
    let legible = statement::without(text, &statements.open);
    let (document, errors) = DeTable::parse_recoverable(&legible);
    for error in errors {
        let spot = syntax_spot(text, error.span().unwrap_or(text.len()..text.len()));
        match spot.span.as_ref().and_then(|span| statements.first(span.start)) {
            Some((path, first)) if error.message().starts_with("duplicate key") => {
                let spot = Spot { key: path.to_owned(), ..spot };
                report.twice(&spot, first);
            }
            _ => report.syntax(&spot, error.message(), "correct this line"),
        }
    }
    let sections = Sections::read(document.get_ref(), text.len(), &mut report);
    let config = config(&sections, source, &mut report).filter(|_| !report.has_errors());
    Checked { config, complaints: report.into_complaints() }
}

/// A line that is no TOML is shown only where it plainly is about a key whose value is no secret.
fn syntax_spot(text: &str, span: std::ops::Range<usize>) -> Spot {
    let before = text.get(..span.start).unwrap_or_default();
    let line = text.get(before.rfind('\n').map_or(0, |at| at + 1)..).and_then(|rest| rest.lines().next());
    let key = line.and_then(|line| line.split_once('=')).map(|(key, _)| key.trim());
    let is_open = key.is_some_and(|key| {
        let mut kinds = keys::PARTS.iter().filter_map(|part| part.key(key)).map(|key| key.kind).peekable();
        kinds.peek().is_some() && kinds.all(|kind| kind != Kind::Secret)
    });
    Spot { key: String::new(), span: Some(span), show: if is_open { Show::Line } else { Show::Key } }
}

fn config(sections: &Sections<'_>, source: &Source, report: &mut Report<'_>) -> Option<Config> {
    // Before anything that may name a secret.
    let hero_proc = hero_proc::check(&sections.one("hero_proc"), source, report);
    let source = &hero_proc.map_or_else(|| source.clone(), |settings| source.with_hero_proc(settings));
    let limits = sections.one("limits");
    let words = admin::read(sections, source, report);
    let instead = words.as_ref().and_then(admin::Words::instead);
    let server = server::check(&sections.one("server"), &limits, instead, report);
    let forge = forge::check(&sections.one("forge"), source, report);
    let features = features::check(&sections.one("features"), report);
    let access = sections.one("access");
    // Alone, the admin part has a list of its own.
    let allow = if instead.is_some() && !access.has("allow") {
        Some(Vec::new())
    } else {
        access::allow_list(&access, "allow", report)
    };
    let session = session::check(&sections.one("session"), source, report);
    let prefix = server.as_ref().map(|server| server.prefix.as_str());
    let routes = routes::check(sections, prefix, source, report);
    let waits = waits(&limits, report);
    let log = log(&sections.one("log"), report);

    let (server, forge, features, allow) = (server?, forge?, features?, allow?);
    let (routes, waits, (store, session)) = (routes?, waits?, session?);
    if forge.settings.url.origin() == server.public_url.origin() {
        let spot = sections.one("server").spot("public_url");
        report.error(&spot, "the forge has this address too", "give each an address of its own");
    }
    let is_alone = words.as_ref().is_some_and(|words| words.alone);
    let admin = match words {
        Some(words) => Some(admin::place(words, &server, &forge.settings.url, sections, report)?),
        None => None,
    };
    let rules = if is_alone { admin::routes(&server.prefix) } else { routes::rules(&routes) };
    routes::warn_of_wide_tokens(sections, &routes, &allow, report);
    warn_of_idle_flag(sections, features.forge_token_pass_through, &routes, report);
    Some(Config {
        gate: gate::Settings {
            public_url: server.public_url,
            prefix: server.prefix,
            forge_url: forge.settings.url.clone(),
            client_id: forge.settings.client_id.clone(),
            scopes: forge.scopes,
            forge_token_pass_through: features.forge_token_pass_through,
            allow,
            routes: rules,
            session,
            min_ttl: waits.token_min_ttl,
            wait: waits.wait,
            forge_timeout: forge.settings.timeout,
            without_token: features.without_token,
            trusted_proxies: server.trusted_proxies,
            extra_reserved: features.extra_reserved,
            compat_oauth2_proxy: features.compat_oauth2_proxy,
        },
        forge: forge.settings,
        forward: forward::Settings { routes: routes::upstreams(&routes), ..waits.forward },
        serve: server.serve,
        routes,
        store,
        admin,
        log: log?,
        drain: waits.drain,
    })
}

struct Waits {
    wait: std::time::Duration,
    token_min_ttl: std::time::Duration,
    drain: std::time::Duration,
    /// Without routes yet.
    forward: forward::Settings,
}

fn waits(limits: &Section<'_>, report: &mut Report<'_>) -> Option<Waits> {
    let connect_timeout = limits.duration("connect_timeout", report);
    let response_timeout = limits.duration("response_timeout", report);
    let idle_timeout = limits.duration("upstream_idle_timeout", report);
    let pool_idle = limits.duration("pool_idle", report);
    let max_requests = limits.count("max_requests_per_upstream", report);
    let wait = limits.duration("wait", report);
    let token_min_ttl = limits.duration("token_min_ttl", report);
    let drain = limits.duration("drain", report);
    let forward = forward::Settings {
        routes: routes::upstreams(&[]),
        connect_timeout: connect_timeout?,
        response_timeout: response_timeout?,
        idle_timeout: idle_timeout?,
        pool_idle: pool_idle?,
        max_requests_per_upstream: usize::try_from(max_requests?).ok()?,
    };
    Some(Waits { wait: wait?, token_min_ttl: token_min_ttl?, drain: drain?, forward })
}

fn log(section: &Section<'_>, report: &mut Report<'_>) -> Option<LogSettings> {
    let level = section.choice("level", report);
    let format = section.choice("format", report);
    let access = section.choice("access", report);
    let lines_per_minute = section.count("lines_per_minute", report);
    Some(LogSettings {
        level: match level? {
            "error" => Level::Error,
            "warn" => Level::Warn,
            "debug" => Level::Debug,
            "trace" => Level::Trace,
            _ => Level::Info,
        },
        format: match format? {
            "text" => Format::Text,
            "json" => Format::Json,
            _ => Format::Auto,
        },
        access: match access? {
            "stderr" => AccessLog::Stderr,
            "off" => AccessLog::Off,
            _ => AccessLog::Stdout,
        },
        lines_per_minute: lines_per_minute?,
    })
}

/// The flag is on, and yet no token goes anywhere.
fn warn_of_idle_flag(sections: &Sections<'_>, flag: bool, routes: &[Route], report: &mut Report<'_>) {
    let opted_in = |route: &Route| route.rule.forge_token != gate::ForgeTokenFor::Nobody;
    if flag && !routes.iter().any(opted_in) {
        let spot = sections.one("features").spot("forge_token_pass_through");
        report.warn(
            &spot,
            "no route has forge_token, so no token is passed on",
            "write forge_token = true where it may go",
        );
    }
}

/// The certificates that a section's `ca` names, if it names any.
fn certificates(section: &Section<'_>, source: &Source, report: &mut Report<'_>) -> Option<Vec<u8>> {
    let text = section.text("ca", report)?;
    match source.certificates(&text.value) {
        Ok(pem) => Some(pem),
        Err(error) => {
            report.error(&text.spot, error.to_string(), "name a PEM file with the certificates to trust");
            None
        }
    }
}
