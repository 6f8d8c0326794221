//! A fake forge on loopback, so that the examples run without a real one.

use std::error::Error;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use hero_proxy::forge::fake::{FakeForge, FakeSettings, NewApplication, NewUser};
use tempfile::TempDir;

use super::keeper::SignIn;

/// A forge with one user (alice, "wonderland-1865") and one application, and the section that names it. All of it is gone
/// when this is dropped.
#[derive(Debug)]
pub struct Fake {
    /// The forge.
    pub forge: FakeForge,
    /// What an app's configuration would say of it.
    pub section: SignIn,
    _folder: TempDir,
}

/// Starts one for an app at `public_url`, whose `/open` needs no sign-in.
///
/// # Errors
/// A port or a file that is not to be had.
pub async fn start(public_url: &str) -> Result<Fake, Box<dyn Error + Send + Sync>> {
    let forge = FakeForge::start(FakeSettings::default()).await?;
    let callback = format!("{public_url}/_hero/auth/callback");
    forge.add_user(NewUser::new("alice", "wonderland-1865"));
    forge.add_application(NewApplication::new("example", "example-id", "example-secret", &callback));
    let folder = tempfile::tempdir()?;
    let client_secret_file = folder.path().join("client_secret");
    fs::write(&client_secret_file, "example-secret")?;
    fs::set_permissions(&client_secret_file, fs::Permissions::from_mode(0o600))?;
    let section = SignIn {
        public_url: public_url.parse()?,
        forge_url: forge.url().as_str().parse()?,
        client_id: "example-id".to_owned(),
        client_secret_file,
        allow: vec!["alice".to_owned()],
        pass_token: true,
        open: vec!["/open".to_owned()],
    };
    Ok(Fake { forge, section, _folder: folder })
}
