//! Secrets: where they are, and whether they are any good. Nothing of a secret gets into a complaint.

use std::path::Path;

use super::address;
use crate::base::seal::KeyRing;
use crate::base::secret::SecretText;
use crate::base::secret_file::{self, Reason};
use crate::config::complaint::{Report, Spot};
use crate::config::raw::{Located, SecretWords};
use crate::config::source::{self, SecretError, SecretReference, Source};

/// A client secret is random; the forge makes 56 characters. Fewer than this can be guessed.
const FEWEST_CHARACTERS: usize = 16;
const FEWEST_DIFFERENT: usize = 8;
const SAMPLES: [&str; 9] = [
    "changeme",
    "change_me",
    "change-me",
    "example",
    "secret",
    "password",
    "replace",
    "placeholder",
    "your_",
];

/// The place that a reference leads to. Whether anything is in it is asked elsewhere.
pub(super) fn reference(
    words: &Located<SecretWords>,
    source: &Source,
    report: &mut Report<'_>,
) -> Option<SecretReference> {
    match &words.value {
        SecretWords::File(path) => Some(SecretReference::File(source.path(path))),
        SecretWords::Credential(name) => match source.credential(name) {
            Ok(reference) => Some(reference),
            Err(error) => {
                let fix = format!(
                    "write LoadCredential={name}:/path in the systemd unit, or use {{ file = \"...\" }}; by hand type `CREDENTIALS_DIRECTORY=/folder hero_proxy check ...`"
                );
                report.error(&words.spot, error.to_string(), fix);
                None
            }
        },
        SecretWords::HeroProc(slot) => Some(source.hero_proc(slot.clone())),
    }
}

/// Reads a client secret and looks whether somebody could guess it.
pub(super) fn client_secret(
    words: &Located<SecretWords>,
    source: &Source,
    report: &mut Report<'_>,
) -> Option<SecretText> {
    match reference(words, source, report)?.read() {
        Ok(secret) if is_guessable(secret.expose()) => {
            let fix = "put the one there that the forge showed when the OAuth application was made";
            report.error(&words.spot, "this secret is short or a sample", fix);
            None
        }
        Ok(secret) => Some(secret),
        Err(error) => {
            let (what, fix) = source::about_secret(&error);
            report.error(&words.spot, what, fix);
            None
        }
    }
}

/// Looks whether the admin token is where it is said to be, and any good. It is read anew for each call.
pub(super) fn admin_token(
    words: &Located<SecretWords>,
    source: &Source,
    report: &mut Report<'_>,
) -> Option<SecretReference> {
    let reference = reference(words, source, report)?;
    match reference.read() {
        Ok(secret) if is_guessable(secret.expose()) => {
            let fix = "put a personal token of a site admin there, with the scopes write:admin and read:user";
            report.error(&words.spot, "this token is short or a sample", fix);
            None
        }
        Ok(_) => Some(reference),
        Err(error) => {
            let (what, fix) = source::about_secret(&error);
            report.error(&words.spot, what, fix);
            None
        }
    }
}

fn is_guessable(secret: &str) -> bool {
    let lower = secret.to_ascii_lowercase();
    let mut different: Vec<char> = secret.chars().collect();
    different.sort_unstable();
    different.dedup();
    secret.chars().count() < FEWEST_CHARACTERS
        || different.len() < FEWEST_DIFFERENT
        || SAMPLES.iter().any(|sample| lower.contains(sample))
}

/// Looks at the session key, if there is one: its absence is judged at the start, since only the store knows whether it
/// is empty.
pub(super) fn session_key(key: &SecretReference, spot: &Spot, store: &Path, report: &mut Report<'_>) {
    match key.read() {
        Ok(text) => {
            if let Err(error) = KeyRing::from_text(text.expose()) {
                report.error(spot, format!("{key}: {error}"), "one key a line, the newest first");
            }
        }
        Err(SecretError::File(error))
            if matches!((&error.reason, key), (Reason::Missing, SecretReference::File(_))) =>
        {
            if !has_folder(&error.path, spot, report) {
                return;
            }
            if store.exists() {
                let what = format!("{key}: there is no such file, but there is a store");
                report.warn(spot, what, "put the key back; the start is refused if anything is in the store");
            }
        }
        Err(error) => {
            let (what, fix) = source::about_secret(&error);
            report.error(spot, what, fix);
        }
    }
}

/// Looks at the store's file: nobody else may read it, and there is a folder to make it in.
pub(super) fn store_file(path: &Path, spot: &Spot, report: &mut Report<'_>) {
    match secret_file::check_private(path) {
        Ok(()) => {}
        Err(error) if matches!(error.reason, Reason::Missing) => {
            has_folder(path, spot, report);
        }
        Err(error) => {
            let (what, fix) = source::about(&error);
            report.error(spot, what, fix);
        }
    }
}

/// Whether there is a folder to make this file in; tells if not.
fn has_folder(path: &Path, spot: &Spot, report: &mut Report<'_>) -> bool {
    let missing = address::missing_folder(path);
    if let Some(folder) = missing {
        let what = format!("{}: there is no such folder", folder.display());
        report.error(spot, what, "make the folder, or correct the path");
    }
    missing.is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Holds: X5.
    #[test]
    fn short_and_sample_secrets_are_guessable_and_a_real_one_is_not() {
        for secret in [
            "",
            "...",
            "hunter2",
            "aaaaaaaaaaaaaaaaaaaaaaaa",
            "changeme-changeme-1234",
            "your_client_secret_here",
        ] {
            assert!(is_guessable(secret), "{secret}");
        }
        assert!(!is_guessable("gto_q3vw7ixb2d5jslmu4phyz6tkfae"));
    }
}
