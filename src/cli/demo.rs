//! `hero_proxy demo`.

use std::process::{Command, ExitCode, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use hero_proxy::app::demo::{Demo, DemoSettings};
use hero_proxy::config::log::{AccessLog, Format, Level, LogSettings};
use hero_proxy::config::unit::{self, UnitError};
use hero_proxy::log;
use thiserror::Error;
use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};

use super::exit::Exit;
use super::say;

#[derive(Args, Debug)]
pub(crate) struct DemoArgs {
    /// How long the forge's access tokens live, with its unit: a short life shows how they are renewed.
    #[arg(long, value_name = "DURATION", default_value = "1h", value_parser = lifetime)]
    pub(crate) token_lifetime: Duration,
    /// Whether the proxy passes visitors' tokens on; off: the app falls back to a pasted one.
    #[arg(long, value_enum, default_value = "on")]
    pub(crate) flag: Flag,
    /// Let the first account have allowed the app more, long ago: its token is withheld, and a page says why.
    #[arg(long)]
    pub(crate) old_consent: bool,
    /// Open the address in a browser.
    #[arg(long)]
    pub(crate) open: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Flag {
    On,
    Off,
}

/// Why a text is no lifetime of a token.
#[derive(Clone, Copy, Debug, Error)]
enum BadLifetime {
    #[error(transparent)]
    Duration(#[from] UnitError),
    #[error("a token lives for whole seconds, and for one at least")]
    Seconds,
    #[error("a token lives for 10 years at most: 3650d")]
    TooLong,
}

/// Beyond this the end of a token is no date that anybody reads, and some day none at all.
const LONGEST_LIFETIME: Duration = Duration::from_hours(24 * 3650);

/// An opener that fails later than this has opened something before: it stays until the browser is closed.
const OPENS_WITHIN: Duration = Duration::from_secs(10);

/// Reads a lifetime of whole seconds, as the forge announces them.
fn lifetime(text: &str) -> Result<Duration, BadLifetime> {
    let span = unit::duration(text)?;
    if span.is_zero() || span.subsec_millis() != 0 {
        Err(BadLifetime::Seconds)
    } else if span > LONGEST_LIFETIME {
        Err(BadLifetime::TooLong)
    } else {
        Ok(span)
    }
}

pub(crate) fn demo(args: &DemoArgs) -> anyhow::Result<ExitCode> {
    drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
    log::init(&LogSettings {
        level: Level::Warn,
        format: Format::Auto,
        access: AccessLog::Off,
        lines_per_minute: 120,
    })?;
    let runtime = Builder::new_multi_thread().enable_all().build().context("the runtime cannot start")?;
    runtime.block_on(async {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        // Closing the terminal's window is an end too, and must not leave the folder behind.
        let mut hang_up = signal(SignalKind::hangup())?;
        let settings = DemoSettings {
            token_lifetime: args.token_lifetime,
            pass_through: args.flag == Flag::On,
            old_consent: args.old_consent,
            ..DemoSettings::default()
        };
        let demo = Demo::start(&settings).await?;
        say::out(&welcome(&demo, &settings))?;
        if args.open {
            open(demo.url.as_str());
        }
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hang_up.recv() => {}
        }
        // The terminal may be gone; that is no reason to fail.
        drop(say::out("\nEnding; nothing stays behind.\n"));
        demo.stop().await;
        Ok(Exit::Fine.into())
    })
}

fn welcome(demo: &Demo, settings: &DemoSettings) -> String {
    let mut text = String::from("\nhero_proxy demo: a fake forge, an app, and the proxy between them.\n");
    let mut taken = String::new();
    for (what, url, wanted) in [
        ("proxy", &demo.url, settings.proxy_port),
        ("operator's page", &demo.admin_url, settings.admin_port),
        ("forge", demo.forge.url(), settings.forge_port),
    ] {
        let port = url.port_or_known_default().unwrap_or_default();
        if port != wanted {
            let verb = if what == "operator's page" { "is at" } else { "listens on" };
            taken += &format!("  Port {wanted} is taken; the {what} {verb} {port}.\n");
        }
    }
    if !taken.is_empty() {
        text = text + "\n" + &taken;
    }
    text + &for_visitors(demo, settings) + &for_operators(demo) + "\n  Ctrl-C ends it all.\n"
}

fn for_visitors(demo: &Demo, settings: &DemoSettings) -> String {
    let [alice, nina] = &demo.accounts;
    // What somebody would make by hand in the forge's settings, so that there is something to paste.
    let pasted = (!settings.pass_through).then(|| forge_token_of(demo, alice.login)).flatten();
    let pasted = pasted.map_or(String::new(), |token| {
        format!("\n  Paste    {token}   a token of {}'s, as made by hand at the forge\n", alice.login)
    });
    format!(
        "
  Open     {url}

  Sign in  {alice:<6} {alice_password}   an ordinary account
           {nina:<6} {nina_password}   a new one: the forge wants its password changed first
{pasted}
  Then     1. Sign in, read what the forge asks you, allow it.
           2. The app greets you by name and says where its token came from{source}.
           3. Write feedback: the issue appears on the forge under your name.
           4. Sign out: you get a page with a button, and stay signed out until you press it.
{old}
  Look at  the forge     {forge}
           who am I      {url}_hero/auth/whoami
           token life    {life} s; it is renewed before it ends (try --token-lifetime 20s)
",
        url = demo.url,
        forge = demo.forge.url(),
        alice = alice.login,
        alice_password = alice.password,
        nina = nina.login,
        nina_password = nina.password,
        source = if settings.pass_through {
            ": through the proxy"
        } else {
            ":\n              the flag is off, so it has none until you paste the one above in its settings"
        },
        old = if settings.old_consent && settings.pass_through { OLD_CONSENT } else { "" },
        life = settings.token_lifetime.as_secs(),
    )
}

/// What to look for when the first account has allowed more than the app asks for today.
const OLD_CONSENT: &str = "
  Look for a page about an old consent: alice once allowed more at the forge than the app asks for today. So the
           app gets no token of hers at first. Revoke the app at the forge as the page says, sign out, sign in
           again: now it does.
";

fn for_operators(demo: &Demo) -> String {
    format!(
        "
  Operate  {admin}   in a private window, since the forge knows you in the first one

  Sign in  {login:<6} {password}   a site admin of the forge

  Then     1. Press \"Create user\", choose a name, copy the password: it is shown once.
           2. In another private window open the first address, and sign in as the new user: the forge wants a new
              password, and then it is straight on to the app.
",
        admin = demo.admin_url,
        login = demo.operator.login,
        password = demo.operator.password,
    )
}

fn forge_token_of(demo: &Demo, login: &str) -> Option<String> {
    let token = demo.forge.add_personal_token(login, &["write:issue"]).ok()?;
    Some(token.expose().to_owned())
}

/// Opens the address with the desktop's own opener; without one there is still the address on the screen.
fn open(url: &str) {
    let opener = Command::new("xdg-open")
        .arg(url)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let failed = || say::error("  No browser could be opened: open the address yourself.\n");
    let Ok(mut opener) = opener else { return failed() };
    // On a thread of its own: an opener may stay as long as the browser does.
    let begun = Instant::now();
    let waiting = thread::Builder::new().name("opener".to_owned()).spawn(move || {
        let opened = opener.wait().is_ok_and(|status| status.success());
        if !opened && begun.elapsed() < OPENS_WITHIN {
            failed();
        }
    });
    // Without a thread nobody looks at what becomes of it; the address is on the screen.
    drop(waiting);
}
