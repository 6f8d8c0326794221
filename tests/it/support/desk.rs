//! What an operator works at: a folder with a configuration and its secrets, for one run of the program after another,
//! whose log is read as events.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use hero_proxy::forge::fake::{FakeForge, NewApplication};
use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;
use url::Url;

use super::browser::Browser;
use super::house::{CLIENT_ID, CLIENT_SECRET};
use super::logs;
use super::program::Program;

/// What the browser sees: a name of its own, since the port that is listened on is known too late.
pub const PUBLIC_URL: &str = "http://localhost:1";

/// The same for an operator's browser, where there is an admin part.
pub const ADMIN_URL: &str = "http://localhost:2";

/// A folder with a configuration and its secrets.
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
        let [callback, admins] = [PUBLIC_URL, ADMIN_URL].map(|url| format!("{url}/_hero/auth/callback"));
        let mut application = NewApplication::new("The VM", CLIENT_ID, CLIENT_SECRET, &callback);
        application.redirect_uris.push(admins);
        forge.add_application(application);
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
            // Tests count lines.
            ("log", "level = \"trace\"\nlines_per_minute = 1000000\n".to_owned()),
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

    /// Adds an admin part at an address of its own; `token`: where the admin token is. Says where its socket will be.
    pub fn add_admin(&mut self, token: &str) -> PathBuf {
        let socket = self.path("admin.sock");
        let lines = format!(
            "listen = [\"127.0.0.1:0\"]\npublic_url = {ADMIN_URL:?}\nallow = [\"site-admin\"]\npath = \"admin.db\"\n\
             token = {token}\nsocket = \"unix:{}\"\ncalls_per_minute = 1000\n",
            socket.display()
        );
        self.sections.push(("admin", lines));
        socket
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
    pub async fn start(&self) -> Run {
        Run::start(&self.write()).await
    }
}

/// A running `hero_proxy run`.
pub struct Run {
    pub program: Program,
    /// Where it listens.
    pub address: SocketAddr,
}

impl Run {
    async fn start(config: &Path) -> Self {
        Self::start_with(config, "\"address\":\"").await
    }

    /// Starts it with a log in any format: what stands before the address in the line that tells it.
    pub async fn start_with(config: &Path, before_address: &str) -> Self {
        let program = Program::start(&["run", "--config", config.to_str().unwrap()], &[]);
        let line = program.says(before_address, 1).await;
        let address = line.split_once(before_address).unwrap().1.split(['"', ' ']).next().unwrap();
        Self { address: address.parse().unwrap_or_else(|_| panic!("no address: {line}")), program }
    }

    /// The events so far with these words as their message; access lines are among them.
    pub fn events(&self, message: &str) -> Vec<Value> {
        logs::events(&self.program.text(), message)
    }

    /// Waits for the `count`th event with this message.
    pub async fn event(&self, message: &str, count: usize) {
        self.program.says(&format!("\"message\":\"{message}\""), count).await;
    }

    /// A URL as the browser sees it.
    pub fn at(&self, path: &str) -> Url {
        Url::parse(PUBLIC_URL).unwrap().join(path).unwrap()
    }

    /// A new browser that knows where it listens.
    pub fn browser(&self) -> Browser {
        Browser::knowing("localhost:1", self.address)
    }

    /// A file of `/proc/PID`.
    pub fn proc(&self, name: &str) -> String {
        super::latin1(&std::fs::read(format!("/proc/{}/{name}", self.program.pid())).unwrap())
    }

    /// Tells it to end, and waits for that.
    pub async fn stop(&self) {
        self.program.tell(Signal::TERM);
        assert_eq!(self.program.ended().await, Ok(0), "{}", self.program.text());
    }
}
