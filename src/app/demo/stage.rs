//! What a demo is set up with: its ports, the forge with its people, and the configuration, as an operator would write it.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

use url::Url;

use super::{CLIENT_ID, DemoAccount, DemoSettings, REPOSITORY};
use crate::base::entropy::{Entropy as _, OsEntropy};
use crate::base::secret::SecretText;
use crate::forge::fake::{FakeForge, FakeSettings, NewApplication, NewRepository, NewUser, Unknown};
use crate::serve::settings::{Limits, Listen, Settings};
use crate::serve::{BindError, Listeners};

/// The ports that are tried: the wanted one, then whichever is free.
fn ports(wanted: u16) -> [u16; 4] {
    [wanted, 0, 0, 0]
}

async fn bind(port: u16) -> Result<(Listeners, u16), BindError> {
    let address = Listen::Tcp(SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    let listeners = Listeners::bind(&Settings {
        listen: vec![address.clone()],
        health: None,
        limits: Limits::default(),
        unix_mode: 0o660,
    })
    .await?;
    match listeners.addresses().pop() {
        Some(Listen::Tcp(bound)) => Ok((listeners, bound.port())),
        _ => Err(BindError { listen: address, source: io::ErrorKind::AddrNotAvailable.into() }),
    }
}

fn taken(port: u16) -> BindError {
    let listen = Listen::Tcp(SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    BindError { listen, source: io::ErrorKind::AddrInUse.into() }
}

/// Both loopbacks at one port: browsers try either first. What is bound here is served later, so nobody comes in between.
pub(super) async fn app_listeners(wanted: u16) -> Result<(Listeners, u16), BindError> {
    let mut refused = taken(wanted);
    for port in ports(wanted) {
        let (mut listeners, port) = match bind(port).await {
            Ok(bound) => bound,
            Err(failed) => {
                refused = failed;
                continue;
            }
        };
        match listeners.bind_also(SocketAddr::from((Ipv6Addr::LOCALHOST, port))).await {
            // Somebody else's: half of the browsers would go there.
            Err(failed) if failed.source.kind() == io::ErrorKind::AddrInUse => refused = failed,
            // Some machines have none.
            Ok(()) | Err(_) => return Ok((listeners, port)),
        }
    }
    Err(refused)
}

/// The operator's page is opened by number, so one loopback will do.
pub(super) async fn admin_listeners(wanted: u16) -> Result<(Listeners, u16), BindError> {
    let mut refused = taken(wanted);
    for port in ports(wanted) {
        match bind(port).await {
            Ok(bound) => return Ok(bound),
            Err(failed) => refused = failed,
        }
    }
    Err(refused)
}

pub(super) async fn fake_forge(settings: &DemoSettings) -> io::Result<FakeForge> {
    let mut refused = io::ErrorKind::AddrInUse.into();
    for port in ports(settings.forge_port) {
        let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let fake = FakeSettings {
            version: settings.version,
            token_lifetime: settings.token_lifetime,
            listen,
            ..FakeSettings::default()
        };
        match FakeForge::start(fake).await {
            Ok(forge) => return Ok(forge),
            Err(taken) => refused = taken,
        }
    }
    Err(refused)
}

/// Who can sign in, and what the operator's part shows the forge.
pub(super) struct People {
    pub accounts: [DemoAccount; 2],
    pub operator: DemoAccount,
    pub admin_token: SecretText,
}

pub(super) fn furnish(forge: &FakeForge, urls: [&Url; 2], client_secret: &str) -> Result<People, Unknown> {
    let account = |login| DemoAccount { login, password: readable_password() };
    let accounts = [account("alice"), account("nina")];
    let [alice, nina] = &accounts;
    forge.add_user(NewUser {
        full_name: "Alice Example".to_owned(),
        ..NewUser::new(alice.login, &alice.password)
    });
    forge.add_user(NewUser {
        full_name: "Nina New".to_owned(),
        must_change_password: true,
        ..NewUser::new(nina.login, &nina.password)
    });
    let operator = account("olga");
    forge.add_user(NewUser {
        full_name: "Olga Operator".to_owned(),
        site_admin: true,
        ..NewUser::new(operator.login, &operator.password)
    });
    let admin_token = forge.add_personal_token(operator.login, &["write:admin", "read:user"])?;
    let admin_token = SecretText::new(admin_token.expose());

    let (owner, name) = REPOSITORY;
    forge.add_user(NewUser::new(owner, &readable_password()));
    forge.add_member(alice.login, "acme", Some("ops"));
    forge.add_repository(NewRepository { owner: owner.to_owned(), name: name.to_owned(), private: false })?;
    let [app, admin] = urls.map(|url| format!("{url}_hero/auth/callback"));
    let mut application = NewApplication::new("Cockpit (demo)", CLIENT_ID, client_secret, &app);
    application.redirect_uris.push(admin);
    forge.add_application(application);
    Ok(People { accounts, operator, admin_token })
}

/// Twelve letters that nobody mistakes for each other: typed by hand, for one demo.
fn readable_password() -> String {
    const LETTERS: &[u8; 16] = b"abcdefghkmnpqrst";
    let mut chance = [0; 12];
    OsEntropy.fill(&mut chance);
    let letter = |byte: &u8| LETTERS.get(usize::from(byte & 15)).map(|letter| char::from(*letter));
    let mut password = String::new();
    for (at, byte) in chance.iter().enumerate() {
        if at > 0 && at % 4 == 0 {
            password.push('-');
        }
        password.extend(letter(byte));
    }
    password
}

/// What the configuration is made of.
pub(super) struct Written<'a> {
    pub settings: &'a DemoSettings,
    pub app: (&'a Listeners, &'a Url),
    pub admin: (&'a Listeners, &'a Url),
    pub forge: &'a Url,
    pub upstream: &'a Path,
}

pub(super) fn proxy_toml(written: &Written<'_>) -> String {
    let list = |listeners: &Listeners| {
        let each: Vec<_> = listeners.addresses().iter().map(|address| format!("\"{address}\"")).collect();
        each.join(", ")
    };
    let bare = |url: &Url| url.as_str().trim_end_matches('/').to_owned();
    let ((app, app_url), (admin, admin_url)) = (written.app, written.admin);
    let allow: Vec<_> = written.settings.allow.iter().map(|rule| format!("{rule:?}")).collect();
    format!(
        r#"[server]
listen = [{app}]
public_url = "{app_url}"

[forge]
url = "{forge}"
client_id = "{CLIENT_ID}"
client_secret = {{ file = "client_secret" }}

[features]
forge_token_pass_through = {pass_through}

[access]
allow = [{allow}]

[session]
store = "sqlite"
path = "sessions.db"
key = {{ file = "session_key" }}

[[routes]]
path = "/"
upstream = "unix:{upstream}"
forge_token = true
renew_on_401 = true
groups = true

[admin]
listen = [{admin}]
public_url = "{admin_url}"
allow = ["site-admin"]
token = {{ file = "admin_token" }}
"#,
        app = list(app),
        app_url = bare(app_url),
        forge = bare(written.forge),
        pass_through = written.settings.pass_through,
        allow = allow.join(", "),
        upstream = written.upstream.display(),
        admin = list(admin),
        admin_url = bare(admin_url),
    )
}
