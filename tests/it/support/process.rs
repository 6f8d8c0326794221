//! The program itself, as an operator starts it: `hero_proxy run` in a folder of its own, with what it tells.

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Read};
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex};

use hero_proxy::forge::fake::{FakeForge, NewApplication};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;
use tokio::sync::watch;
use tokio::task::spawn_blocking;
use url::Url;

use super::browser::Browser;
use super::house::{CLIENT_ID, CLIENT_SECRET};
use super::{logs, soon};

/// What the browser sees: a name of its own, since the port that is listened on is known too late.
pub const PUBLIC_URL: &str = "http://localhost:1";

/// A folder with a configuration and its secrets, for one process after another.
pub struct Desk {
    pub folder: TempDir,
    /// Sections and lines of the configuration.
    pub sections: Vec<(&'static str, String)>,
    /// All `[[routes]]`.
    pub routes: String,
}

impl Desk {
    /// A configuration for a forge and a backend, which is opted in; the application is registered at the forge.
    pub fn new(forge: &FakeForge, backend: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("client_secret");
        let mut options = std::fs::OpenOptions::new();
        let mut file = options.write(true).create_new(true).mode(0o600).open(file).unwrap();
        std::io::Write::write_all(&mut file, CLIENT_SECRET.as_bytes()).unwrap();
        let callback = format!("{PUBLIC_URL}/_hero/auth/callback");
        forge.add_application(NewApplication::new("The VM", CLIENT_ID, CLIENT_SECRET, &callback));
        let forge = forge.url().as_str().trim_end_matches('/').to_owned();
        let sections = [
            ("server", format!("listen = [\"127.0.0.1:0\"]\npublic_url = {PUBLIC_URL:?}\n")),
            (
                "forge",
                format!(
                    "url = {forge:?}\nclient_id = {CLIENT_ID:?}\nclient_secret = {{ file = \"client_secret\" }}\n"
                ),
            ),
            ("features", "forge_token_pass_through = true\n".to_owned()),
            ("access", "allow = [\"user:alice\", \"user:bob\"]\n".to_owned()),
            (
                "session",
                "store = \"sqlite\"\npath = \"sessions.db\"\nkey = { file = \"session_key\" }\n".to_owned(),
            ),
            ("limits", String::new()),
            ("log", "level = \"trace\"\n".to_owned()),
        ];
        let routes = format!(
            "[[routes]]\npath = \"/\"\nupstream = \"http://{backend}\"\nforge_token = true\ngroups = true\n"
        );
        Self { folder, sections: sections.into(), routes }
    }

    /// A section's lines, to be changed.
    pub fn section(&mut self, name: &str) -> &mut String {
        self.sections.iter_mut().find(|(found, _)| *found == name).map(|(_, lines)| lines).unwrap()
    }

    /// A file in the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes the configuration; says where.
    pub fn write(&self) -> PathBuf {
        let mut text = String::new();
        for (name, lines) in &self.sections {
            writeln!(text, "[{name}]\n{lines}").unwrap();
        }
        let file = self.path("proxy.toml");
        std::fs::write(&file, text + &self.routes).unwrap();
        file
    }

    /// Starts `hero_proxy run`, and waits until it serves.
    pub async fn start(&self) -> Process {
        Process::start(&self.write()).await
    }
}

/// Runs the program to its end.
pub fn hero_proxy(arguments: &[&str]) -> Output {
    command().args(arguments).output().unwrap()
}

fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hero_proxy"));
    command.env_remove("CREDENTIALS_DIRECTORY");
    command
}

/// What a process has written so far.
#[derive(Clone)]
pub struct Said(Arc<watch::Sender<String>>);

impl Said {
    fn by(stream: impl Read + Send + 'static) -> Self {
        let said = Self(Arc::new(watch::Sender::new(String::new())));
        let hearer = said.clone();
        std::thread::spawn(move || {
            for line in BufReader::new(stream).split(b'\n').map_while(Result::ok) {
                let line = String::from_utf8(line).expect("the program speaks UTF-8");
                hearer.0.send_modify(|text| {
                    text.push_str(&line);
                    text.push('\n');
                });
            }
        });
        said
    }

    /// All of it.
    pub fn text(&self) -> String {
        self.0.borrow().clone()
    }

    /// The events with these words as their message.
    pub fn events(&self, message: &str) -> Vec<Value> {
        logs::events(&self.text(), message)
    }

    /// Waits for a line with all these words.
    pub async fn line(&self, words: &[&str]) -> String {
        let find = |text: &str| {
            text.lines().find(|line| words.iter().all(|word| line.contains(word))).map(str::to_owned)
        };
        let mut lines = self.0.subscribe();
        match tokio::time::timeout(super::DEADLINE, lines.wait_for(|text| find(text).is_some())).await {
            Ok(text) => find(&text.unwrap()).unwrap(),
            Err(_) => panic!("waited in vain for {words:?}:\n{}", self.text()),
        }
    }

    /// Waits for the `count`th event with this message.
    pub async fn event(&self, message: &str, count: usize) -> Value {
        let mut lines = self.0.subscribe();
        let told = lines.wait_for(|text| logs::events(text, message).len() >= count);
        let text = match tokio::time::timeout(super::DEADLINE, told).await {
            Ok(text) => text.unwrap().clone(),
            Err(_) => panic!("waited in vain for {message:?}:\n{}", self.text()),
        };
        logs::events(&text, message).remove(count - 1)
    }
}

/// A running `hero_proxy run`. It is killed when dropped.
pub struct Process {
    child: Arc<Mutex<Child>>,
    pub id: u32,
    /// Where it listens.
    pub address: SocketAddr,
    /// What it writes to the standard error: the log.
    pub log: Said,
    /// What it writes to the standard output: the access log.
    pub access: Said,
}

impl Process {
    async fn start(config: &Path) -> Self {
        Self::start_with(config, "\"address\":\"").await
    }

    /// Starts it with a log in any format: what stands before the address in the line that tells it.
    pub async fn start_with(config: &Path, before_address: &str) -> Self {
        let mut run = command();
        let run = run.arg("run").arg("--config").arg(config).stdin(Stdio::null());
        let mut child = run.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (log, access) = (Said::by(child.stderr.take().unwrap()), Said::by(child.stdout.take().unwrap()));
        let line = log.line(&["serving", before_address]).await;
        let address = line.split_once(before_address).unwrap().1.split(['"', ' ']).next().unwrap();
        let address = address.parse().unwrap_or_else(|_| panic!("no address: {line}"));
        Self { id: child.id(), child: Arc::new(Mutex::new(child)), address, log, access }
    }

    /// A URL as the browser sees it.
    pub fn at(&self, path: &str) -> Url {
        Url::parse(PUBLIC_URL).unwrap().join(path).unwrap()
    }

    /// A new browser that knows where it listens.
    pub fn browser(&self) -> Browser {
        Browser::knowing("localhost:1", self.address)
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_raw(self.id.try_into().unwrap()).unwrap(), signal).unwrap();
    }

    /// A file of `/proc/PID`.
    pub fn proc(&self, name: &str) -> String {
        super::latin1(&std::fs::read(format!("/proc/{}/{name}", self.id)).unwrap())
    }

    /// Tells it to end, and waits for that.
    pub async fn stop(&self) -> ExitStatus {
        self.signal(Signal::TERM);
        let child = Arc::clone(&self.child);
        soon("the process ends", spawn_blocking(move || child.lock().unwrap().wait())).await.unwrap().unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Ok(mut child) = self.child.try_lock() {
            drop(child.kill());
            drop(child.wait());
        }
    }
}
