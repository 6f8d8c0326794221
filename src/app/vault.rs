//! The store and the key that seals it, as the configuration says.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use thiserror::Error;

use crate::base::entropy::Entropy;
use crate::base::seal::{BadKey, KeyRing, SealKey};
use crate::base::secret::SecretText;
use crate::base::secret_file::{self, Reason, SecretFileError};
use crate::config::{KeyPlan, SecretReference, Store, key_plan};
use crate::session::memory::MemoryStore;
use crate::session::store::SessionStore;

/// Sessions kept in memory at most; the least recently used give way.
const MAX_SESSIONS_IN_MEMORY: usize = 100_000;

/// Why the store cannot be opened.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum VaultError {
    /// The key's file is missing, open to others, or cannot be written.
    #[error("session.key: {0}")]
    KeyFile(#[source] SecretFileError),
    /// What the file holds is no key.
    #[error("session.key: {} holds no key that serves: {bad}", .file.display())]
    Key {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        #[source]
        bad: BadKey,
    },
    /// The store holds sessions and the key that sealed them is gone.
    #[error(
        "session.key: {} is missing, and session.path: {} holds what it sealed; put the key back, or remove the store to sign everybody out",
        .key.display(), .store.display()
    )]
    KeyLost {
        /// Where the key should lie.
        key: PathBuf,
        /// The store.
        store: PathBuf,
    },
    /// The store's file does not serve.
    #[cfg(feature = "store-sqlite")]
    #[error("session.path: {0}")]
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
    let text = match key_plan(key, key.path().exists(), is_empty) {
        KeyPlan::Read => key.read().map_err(VaultError::KeyFile)?,
        KeyPlan::Make => {
            let text = SealKey::random(&**entropy).line();
            match secret_file::create_new(key.path(), &text) {
                Ok(()) => text,
                // Another process has its first start at the same moment, and was quicker.
                Err(failed) if matches!(failed.reason, Reason::Exists) => {
                    key.read().map_err(VaultError::KeyFile)?
                }
                Err(failed) => return Err(VaultError::KeyFile(failed)),
            }
        }
        KeyPlan::Refuse => {
            return Err(VaultError::KeyLost { key: key.path().to_owned(), store: path.to_owned() });
        }
    };
    ring(key.path(), &text)
}

fn ring(path: &Path, text: &SecretText) -> Result<KeyRing, VaultError> {
    KeyRing::from_text(text.expose()).map_err(|bad| VaultError::Key { file: path.to_owned(), bad })
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
