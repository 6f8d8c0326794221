//! `hero_proxy session`.

use std::fmt::Write as _;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{ArgGroup, Args, Subcommand};
use hero_proxy::app::Seams;
use hero_proxy::app::sessions::{Desk, Listed, Which};
use hero_proxy::base::clock::Timestamp;
use hero_proxy::config;
use hero_proxy::session::id::SessionHandle;
use serde_json::{Value, json};
use tokio::runtime::Builder;

use super::exit::Exit;
use super::{ConfigFile, run, say};

#[derive(Debug, Subcommand)]
pub(crate) enum SessionCommand {
    /// List all sessions, the one used last first.
    List(ListArgs),
    /// End sessions. A running proxy honours it within five seconds.
    Revoke(RevokeArgs),
}

#[derive(Args, Debug)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    file: ConfigFile,
    /// One JSON object instead of a table.
    #[arg(long)]
    json: bool,
}

#[derive(Args, Debug)]
#[command(group(ArgGroup::new("which").required(true)))]
pub(crate) struct RevokeArgs {
    #[command(flatten)]
    file: ConfigFile,
    /// One JSON object that says what ended.
    #[arg(long)]
    json: bool,
    /// Sessions by their handle: as `list` shows it, or the eight digits in the log.
    #[arg(value_name = "HANDLE", group = "which", value_parser = handle)]
    handles: Vec<String>,
    /// All sessions of whoever has this login name at the forge.
    #[arg(long, value_name = "LOGIN", group = "which")]
    user: Option<String>,
    /// All sessions of whoever has this numeric id at the forge.
    #[arg(long, value_name = "ID", group = "which")]
    user_id: Option<String>,
    /// Everybody's sessions.
    #[arg(long, group = "which")]
    all: bool,
}

fn handle(text: &str) -> Result<String, &'static str> {
    let lower = text.to_ascii_lowercase();
    if SessionHandle::is_one(&lower) { Ok(lower) } else { Err("a handle has 8 to 16 hexadecimal digits") }
}

pub(crate) fn session(command: &SessionCommand) -> anyhow::Result<ExitCode> {
    let (file, json) = match command {
        SessionCommand::List(args) => (&args.file.config, args.json),
        SessionCommand::Revoke(args) => (&args.file.config, args.json),
    };
    let checked = config::load(file);
    let Some(config) = &checked.config else {
        run::tell(file, &checked);
        return Ok(Exit::BadConfig.into());
    };
    let runtime = Builder::new_current_thread().enable_all().build().context("the runtime cannot start")?;
    let desk = Desk::open(config, Seams::default())?;
    let text = runtime.block_on(async {
        Ok::<String, anyhow::Error>(match command {
            SessionCommand::List(_) => {
                let all = desk.list().await?;
                if json { document(&json!({ "sessions": values(&all) })) } else { table(&all) }
            }
            SessionCommand::Revoke(args) => {
                let ended = desk.revoke(&which(args)).await?;
                if json {
                    document(&json!({ "revoked": values(&ended) }))
                } else {
                    format!(
                        "{} ended; a running proxy honours it within five seconds\n",
                        sessions(ended.len())
                    )
                }
            }
        })
    })?;
    say::out(&text)?;
    Ok(Exit::Fine.into())
}

fn which(args: &RevokeArgs) -> Which {
    match (&args.user, &args.user_id) {
        (Some(login), _) => Which::User(login.clone()),
        (None, Some(id)) => Which::UserId(id.clone()),
        (None, None) if args.all => Which::All,
        (None, None) => Which::Handles(args.handles.clone()),
    }
}

fn sessions(count: usize) -> String {
    format!("{count} session{}", if count == 1 { "" } else { "s" })
}

fn document(value: &Value) -> String {
    format!("{value:#}\n")
}

fn values(all: &[Listed]) -> Vec<Value> {
    let secs = |moment: Option<Timestamp>| moment.map(Timestamp::secs);
    let value = |one: &Listed| {
        json!({
            "handle": one.handle.to_string(), "user": one.login, "user_id": one.user_id,
            "signed_in_at": secs(one.signed_in_at), "last_seen_at": secs(one.last_seen_at),
            "expires_at": secs(one.expires_at), "browser": one.browser, "origin": one.origin,
            "readable": one.user_id.is_some(),
        })
    };
    all.iter().map(value).collect()
}

fn table(all: &[Listed]) -> String {
    let mut text = format!(
        "{:16}  {:20}  {:>8}  {:20}  {:20}  {:20}  {}\n",
        "HANDLE", "USER", "ID", "SIGNED IN", "LAST SEEN", "ENDS", "BROWSER"
    );
    let moment =
        |moment: Option<Timestamp>| moment.map_or_else(|| "-".to_owned(), |moment| moment.to_string());
    for one in all {
        let user = one.login.as_deref().or(one.user_id.as_ref().map(|_| "-")).unwrap_or("(cannot be opened)");
        // What a terminal would obey is not written to it.
        let user: String = user.chars().map(|c| if c.is_control() { '?' } else { c }).collect();
        let handle = one.handle.to_string();
        // Writing to a string does not fail.
        writeln!(
            text,
            "{handle:16}  {user:20}  {:>8}  {:20}  {:20}  {:20}  {}",
            one.user_id.as_deref().unwrap_or("-"),
            moment(one.signed_in_at),
            moment(one.last_seen_at),
            moment(one.expires_at),
            one.browser.as_deref().unwrap_or("-"),
        )
        .ok();
    }
    text + &sessions(all.len()) + "\n"
}
