//! What lies outside the file: secrets, certificates, the store. The only reader of the environment, and of that only
//! `$CREDENTIALS_DIRECTORY`, which the service manager sets (systemd.exec(5), `LoadCredential=`).

use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use thiserror::Error;

use crate::base::secret::SecretText;
use crate::base::secret_file::{self, Reason, SecretFileError};

/// The longest file of certificates, in bytes; the system's own bundle has some 200 KiB.
const MAX_PEM_BYTES: u64 = 1024 * 1024;

/// Where relative paths and credentials lead.
#[derive(Clone, Debug)]
pub struct Source {
    base: PathBuf,
    credentials: Option<PathBuf>,
}

/// A secret that stands elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretReference {
    /// In a file of ours, mode 0600.
    File(PathBuf),
    /// In a file that the service manager put in place.
    Credential(PathBuf),
}

/// A reference that leads nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum BadCredential {
    /// The name has a slash or begins with a dot.
    #[error("not the name of a credential")]
    Name,
    /// `$CREDENTIALS_DIRECTORY` is not set.
    #[error("the service manager handed over no credentials")]
    NoDirectory,
}

/// A file of certificates that cannot be used.
#[derive(Debug, Error)]
pub enum BadCertificates {
    /// The system says no.
    #[error("the file of certificates cannot be read ({})", .0.kind())]
    Unreadable(#[source] io::Error),
    /// Longer than a megabyte.
    #[error("the file is too long to be one of certificates")]
    TooLong,
    /// No certificate in it, or a broken one.
    #[error("there is no certificate in this file, or a broken one")]
    NoCertificate,
}

impl Source {
    /// What belongs to the configuration file at `config`: relative paths start at its folder.
    pub fn of(config: &Path) -> Self {
        let base = config.parent().unwrap_or(Path::new("")).to_owned();
        Self::new(base, std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from))
    }

    /// A source with these two folders.
    pub fn new(base: PathBuf, credentials: Option<PathBuf>) -> Self {
        Self { base, credentials }
    }

    /// A path as written, relative to the configuration file.
    pub fn path(&self, written: &str) -> PathBuf {
        self.base.join(written)
    }

    /// The file of a credential.
    ///
    /// # Errors
    /// [`BadCredential`]
    pub fn credential(&self, name: &str) -> Result<SecretReference, BadCredential> {
        if name.contains('/') || name.starts_with('.') {
            return Err(BadCredential::Name);
        }
        let folder = self.credentials.as_ref().ok_or(BadCredential::NoDirectory)?;
        Ok(SecretReference::Credential(folder.join(name)))
    }

    /// Reads a file of certificates in PEM form; it holds one at least.
    ///
    /// # Errors
    /// [`BadCertificates`]
    pub fn certificates(&self, written: &str) -> Result<Vec<u8>, BadCertificates> {
        let mut pem = Vec::new();
        let file = fs::File::open(self.path(written)).map_err(BadCertificates::Unreadable)?;
        file.take(MAX_PEM_BYTES + 1).read_to_end(&mut pem).map_err(BadCertificates::Unreadable)?;
        if pem.len() as u64 > MAX_PEM_BYTES {
            return Err(BadCertificates::TooLong);
        }
        let mut certificates = CertificateDer::pem_slice_iter(&pem).peekable();
        if certificates.peek().is_none() || certificates.any(|certificate| certificate.is_err()) {
            return Err(BadCertificates::NoCertificate);
        }
        Ok(pem)
    }
}

impl SecretReference {
    /// Reads the secret.
    ///
    /// # Errors
    /// [`SecretFileError`]: it names the path and what to do, never the content.
    pub fn read(&self) -> Result<SecretText, SecretFileError> {
        match self {
            Self::File(path) => secret_file::read(path),
            Self::Credential(path) => secret_file::read_credential(path),
        }
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        match self {
            Self::File(path) | Self::Credential(path) => path,
        }
    }
}

/// What is wrong with a file and what to do, for a complaint. The error's own words name the path.
pub(super) fn about(error: &SecretFileError) -> (String, String) {
    let path = error.path.display();
    let fix = match &error.reason {
        Reason::Missing => "make the file, mode 0600, or correct the path".to_owned(),
        Reason::OpenToOthers { .. } => format!("type `chmod 600 {path}`"),
        Reason::SomebodyElses => {
            format!("make it belong to the user that runs hero_proxy: `chown USER {path}`")
        }
        Reason::Io(error) => format!("the system says: {}", error.kind()),
        _ => "put the secret into it, as one line of text".to_owned(),
    };
    // The base says what to type in the same breath; here that stands apart.
    let what = error.to_string();
    let what = what.split_once("; type").map_or(what.clone(), |(what, _)| what.to_owned());
    (what, fix)
}
