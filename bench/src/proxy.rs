//! The proxy in a process of its own, and what the system knows about it.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::net::TcpStream;

use crate::{CLIENT_ID, CLIENT_SECRET, Outcome};

/// How the proxy is to be.
#[derive(Clone, Copy, Debug)]
pub struct Plan<'a> {
    /// Where it listens.
    pub port: u16,
    /// Where the forge is.
    pub forge: &'a str,
    /// Where the backend is.
    pub backend: u16,
    /// `memory` or `sqlite`.
    pub store: &'a str,
    /// Whether access lines are written (to a file).
    pub access: bool,
    /// What stands before the program on the command line: `taskset`, `valgrind`.
    pub before: &'a [String],
}

/// A running proxy, and its folder. It is killed when dropped.
pub struct Proxy {
    child: Child,
    folder: TempDir,
}

/// A port that is free now.
pub fn free_port() -> Outcome<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// The program under measurement: what `HERO_BENCH_PROGRAM` names; the scripts build it.
pub fn program() -> Outcome<PathBuf> {
    Ok(std::env::var_os("HERO_BENCH_PROGRAM")
        .ok_or("HERO_BENCH_PROGRAM names no program; use the scripts")?
        .into())
}

impl Proxy {
    /// Starts it, and waits until it listens.
    pub async fn start(plan: Plan<'_>) -> Outcome<Self> {
        let folder = tempfile::tempdir()?;
        let secret = folder.path().join("client_secret");
        let mut options = fs::OpenOptions::new();
        std::io::Write::write_all(
            &mut options.write(true).create_new(true).mode(0o600).open(secret)?,
            CLIENT_SECRET.as_bytes(),
        )?;
        let file = folder.path().join("proxy.toml");
        fs::write(&file, toml(plan))?;
        let output = fs::File::create(folder.path().join("access.log"))?;
        let errors = fs::File::create(folder.path().join("errors.log"))?;
        let mut line: Vec<std::ffi::OsString> = plan.before.iter().map(Into::into).collect();
        line.push(program()?.into());
        let mut command = Command::new(&line[0]);
        command.args(&line[1..]).args(["run", "--config"]).arg(&file);
        command.stdin(Stdio::null()).stdout(output).stderr(errors);
        let mut child = command.spawn()?;
        for _ in 0..600 {
            if TcpStream::connect(("127.0.0.1", plan.port)).await.is_ok() {
                return Ok(Self { child, folder });
            }
            if child.try_wait()?.is_some() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let said = fs::read_to_string(folder.path().join("errors.log"))?;
        child.kill()?;
        Err(format!("the proxy does not start: {said}").into())
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its folder: what it writes is here.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Memory in use, in KiB.
    pub fn resident(&self) -> Outcome<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid()))?;
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).ok_or("no VmRSS")?;
        Ok(line.split_whitespace().nth(1).ok_or("no number")?.parse()?)
    }
}

/// CPU time of a process so far, in seconds, of those children too that it has not waited for yet.
pub fn cpu_seconds(pid: u32) -> Outcome<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let fields: Vec<&str> = stat.rsplit_once(") ").ok_or("no stat")?.1.split(' ').collect();
    let own: f64 = fields[11].parse::<f64>()? + fields[12].parse::<f64>()?;
    // USER_HZ is 100 wherever Linux runs today.
    let mut seconds = own / 100.0;
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    for child in children.split_whitespace() {
        seconds += cpu_seconds(child.parse()?)?;
    }
    Ok(seconds)
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if let Some(pid) = Pid::from_raw(self.child.id().cast_signed()) {
            // It may have ended by itself.
            let _ = kill_process(pid, Signal::KILL).is_ok();
        }
        drop(self.child.wait());
    }
}

fn toml(plan: Plan<'_>) -> String {
    let Plan { port, forge, backend, store, access, .. } = plan;
    let store = if store == "sqlite" {
        "store = \"sqlite\"\npath = \"sessions.db\"\nkey = { file = \"session_key\" }"
    } else {
        "store = \"memory\""
    };
    let access = if access { "stdout" } else { "off" };
    let route = |path: &str, more: &str| {
        format!("[[routes]]\npath = \"{path}\"\nupstream = \"http://127.0.0.1:{backend}\"\n{more}\n")
    };
    let routes = [
        route("/", "forge_token = true\ngroups = true\n"),
        route("/identity", ""),
        route("/public", "public = true\n"),
    ];
    format!(
        "[server]\nlisten = [\"127.0.0.1:{port}\"]\npublic_url = \"http://localhost:{port}\"\n\
         [forge]\nurl = \"{forge}\"\nclient_id = \"{CLIENT_ID}\"\nclient_secret = {{ file = \"client_secret\" }}\n\
         [features]\nforge_token_pass_through = true\n[access]\nallow = [\"any-user\"]\n[session]\n{store}\n\
         [limits]\nwait = \"30s\"\n\
         [log]\nlevel = \"warn\"\nformat = \"json\"\naccess = \"{access}\"\n{}",
        routes.concat()
    )
}
