//! What a good configuration means, in plain sentences: the operator reads it once before the first start.

use std::fmt;

use serde::Serialize;

use crate::base::account::Group;
use crate::config::check::{Admin, MayCall, Place, Route, Store};
use crate::config::{Config, forward, gate};
use crate::forge::scope;

/// The meaning of a configuration.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// Where visitors come in.
    pub listen: Vec<String>,
    /// Where health is answered.
    pub health: Option<String>,
    /// What the browser sees.
    pub public_url: String,
    /// What must be registered at the forge, byte for byte.
    pub redirect_uri: String,
    /// The forge as the browser sees it.
    pub forge: String,
    /// What we call, if that is another address.
    pub forge_called_at: Option<String>,
    /// The scopes to ask for, as they are sent.
    pub scopes: String,
    /// What a token of these scopes can do, in the visitor's words.
    pub scope_power: String,
    /// Whether tokens are passed on at all.
    pub forge_token_pass_through: bool,
    /// Where sessions are kept.
    pub store: String,
    /// The routes in the order of the file.
    pub routes: Vec<RouteSummary>,
    /// The admin part, if there is one.
    pub admin: Option<AdminSummary>,
}

/// The meaning of `[admin]`.
#[derive(Clone, Debug, Serialize)]
pub struct AdminSummary {
    /// How requests find it.
    pub found: String,
    /// What an operator's browser sees.
    pub public_url: String,
    /// What must be registered at the forge for it.
    pub redirect_uri: String,
    /// Which persons may call.
    pub may_call: String,
    /// Which programs may.
    pub programs: String,
    /// Where the records are.
    pub records: String,
}

/// The meaning of a route.
#[derive(Clone, Debug, Serialize)]
pub struct RouteSummary {
    /// The prefix.
    pub path: String,
    /// Where it leads.
    pub upstream: String,
    /// Who may pass.
    pub may_pass: String,
    /// Whose token goes there, while the flag is on.
    pub forge_token: String,
    /// Which groups the upstream is told.
    pub groups: String,
}

impl Summary {
    /// What this configuration means.
    pub fn of(config: &Config) -> Self {
        let public_url = config.gate.public_url.origin();
        Self {
            listen: config.serve.listen.iter().map(ToString::to_string).collect(),
            health: config.serve.health.as_ref().map(ToString::to_string),
            redirect_uri: format!("{public_url}{}/auth/callback", config.gate.prefix),
            public_url,
            forge: config.forge.url.to_string(),
            forge_called_at: config.forge.internal_url.as_ref().map(ToString::to_string),
            scopes: config.gate.scopes.join(" "),
            scope_power: scope::power(&config.gate.scopes.join(" ")).to_string(),
            forge_token_pass_through: config.gate.forge_token_pass_through,
            store: store(&config.store),
            routes: config.routes.iter().map(|route| route_summary(route, &config.gate.allow)).collect(),
            admin: config.admin.as_ref().map(|admin| admin_summary(admin, &config.gate.prefix)),
        }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "Listens on      {}", self.listen.join(", "))?;
        writeln!(f, "Health          {}", self.health.as_deref().unwrap_or("not answered"))?;
        writeln!(f, "Visitors open   {}", self.public_url)?;
        match &self.forge_called_at {
            None => writeln!(f, "Forge           {}", self.forge)?,
            Some(internal) => writeln!(f, "Forge           {}, called at {internal}", self.forge)?,
        }
        writeln!(f, "Redirect URI    {} (register exactly this at the forge)", self.redirect_uri)?;
        writeln!(f, "Sessions        {}", self.store)?;
        writeln!(f, "Scopes          {}", self.scopes)?;
        writeln!(f, "\nA visitor gives away the power to")?;
        for sentence in self.scope_power.split("; ") {
            writeln!(f, "  - {sentence}")?;
        }
        writeln!(
            f,
            "\nThe flag is {}",
            if self.forge_token_pass_through {
                "on: tokens go where a route says so."
            } else {
                "off: no token goes anywhere, whatever a route says."
            }
        )?;
        for route in &self.routes {
            writeln!(f, "\n{} -> {}", route.path, route.upstream)?;
            writeln!(f, "  may pass: {}", route.may_pass)?;
            writeln!(f, "  token:    {}", route.forge_token)?;
            writeln!(f, "  groups:   {}", route.groups)?;
        }
        if let Some(admin) = &self.admin {
            writeln!(f, "\nAdmin part      {} ({})", admin.public_url, admin.found)?;
            writeln!(f, "  redirect URI: {} (register this, too)", admin.redirect_uri)?;
            writeln!(f, "  persons:      {}", admin.may_call)?;
            writeln!(f, "  programs:     {}", admin.programs)?;
            writeln!(f, "  records:      {}", admin.records)?;
        }
        Ok(())
    }
}

fn admin_summary(admin: &Admin, prefix: &str) -> AdminSummary {
    let public_url = admin.public_url.origin();
    let found = match &admin.place {
        Place::Alone => "there is nothing else here".to_owned(),
        Place::Own(listen) => listen.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
        Place::Host => "at the app's addresses, by its host".to_owned(),
        Place::AppsOrigin => format!("at the app's origin, below {prefix}/admin/"),
    };
    let persons = admin.allow.iter().map(|rule| match rule {
        MayCall::SiteAdmin => "site admins of the forge".to_owned(),
        MayCall::User(name) => format!("user {name}"),
        MayCall::UserId(id) => format!("user number {id}"),
    });
    let socket = admin.socket.as_ref().map(|socket| format!(", whoever may connect to {socket}"));
    AdminSummary {
        found,
        redirect_uri: format!("{public_url}{prefix}/auth/callback"),
        public_url,
        may_call: persons.collect::<Vec<_>>().join(", "),
        programs: format!("API keys{}", socket.unwrap_or_default()),
        records: admin.path.display().to_string(),
    }
}

fn store(store: &Store) -> String {
    match store {
        Store::Memory => "in memory: a restart signs everybody out".to_owned(),
        Store::Sqlite { path, key } => format!("in {}, sealed by {key}", path.display()),
    }
}

fn route_summary(route: &Route, allow: &[gate::Allow]) -> RouteSummary {
    let rule = &route.rule;
    RouteSummary {
        path: route.path.clone(),
        upstream: upstream(&route.upstream),
        may_pass: if rule.public {
            "everybody, signed in or not".to_owned()
        } else {
            visitors(rule.allow.as_deref().unwrap_or(allow))
        },
        forge_token: match &rule.forge_token {
            gate::ForgeTokenFor::Nobody => "no".to_owned(),
            gate::ForgeTokenFor::Everybody => "of everybody who is signed in and may pass".to_owned(),
            gate::ForgeTokenFor::Only(list) => format!("of {}", visitors(list)),
        },
        groups: match &rule.groups {
            gate::GroupsFor::None => "no".to_owned(),
            gate::GroupsFor::All => "all that the visitor is in".to_owned(),
            gate::GroupsFor::Only(list) => list.iter().map(group).collect::<Vec<_>>().join(", "),
        },
    }
}

fn upstream(upstream: &forward::Upstream) -> String {
    match upstream {
        forward::Upstream::Http { authority } => format!("http://{authority}"),
        forward::Upstream::Https { authority, .. } => format!("https://{authority}"),
        forward::Upstream::Unix { path } => format!("unix:{}", path.display()),
    }
}

fn visitors(list: &[gate::Allow]) -> String {
    let words = list.iter().map(|allow| match allow {
        gate::Allow::User(name) => format!("user {name}"),
        gate::Allow::UserId(id) => format!("user number {id}"),
        gate::Allow::Group(of) => format!("members of {}", group(of)),
        gate::Allow::AnyUser => "whoever can sign in at the forge".to_owned(),
    });
    words.collect::<Vec<_>>().join(", ")
}

fn group(group: &Group) -> String {
    match &group.team {
        None => group.org.clone(),
        Some(team) => format!("{}/{team}", group.org),
    }
}
