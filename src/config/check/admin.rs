//! `[admin]`: the operator's part, on an origin of its own.

use std::path::PathBuf;
use std::time::Duration;

use super::server::{self, Server};
use super::{address, secret};
use crate::base::path::RouteTable;
use crate::base::url::WebUrl;
use crate::config::complaint::Report;
use crate::config::raw::{Located, Section, Sections};
use crate::config::source::{SecretReference, Source};
use crate::config::{Config, gate};
use crate::serve::settings::Listen;

/// Whether this build has the admin part.
const IS_BUILT_IN: bool = cfg!(feature = "admin");

/// What `[admin]` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admin {
    /// How requests find it.
    pub place: Place,
    /// What an operator's browser sees.
    pub public_url: WebUrl,
    /// Which persons may call.
    pub allow: Vec<MayCall>,
    /// Where the forge's admin token is kept.
    pub token: SecretReference,
    /// The records' file.
    pub path: PathBuf,
    /// The Unix socket for programs, if there is one.
    pub socket: Option<Listen>,
    /// Where the e-mail addresses of those lie who have none.
    pub placeholder_domain: String,
    /// Whether passwords have symbols in them, too.
    pub password_symbols: bool,
    /// Calls a minute that one caller may make.
    pub calls_per_minute: u32,
    /// After how long an unused first password shows.
    pub unused_after: Duration,
}

/// How requests find the admin part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// There is nothing else: no routes.
    Alone,
    /// At addresses of its own.
    Own(Vec<Listen>),
    /// At the app's addresses, by the host of its public URL.
    Host,
    /// At the app's origin, below the prefix.
    AppsOrigin,
}

/// One line of `[admin] allow`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MayCall {
    /// `site-admin`
    SiteAdmin,
    /// `user:root1`
    User(String),
    /// `user-id:1`
    UserId(String),
}

/// `[admin]` before it is known what else there is.
pub(super) struct Words {
    listen: Option<Vec<Listen>>,
    public_url: Option<WebUrl>,
    allow: Option<Vec<MayCall>>,
    token: Option<SecretReference>,
    path: Option<PathBuf>,
    socket: Option<Listen>,
    same_origin: bool,
    placeholder_domain: Option<String>,
    password_symbols: Option<bool>,
    calls_per_minute: Option<u32>,
    unused_after: Option<Duration>,
    /// Whether there are no routes.
    pub(super) alone: bool,
}

impl Words {
    /// What stands instead of `[server]`'s own where the admin part is alone.
    pub(super) fn instead(&self) -> Option<(Option<&WebUrl>, Option<&[Listen]>)> {
        self.alone.then_some((self.public_url.as_ref(), self.listen.as_deref()))
    }
}

/// Reads `[admin]`, if it stands there.
pub(super) fn read(sections: &Sections<'_>, source: &Source, report: &mut Report<'_>) -> Option<Words> {
    let section = sections.each("admin").next()?;
    if !IS_BUILT_IN {
        let fix = "build it with the feature admin, or remove the section";
        report.error(&section.spot("public_url"), "this program was built without the admin part", fix);
    }
    let socket = section.text("socket", report).and_then(|text| socket(&text, report));
    let path = section.text("path", report).map(|text| source.path(&text.value));
    if let Some(path) = &path {
        secret::store_file(path, &section.spot("path"), report);
    }
    Some(Words {
        listen: section.has("listen").then(|| server::listen(section, report)).flatten(),
        public_url: server::public_url(section, report),
        allow: allow(section, report),
        token: token(section, source, report),
        path,
        socket,
        same_origin: section.flag("allow_same_origin", report).unwrap_or(false),
        placeholder_domain: placeholder_domain(section, report),
        password_symbols: section.flag("password_symbols", report),
        calls_per_minute: section
            .count("calls_per_minute", report)
            .and_then(|count| u32::try_from(count).ok()),
        unused_after: section.duration("unused_after", report),
        alone: sections.each("routes").next().is_none(),
    })
}

/// Finds the place of the admin part beside what else there is.
pub(super) fn place(
    words: Words,
    server: &Server,
    forge: &WebUrl,
    sections: &Sections<'_>,
    report: &mut Report<'_>,
) -> Option<Admin> {
    let section = sections.one("admin");
    let public_url = words.public_url?;
    let spot = section.spot("public_url");
    if public_url.origin() == forge.origin() {
        report.error(&spot, "the forge has this address too", "give each an address of its own");
    }
    let is_apps_origin = !words.alone && public_url.origin() == server.public_url.origin();
    let host = |url: &WebUrl| url.parts().host_str().map(str::to_owned);
    if is_apps_origin && !words.same_origin {
        let what = "the app has this address too: a script of the app's could act with an admin's session";
        report.error(&spot, what, "give it a host of its own, or write allow_same_origin = true");
    } else if is_apps_origin {
        let what =
            "the admin part shares the app's origin: a script of the app's can act with an admin's session";
        report.warn(&section.spot("allow_same_origin"), what, "give it a host of its own");
    } else if !words.alone && host(&public_url) == host(&server.public_url) {
        let what = "the app has this host too, at another port: cookies know no ports, so each would see the other's";
        if public_url.parts().scheme() == "https" {
            report.error(&spot, what, "give it a host of its own");
        } else {
            // On loopback, for a try-out.
            report.warn(&spot, what, "give it a host of its own: one localhost, the other 127.0.0.1");
        }
    }
    let place = match words.listen {
        _ if words.alone => Place::Alone,
        Some(_) if is_apps_origin => {
            let fix = "remove listen, or give it a public_url of its own";
            report.error(&section.spot("listen"), "at the app's origin it has the app's addresses", fix);
            return None;
        }
        None if is_apps_origin => Place::AppsOrigin,
        None => Place::Host,
        Some(listen) => Place::Own(listen),
    };
    let taken = |listen: &Listen| {
        let others = server.serve.listen.iter().chain(&server.serve.health);
        !server::is_any_port(listen) && others.clone().any(|other| other == listen)
    };
    if let Place::Own(listen) = &place
        && listen.iter().any(taken)
    {
        report.error(
            &section.spot("listen"),
            "visitors or probers come in at this address",
            "give it one of its own",
        );
    }
    let own = match &place {
        Place::Own(listen) => listen.as_slice(),
        _ => &[],
    };
    if words.socket.as_ref().is_some_and(|socket| taken(socket) || own.contains(socket)) {
        let what = "people come in at this socket; who comes in at [admin] socket may do everything";
        report.error(&section.spot("socket"), what, "give it a path of its own");
    }
    Some(Admin {
        place,
        public_url,
        allow: words.allow?,
        token: words.token?,
        path: words.path?,
        socket: words.socket,
        placeholder_domain: words.placeholder_domain?,
        password_symbols: words.password_symbols?,
        calls_per_minute: words.calls_per_minute?,
        unused_after: words.unused_after?,
    })
}

fn socket(text: &Located<String>, report: &mut Report<'_>) -> Option<Listen> {
    let socket = text.value.parse().ok().filter(|listen| matches!(listen, Listen::Unix(_)));
    match &socket {
        Some(socket) => address::warn_of_missing_folder(socket, &text.spot, report),
        None => report.error(&text.spot, "not a Unix socket", "write \"unix:/run/hero_proxy/admin.sock\""),
    }
    socket
}

fn token(section: &Section<'_>, source: &Source, report: &mut Report<'_>) -> Option<SecretReference> {
    let words = section.secret("token", report)?;
    secret::admin_token(&words, source, report)
}

fn placeholder_domain(section: &Section<'_>, report: &mut Report<'_>) -> Option<String> {
    let text = section.text("placeholder_domain", report)?;
    if crate::forge::admin::PlaceholderDomain::parse(&text.value).is_none() {
        report.error(&text.spot, "not a domain", "write one such as \"nomail.example.org\"");
        return None;
    }
    Some(text.value)
}

fn allow(section: &Section<'_>, report: &mut Report<'_>) -> Option<Vec<MayCall>> {
    const FORMS: &str = "write \"site-admin\", \"user:NAME\" or \"user-id:NUMBER\"";
    let texts = section.texts("allow", report)?;
    if texts.is_empty() {
        report.error(&section.spot("allow"), "the list is empty: no person could call", FORMS);
    }
    let mut all = Vec::new();
    for text in &texts {
        let read = match text.value.split_once(':') {
            None if text.value == "site-admin" => Some(MayCall::SiteAdmin),
            Some(("user", name)) => super::access::name_of(name).map(MayCall::User),
            Some(("user-id", id)) => super::access::id_of(id).map(MayCall::UserId),
            _ => None,
        };
        match read {
            Some(rule) => all.push(rule),
            None => report.error(&text.spot, format!("\"{}\" names nobody here", text.value), FORMS),
        }
    }
    Some(all)
}

/// The routes of the admin part: JSON-RPC asks for a key itself where nobody is signed in; people have to sign in for
/// everything else. Who of them may call, the room decides.
pub(super) fn routes(prefix: &str) -> RouteTable<gate::RouteRule> {
    let rule = |public| gate::RouteRule {
        public,
        allow: None,
        forge_token: gate::ForgeTokenFor::Nobody,
        groups: gate::GroupsFor::None,
        cross_origin: false,
        renew_on_401: false,
    };
    RouteTable::new([(format!("{prefix}/admin/rpc"), true, rule(true)), ("/".to_owned(), false, rule(false))])
}

impl Config {
    /// What the gate before the admin part is to know: the same as before the app, at another origin, and no token goes
    /// through it.
    pub fn admin_gate(&self, admin: &Admin) -> gate::Settings {
        gate::Settings {
            public_url: admin.public_url.clone(),
            routes: routes(&self.gate.prefix),
            allow: vec![gate::Allow::AnyUser],
            forge_token_pass_through: false,
            compat_oauth2_proxy: false,
            ..self.gate.clone()
        }
    }
}
