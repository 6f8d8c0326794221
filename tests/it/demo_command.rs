//! `hero_proxy demo` as somebody types it: what it prints, what it listens on, and that nothing of it stays.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use rustix::process::Signal;
use tempfile::TempDir;
use url::Url;

use crate::support::browser::{Browser, Page};
use crate::support::program::Program;
use crate::support::raw::RawClient;

/// The ports that the demo would like to have. They are taken here, by this test or by somebody else.
const LIKED: [u16; 3] = [8080, 8081, 3000];

/// The longest line that it prints; a terminal of 80 breaks what is longer by itself.
const MOST_COLUMNS: usize = 120;

struct Demo {
    program: Program,
    /// Where it may put its files.
    folder: TempDir,
    proxy: Url,
    admin: Url,
    forge: Url,
    said: String,
    _taken: Vec<TcpListener>,
}

impl Demo {
    async fn start(arguments: &[&str]) -> Self {
        Self::start_with(arguments, &[]).await
    }

    async fn start_with(arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        let taken = LIKED.iter().filter_map(|port| TcpListener::bind(("127.0.0.1", *port)).ok()).collect();
        let folder = tempfile::tempdir().unwrap();
        let arguments = [&["demo"], arguments].concat();
        let variables = [&[("TMPDIR", folder.path().to_str().unwrap())], variables].concat();
        let program = Program::start(&arguments, &variables);
        program.says("Ctrl-C", 1).await;
        let said = program.text();
        for line in said.lines() {
            assert!(line.chars().count() <= MOST_COLUMNS, "{line}");
        }
        let url = |label: &str| {
            let line =
                said.lines().find(|line| line.contains(label)).unwrap_or_else(|| panic!("{label}: {said}"));
            Url::parse(line.split_whitespace().find(|word| word.starts_with("http://")).unwrap()).unwrap()
        };
        let (proxy, admin, forge) = (url("  Open "), url("  Operate "), url("the forge  "));
        Self { program, folder, proxy, admin, forge, said, _taken: taken }
    }

    fn address(url: &Url) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], url.port().unwrap()))
    }

    /// The folder that it keeps its files in.
    fn files(&self) -> PathBuf {
        let mut found = fs::read_dir(self.folder.path()).unwrap();
        let folder = found.next().unwrap().unwrap().path();
        assert!(found.next().is_none(), "one folder");
        folder
    }

    async fn sign_in(&self, login: &str) -> Page {
        self.sign_in_at(&self.proxy, login).await
    }

    async fn sign_in_at(&self, url: &Url, login: &str) -> Page {
        let line = self.said.lines().find(|line| line.contains(&format!(" {login} "))).unwrap();
        let mut words = line.split_whitespace().skip_while(|word| *word != login);
        let password = words.nth(1).unwrap();
        let host = format!("{}:{}", url.host_str().unwrap(), url.port().unwrap());
        let mut browser = Browser::knowing(&host, Self::address(url));
        browser.sign_in(url, login, password).await
    }

    /// Ends it, and looks that nothing of it is left.
    async fn end(self, signal: Signal) {
        self.program.tell(signal);
        assert_eq!(self.program.ended().await, Ok(0), "{}", self.program.text());
        assert!(self.program.text().contains("nothing stays behind"), "{}", self.program.text());
        assert_eq!(fs::read_dir(self.folder.path()).unwrap().count(), 0);
        for url in [&self.proxy, &self.admin, &self.forge] {
            let port = url.port().unwrap();
            TcpListener::bind(("127.0.0.1", port)).unwrap_or_else(|error| panic!("port {port}: {error}"));
        }
    }
}

/// Processes whose parent this is.
fn children(parent: u32) -> Vec<String> {
    let processes = fs::read_dir("/proc").unwrap().map(|entry| entry.unwrap().path().join("stat"));
    // `pid (name) state ppid ...`; a process may end while we look.
    let stats = processes.filter_map(|stat| fs::read_to_string(stat).ok());
    let is_child = |stat: &String| {
        let behind_name = stat.rsplit_once(") ").map(|(_, rest)| rest).unwrap_or_default();
        behind_name.split(' ').nth(1) == Some(parent.to_string().as_str())
    };
    stats.filter(is_child).collect()
}

#[tokio::test]
async fn the_demo_says_what_to_do_works_and_leaves_nothing_behind() {
    let demo = Demo::start(&["--token-lifetime", "20s"]).await;
    for port in LIKED {
        assert!(demo.said.contains(&format!("Port {port} is taken")), "{}", demo.said);
    }
    assert!(demo.said.contains("token life    20 s"), "{}", demo.said);
    assert!(demo.said.contains(": through the proxy"), "{}", demo.said);
    let page = demo.sign_in("alice").await;
    assert_eq!(page.status(), 200, "{}", page.text());
    assert!(page.text().contains("alice"));
    assert!(!demo.said.contains("Paste "), "{}", demo.said);
    assert_eq!(children(demo.program.pid()), [""; 0]);
    // The operator's page is where it says, and the way in is the one that it says.
    let page = demo.sign_in_at(&demo.admin, "olga").await;
    assert_eq!((page.status(), page.url.path()), (200, "/_hero/admin/users"), "{}", page.text());
    assert!(page.text().contains("olga"));
    assert_eq!(demo.sign_in_at(&demo.admin, "alice").await.status(), 403);
    // Secrets, sessions and the socket of an app that believes whoever reaches it.
    assert_eq!(fs::metadata(demo.files()).unwrap().permissions().mode() & 0o777, 0o700);
    demo.end(Signal::INT).await;
}

/// What the operator's part shows the forge lies in one file, and is told nobody.
///
/// Holds: A12.
#[tokio::test]
async fn the_demos_admin_token_is_neither_said_nor_in_the_command_line_nor_the_environment() {
    let demo = Demo::start(&[]).await;
    let file = demo.files().join("admin_token");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let token = fs::read_to_string(file).unwrap();
    assert!(token.trim().len() >= 40);
    demo.sign_in_at(&demo.admin, "olga").await;
    let process = PathBuf::from(format!("/proc/{}", demo.program.pid()));
    for told in [
        demo.program.text().into_bytes(),
        fs::read(process.join("cmdline")).unwrap(),
        fs::read(process.join("environ")).unwrap(),
        fs::read(demo.files().join("proxy.toml")).unwrap(),
    ] {
        assert!(!String::from_utf8_lossy(&told).contains(token.trim()));
    }
    demo.end(Signal::INT).await;
}

#[tokio::test]
async fn the_demo_with_the_flag_off_passes_no_token_on() {
    let demo = Demo::start(&["--flag", "off"]).await;
    assert!(demo.said.contains("the flag is off, so it has none"), "{}", demo.said);
    let page = demo.sign_in("alice").await;
    assert_eq!(page.status(), 200, "{}", page.text());
    assert!(page.text().contains("data-source=\"none\""), "{}", page.text());
    // The token that it hands out to paste is alice's, and good for feedback.
    let line = demo.said.lines().find(|line| line.starts_with("  Paste ")).unwrap();
    let token = line.split_whitespace().nth(1).unwrap();
    let bearer = format!("Bearer {token}");
    let user = demo.forge.join("/api/v1/repos/acme-dev/feedback/issues").unwrap();
    let headers = [("Authorization", bearer.as_str()), ("Content-Type", "application/json")];
    let issue = Browser::default().send("POST", &user, &headers, r#"{"title":"by hand"}"#).await;
    assert_eq!((issue.status(), issue.json()["user"]["login"].as_str()), (201, Some("alice")));
    demo.end(Signal::TERM).await;
}

/// A terminal window that is closed sends a hang-up.
#[tokio::test]
async fn the_demo_leaves_nothing_behind_when_its_terminal_is_closed() {
    let demo = Demo::start(&[]).await;
    demo.end(Signal::HUP).await;
}

#[tokio::test]
async fn every_part_of_the_demo_answers_to_its_own_name_only() {
    let demo = Demo::start(&[]).await;
    let socket = demo.files().join("cockpit.sock");
    let ask = |host: String| format!("GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    let [proxy, admin, forge] = [&demo.proxy, &demo.admin, &demo.forge].map(|url| url.port().unwrap());
    let evil = [proxy, admin, forge].map(|port| format!("evil.example:{port}"));
    for host in evil.into_iter().chain(["evil.example".to_owned()]) {
        let answers = [
            RawClient::tcp(Demo::address(&demo.proxy)).await.ask(ask(host.clone())).await,
            RawClient::tcp(Demo::address(&demo.admin)).await.ask(ask(host.clone())).await,
            RawClient::tcp(Demo::address(&demo.forge)).await.ask(ask(host.clone())).await,
            RawClient::unix(&socket).await.ask(ask(host.clone())).await,
        ];
        assert_eq!(answers.map(|answer| answer.status), [421; 4], "{host}");
    }
    let through = RawClient::unix(&socket).await.ask(ask(format!("localhost:{proxy}"))).await;
    assert_eq!(through.status, 200);
    demo.end(Signal::INT).await;
}

#[tokio::test]
async fn an_old_consent_can_be_tried() {
    let demo = Demo::start(&["--old-consent"]).await;
    assert!(demo.said.contains("an old consent"), "{}", demo.said);
    let notice = demo.sign_in("alice").await;
    assert_eq!(notice.reason().as_deref(), Some("consent_wider"), "{}", notice.text());
    demo.end(Signal::INT).await;
}

#[tokio::test]
async fn an_opener_that_fails_is_told_and_stops_nothing() {
    let tools = tempfile::tempdir().unwrap();
    let opener = tools.path().join("xdg-open");
    fs::write(&opener, "#!/bin/sh\nexit 3\n").unwrap();
    fs::set_permissions(&opener, fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", tools.path().display(), std::env::var("PATH").unwrap());
    for path in [path.as_str(), "/nowhere"] {
        let demo = Demo::start_with(&["--open"], &[("PATH", path)]).await;
        demo.program.says("No browser could be opened", 1).await;
        assert_eq!(demo.sign_in("alice").await.status(), 200);
        demo.end(Signal::INT).await;
    }
}

#[tokio::test]
async fn a_life_that_no_token_has_is_refused_with_words() {
    for (life, words) in [("0s", "for one at least"), ("3651d", "10 years"), ("99999999999d", "10 years")] {
        let program = Program::start(&["demo", "--token-lifetime", life], &[]);
        assert_eq!(program.ended().await, Ok(2), "{life}: {}", program.text());
        assert!(program.text().contains(words), "{life}: {}", program.text());
    }
}
