//! The operator's words: what is refused and how that is told, what is accepted and what it means.

mod admin;
mod bad;
mod command;
mod example;
mod reload;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use hero_proxy::config::check::{Checked, check};
use hero_proxy::config::{Config, Source};

/// A client secret as the forge makes them.
const CLIENT_SECRET: &str = "gto_q3vw7ixb2d5jslmu4phyz6tkfaeoc3n7wq2vxr5ib4dzu6tmhy";

/// The smallest configuration that starts.
const SMALL: &str = r#"[server]
public_url = "https://vm1.example.org"

[forge]
url = "https://forge.example.org"
client_id = "3b1c6f2e"
client_secret = { file = "secrets/forge_client_secret" }

[access]
allow = ["org:acme"]

[[routes]]
path = "/"
upstream = "http://127.0.0.1:9000"
"#;

/// A folder for a configuration, with its secrets; gone at the end.
struct Desk {
    folder: tempfile::TempDir,
}

impl Desk {
    fn new() -> Self {
        let desk = Self { folder: tempfile::tempdir().unwrap() };
        desk.put("secrets/forge_client_secret", CLIENT_SECRET, 0o600);
        desk.put("credentials/forge_client_secret", CLIENT_SECRET, 0o400);
        desk
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn put(&self, name: &str, text: &str, mode: u32) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    }

    fn put_ca(&self, name: &str) {
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = rcgen::CertificateParams::new(Vec::new()).unwrap().self_signed(&key).unwrap();
        self.put(name, &certificate.pem(), 0o644);
    }

    fn check(&self, text: &str) -> Checked {
        let source = Source::new(self.folder.path().to_owned(), Some(self.path("credentials")));
        check(text, &source)
    }

    /// The configuration that a text without errors becomes.
    fn good(&self, text: &str) -> Config {
        let checked = self.check(text);
        checked.config.unwrap_or_else(|| panic!("refused: {:#?}\n{text}", checked.complaints))
    }
}

/// A file of this project.
fn project_file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}
