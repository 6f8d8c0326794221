//! `hero_proxy user ...` and `hero_proxy admin-key ...`: the same service as behind JSON-RPC, without a server. Whoever may
//! read the configuration and its secrets may do all of this.

use std::io::{self, IsTerminal as _};
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, Subcommand, ValueEnum};
use hero_proxy::admin::error::AdminError;
use hero_proxy::admin::records::{KeyRow, ListQuery, SortBy};
use hero_proxy::admin::service::{CreateUserOutput, NewUserForm};
use hero_proxy::admin::user::{User, rfc3339};
use hero_proxy::admin::{Admin, Caller};
use hero_proxy::app::Seams;
use hero_proxy::config;
use rustix::process::getuid;
use serde_json::{Value, json};
use tokio::runtime::{Handle, Runtime};

use super::exit::Exit;
use super::{ConfigFile, run, say};

#[derive(Args, Debug)]
pub(crate) struct UserArgs {
    #[command(subcommand)]
    command: UserCommand,
}

#[derive(Debug, Subcommand)]
enum UserCommand {
    /// Make an account at the forge, and show its first password once.
    ///
    /// An account that is there already is shown without a password, and nothing of it is changed. The password goes to
    /// the terminal. Where the output is no terminal it is part of what is written there, so write to a pipe or a private
    /// file; it cannot be shown again.
    Create {
        /// The name to have at the forge.
        username: String,
        /// The name for people.
        #[arg(long, value_name = "NAME")]
        display_name: Option<String>,
        /// The e-mail address; without one a placeholder is made up.
        #[arg(long, value_name = "ADDRESS")]
        email: Option<String>,
        #[command(flatten)]
        how: How,
    },
    /// List users.
    List {
        /// Part of a name, a display name or an e-mail address.
        #[arg(long, default_value = "", value_name = "TEXT", hide_default_value = true)]
        search: String,
        /// What to sort by.
        #[arg(long, value_enum, default_value = "forge-username")]
        sort: Sort,
        /// The other way round.
        #[arg(long)]
        descending: bool,
        /// How many at most.
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..=100))]
        limit: u64,
        /// How many to leave out in front.
        #[arg(long, default_value_t = 0)]
        offset: u64,
        #[command(flatten)]
        how: How,
    },
    /// Show a user and what was done to them.
    Show {
        /// Our id, or the name at the forge.
        user: String,
        #[command(flatten)]
        how: How,
    },
    /// Give a user a new first password, and show it once.
    ///
    /// It has to be changed at the next sign-in. As with `create`, it goes to the terminal, or to wherever the output goes.
    ResetPassword {
        /// Our id, or the name at the forge.
        user: String,
        #[command(flatten)]
        how: How,
    },
    /// Write down that a VM is a user's (experimental).
    AssignVm {
        /// Our id, or the name at the forge.
        user: String,
        /// The VM's id.
        vm: String,
        /// Where it is reached.
        #[arg(long)]
        url: Option<String>,
        #[command(flatten)]
        how: How,
    },
}

/// With which configuration, and for whom.
#[derive(Args, Debug)]
struct How {
    #[command(flatten)]
    file: ConfigFile,
    /// For programs: one JSON value.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Sort {
    ForgeUsername,
    DisplayName,
    VmCount,
    CreatedAt,
    LastActivity,
}

#[derive(Args, Debug)]
pub(crate) struct KeyArgs {
    #[command(subcommand)]
    command: KeyCommand,
}

#[derive(Debug, Subcommand)]
enum KeyCommand {
    /// Make an API key for a program, and show it once; only its hash is kept.
    Create {
        /// What it is for.
        #[arg(long, value_parser = key_name)]
        name: String,
        #[command(flatten)]
        how: How,
    },
    /// List API keys, without the keys themselves.
    List {
        #[command(flatten)]
        how: How,
    },
    /// End an API key: it counts no more from the next request on.
    Revoke {
        /// Its id, as `list` shows it.
        key_id: String,
        #[command(flatten)]
        how: How,
    },
}

fn key_name(text: &str) -> Result<String, &'static str> {
    let fits = !text.is_empty() && text.len() <= 64 && text.chars().all(|c| c.is_ascii_graphic() || c == ' ');
    if fits { Ok(text.to_owned()) } else { Err("1 to 64 letters, digits and signs (ASCII)") }
}

/// What came of a command: for people, and for programs.
struct Said {
    text: String,
    json: Value,
}

pub(crate) fn user(args: UserArgs) -> anyhow::Result<ExitCode> {
    let how = match &args.command {
        UserCommand::Create { how, .. }
        | UserCommand::List { how, .. }
        | UserCommand::Show { how, .. }
        | UserCommand::ResetPassword { how, .. }
        | UserCommand::AssignVm { how, .. } => how,
    };
    let (path, as_json) = (how.file.config.clone(), how.json);
    with(&path, as_json, async |admin, by| match args.command {
        UserCommand::Create { username, display_name, email, .. } => {
            let made = admin.create_user(&by, NewUserForm { username, display_name, email }).await?;
            Ok(handed_over(&made))
        }
        UserCommand::List { search, sort, descending, limit, offset, .. } => {
            let sort = match sort {
                Sort::ForgeUsername => SortBy::Username,
                Sort::DisplayName => SortBy::DisplayName,
                Sort::VmCount => SortBy::VmCount,
                Sort::CreatedAt => SortBy::CreatedAt,
                Sort::LastActivity => SortBy::LastActivity,
            };
            let query = ListQuery { search, sort, descending, offset, limit };
            let list = admin.list_users(&by, query).await?;
            let mut text = format!("{} of {} users\n", list.users.len(), list.total);
            for user in &list.users {
                text.push_str(&line(user));
            }
            Ok(Said { text, json: json!(list) })
        }
        UserCommand::Show { user, .. } => {
            let user = find(&admin, &by, &user).await?;
            let trail = admin.audit_of(&by, &user.user_id, None).await?;
            let mut text = line(&user);
            let mut lines = Vec::new();
            for row in &trail {
                let at = rfc3339(row.at);
                text.push_str(&format!(
                    "  {at}  {}  {}  by {}  ({})\n",
                    row.action,
                    row.outcome,
                    visible(&row.caller),
                    visible(&row.request_id)
                ));
                lines.push(json!({
                    "at": at, "action": row.action, "outcome": row.outcome, "target": row.target,
                    "caller": row.caller, "request_id": row.request_id,
                }));
            }
            Ok(Said { text, json: json!({ "user": user, "audit": lines }) })
        }
        UserCommand::ResetPassword { user, .. } => {
            let user = find(&admin, &by, &user).await?;
            Ok(handed_over(&admin.reset_password(&by, &user.user_id).await?))
        }
        UserCommand::AssignVm { user, vm, url, .. } => {
            let user = find(&admin, &by, &user).await?;
            admin.assign_vm(&by, &user.user_id, &vm, url.as_deref()).await?;
            let text = format!("{} is {}'s\n", visible(&vm), user.forge_username);
            Ok(Said { text, json: json!({ "vm_id": vm, "user_id": user.user_id }) })
        }
    })
}

pub(crate) fn key(args: KeyArgs) -> anyhow::Result<ExitCode> {
    let how = match &args.command {
        KeyCommand::Create { how, .. } | KeyCommand::List { how } | KeyCommand::Revoke { how, .. } => how,
    };
    let (path, as_json) = (how.file.config.clone(), how.json);
    with(&path, as_json, async |admin, by| match args.command {
        KeyCommand::Create { name, .. } => {
            let (row, key) = admin.create_key(&by, &name).await?;
            let key = key.expose();
            let text = format!("{key}\nThis is the key {}, for {name}. It is shown this once.\n", row.key_id);
            Ok(Said { text, json: json!({ "key_id": row.key_id, "name": row.name, "key": key }) })
        }
        KeyCommand::List { .. } => {
            let rows = admin.records().keys().await.map_err(AdminError::from)?;
            let text = rows.iter().map(key_line).collect::<String>();
            let list: Vec<Value> = rows.iter().map(key_json).collect();
            Ok(Said { text: format!("{} keys\n{text}", rows.len()), json: json!(list) })
        }
        KeyCommand::Revoke { key_id, .. } => {
            if !admin.revoke_key(&by, &key_id).await? {
                anyhow::bail!("there is no key {}; `admin-key list` shows all", visible(&key_id));
            }
            Ok(Said { text: format!("{key_id} counts no more\n"), json: json!({ "key_id": key_id }) })
        }
    })
}

/// Reads the configuration, has something done, and says what came of it.
fn with(
    path: &Path,
    as_json: bool,
    work: impl AsyncFnOnce(Admin, Caller) -> anyhow::Result<Said>,
) -> anyhow::Result<ExitCode> {
    let checked = config::load(path);
    let Some(config) = checked.config else {
        run::tell(path, &checked);
        return Ok(Exit::BadConfig.into());
    };
    // Two callers may both be the first; either provider is the same.
    drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
    let runtime = Runtime::new().context("the runtime cannot start")?;
    let said = runtime.block_on(async {
        let seams = Seams::default();
        let admin = hero_proxy::app::admin::build(&config, &seams, &Handle::current())?
            .context("the configuration has no [admin]: add it, and what it needs")?;
        let request_id = format!("cli-{}", seams.clock.now().millis());
        let caller = Caller::shell(getuid().as_raw(), request_id);
        let said = work(admin.clone(), caller).await;
        // What could not be put on record is tried once more, since there is no later.
        let is_recorded = admin.drain(std::time::Duration::from_secs(5)).await;
        if said.is_ok() && !is_recorded {
            say::error("hero_proxy: this is done, but not on record: the records cannot be written\n");
        }
        said
    });
    let said = match said {
        Ok(said) => said,
        Err(failed) => return refused(failed, as_json),
    };
    let text = if as_json { format!("{:#}\n", said.json) } else { said.text };
    say::out(&text)?;
    Ok(Exit::Fine.into())
}

/// Says what was refused and what to do; what is no refusal goes on up.
fn refused(failed: anyhow::Error, as_json: bool) -> anyhow::Result<ExitCode> {
    let refusal = failed.downcast::<AdminError>()?;
    let face = refusal.face();
    let complaints: Vec<_> = refusal
        .complaints()
        .iter()
        .map(|(field, problem)| json!({ "field": field.name(), "problem": problem }))
        .collect();
    if as_json {
        let error = json!({
            "reason": face.reason, "message": refusal.to_string(), "advice": face.advice, "complaints": complaints,
        });
        say::out(&format!("{:#}\n", json!({ "error": error })))?;
    }
    let mut text = format!("hero_proxy: {refusal} ({})\n", face.reason);
    for (field, problem) in refusal.complaints() {
        text.push_str(&format!("  {} {problem}\n", field.name()));
    }
    say::error(&format!("{text}{}\n", face.advice));
    Ok(Exit::Refused.into())
}

async fn find(admin: &Admin, by: &Caller, user: &str) -> Result<User, AdminError> {
    match admin.get_user(by, user).await {
        Err(AdminError::NoSuchUser) => admin.user_named(by, user).await,
        found => found,
    }
}

fn handed_over(made: &CreateUserOutput) -> Said {
    let name = &made.forge_username;
    let text = match &made.initial_password {
        Some(password) => {
            let note = if io::stdout().is_terminal() {
                ""
            } else {
                say::error(
                    "hero_proxy: the output is no terminal: the password is in it, and nowhere else\n",
                );
                "Remove this when it is handed over.\n"
            };
            format!(
                "{name} ({}) can sign in with\n\n    {}\n\nIt is shown this once, and not stored. Share it out of band; \
                 it must be changed at the first sign-in.\n{note}",
                made.user_id,
                password.expose()
            )
        }
        None => format!(
            "{name} ({}) was there already; nothing was changed. If the password was lost: user reset-password {name}\n",
            made.user_id
        ),
    };
    Said { text, json: json!(made) }
}

fn line(user: &User) -> String {
    let state = serde_json::to_value(user.state).ok();
    format!(
        "{}  {}  {}  {}  VMs: {}  since {}  last seen {}\n",
        user.user_id,
        visible(&user.forge_username),
        visible(&user.display_name),
        state.as_ref().and_then(Value::as_str).unwrap_or_default(),
        user.vm_count,
        user.created_at,
        user.last_activity.as_deref().unwrap_or("never"),
    )
}

fn key_line(row: &KeyRow) -> String {
    let when = |moment: Option<_>| moment.map_or_else(|| "never".to_owned(), rfc3339);
    let state = row.revoked_at.map_or_else(String::new, |at| format!("  revoked {}", rfc3339(at)));
    let (id, name) = (&row.key_id, visible(&row.name));
    format!("{id}  {name}  made {}  used {}{state}\n", rfc3339(row.created_at), when(row.used_at))
}

fn key_json(row: &KeyRow) -> Value {
    json!({
        "key_id": row.key_id, "name": row.name, "created_at": rfc3339(row.created_at),
        "used_at": row.used_at.map(rfc3339), "revoked_at": row.revoked_at.map(rfc3339),
    })
}

/// A text without anything that a terminal would obey: other people choose display names.
fn visible(text: &str) -> String {
    let turns_writing =
        |c: char| matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    text.chars().map(|c| if c.is_control() || turns_writing(c) { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Holds: A15.
    #[test]
    fn no_name_commands_the_terminal() {
        assert_eq!(visible("Eve \u{1b}[2J\u{202e}x\n"), "Eve \u{fffd}[2J\u{fffd}x\u{fffd}");
    }
}
