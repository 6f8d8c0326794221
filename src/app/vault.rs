//! The store and the key that seals it, as the configuration says.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use thiserror::Error;

use crate::base::entropy::Entropy;
use crate::base::seal::{BadKey, KeyRing, SealKey};
use crate::base::secret::SecretText;
use crate::base::secret_file::{self, Reason, SecretFileError};
use crate::config::{KeyPlan, SecretError, SecretReference, Store, key_plan};
use crate::session::memory::MemoryStore;
use crate::session::store::SessionStore;

/// Sessions kept in memory at most; the least recently used give way.
const MAX_SESSIONS_IN_MEMORY: usize = 100_000;

/// Why the store cannot be opened.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum VaultError {
    /// The key's file is missing, open to others, or cannot be written.
    #[error("session.key")]
    KeyFile(#[source] SecretFileError),
    /// The place of secrets that it is in does not give it.
    #[error("session.key")]
    KeyPlace(#[source] SecretError),
    /// What is there is no key.
    #[error("session.key: {place} holds no key that serves")]
    Key {
        /// Where.
        place: String,
        /// What is wrong with it.
        #[source]
        bad: BadKey,
    },
    /// The store holds sessions and the key that sealed them is gone.
    #[error(
        "session.key: {} is missing, and session.path: {} holds what it sealed; put the key back, or remove the store to sign everybody out",
        .key, .store.display()
    )]
    KeyLost {
        /// Where the key should lie.
        key: String,
        /// The store.
        store: PathBuf,
    },
    /// The store's file does not serve.
    #[cfg(feature = "store-sqlite")]
    #[error("session.path")]
    Sqlite(#[from] crate::session::sqlite::OpenError),
    /// This program was built without the store.
    #[cfg(not(feature = "store-sqlite"))]
    #[error("session.store: this program was built without SQLite")]
    NotBuilt,
}

/// Opens the store; makes its key at the first start.
pub(super) fn open(
    store: &Store,
    entropy: &Arc<dyn Entropy>,
) -> Result<(Arc<dyn SessionStore>, KeyRing), VaultError> {
    match store {
        Store::Memory => {
            let ring = KeyRing::of(SealKey::random(&**entropy));
            Ok((Arc::new(MemoryStore::new(MAX_SESSIONS_IN_MEMORY)), ring))
        }
        Store::Sqlite { path, key } => {
            let ring = key_ring(path, key, entropy)?;
            Ok((sqlite(path)?, ring))
        }
    }
}

fn key_ring(path: &Path, key: &SecretReference, entropy: &Arc<dyn Entropy>) -> Result<KeyRing, VaultError> {
    let is_empty = path.metadata().is_ok_and(|file| file.len() == 0) || !path.exists();
    let lost = || VaultError::KeyLost { key: key.to_string(), store: path.to_owned() };
    let text = match key_plan(key, key.exists(), is_empty) {
        KeyPlan::Read => read(key)?,
        KeyPlan::Make => {
            let file = key.path().ok_or_else(lost)?;
            let text = SealKey::random(&**entropy).line();
            match secret_file::create_new(file, &text) {
                Ok(()) => text,
                // Another process has its first start at the same moment, and was quicker.
                Err(failed) if matches!(failed.reason, Reason::Exists) => read(key)?,
                Err(failed) => return Err(VaultError::KeyFile(failed)),
            }
        }
        KeyPlan::Refuse => return Err(lost()),
    };
    ring(key, &text)
}

fn read(key: &SecretReference) -> Result<SecretText, VaultError> {
    key.read().map_err(|error| match error {
        SecretError::File(error) => VaultError::KeyFile(error),
        error => VaultError::KeyPlace(error),
    })
}

fn ring(key: &SecretReference, text: &SecretText) -> Result<KeyRing, VaultError> {
    KeyRing::from_text(text.expose()).map_err(|bad| VaultError::Key { place: key.to_string(), bad })
}

#[cfg(feature = "store-sqlite")]
fn sqlite(path: &Path) -> Result<Arc<dyn SessionStore>, VaultError> {
    use crate::session::sqlite::{SqliteSettings, SqliteStore};

    Ok(Arc::new(SqliteStore::open(&SqliteSettings::at(path))?))
}

#[cfg(not(feature = "store-sqlite"))]
fn sqlite(_: &Path) -> Result<Arc<dyn SessionStore>, VaultError> {
    Err(VaultError::NotBuilt)
}
