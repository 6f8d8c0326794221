//! What lies outside the file: secrets, certificates, the store. The only reader of the environment, and of that only
//! `$CREDENTIALS_DIRECTORY`, which the service manager sets (systemd.exec(5), `LoadCredential=`).

use std::fmt;
use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use thiserror::Error;

use crate::base::hero_proc::{self, HeroProc, HeroProcError};
use crate::base::secret::SecretText;
use crate::base::secret_file::{self, Reason, SecretFileError, SecretSource as _, Slot, SlotError};

/// The longest file of certificates, in bytes; the system's own bundle has some 200 KiB.
const MAX_PEM_BYTES: u64 = 1024 * 1024;

/// Where relative paths and credentials lead.
#[derive(Clone, Debug)]
pub struct Source {
    base: PathBuf,
    credentials: Option<PathBuf>,
    hero_proc: HeroProc,
}

/// A secret that stands elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretReference {
    /// In a file of ours, mode 0600.
    File(PathBuf),
    /// In a file that the service manager put in place.
    Credential(PathBuf),
    /// In a slot of hero_proc.
    HeroProc(Slot, HeroProc),
}

/// A secret that cannot be had. It says where it should be, never what it is.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SecretError {
    /// Its file does not serve.
    #[error(transparent)]
    File(#[from] SecretFileError),
    /// The slot is empty.
    #[error("hero_proc: there is no secret in {0}")]
    Empty(Slot),
    /// The place of secrets does not answer as it should.
    #[error("{}", cause(.0))]
    Place(#[source] SlotError),
}

/// The place's own words, which stand behind the port's.
fn cause(error: &SlotError) -> String {
    use std::error::Error as _;
    error.source().map_or_else(|| error.to_string(), ToString::to_string)
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
    #[error("the file of certificates cannot be read: {0}")]
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
        Self { base, credentials, hero_proc: HeroProc::new(hero_proc::Settings::default()) }
    }

    /// The same with another hero_proc.
    #[must_use]
    pub fn with_hero_proc(&self, settings: hero_proc::Settings) -> Self {
        Self { hero_proc: HeroProc::new(settings), ..self.clone() }
    }

    /// A slot of hero_proc; nobody is asked yet.
    pub fn hero_proc(&self, slot: Slot) -> SecretReference {
        SecretReference::HeroProc(slot, self.hero_proc.clone())
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
    /// [`SecretError`]: it names the place and what to do, never the content.
    pub fn read(&self) -> Result<SecretText, SecretError> {
        match self {
            Self::File(path) => Ok(secret_file::read(path)?),
            Self::Credential(path) => Ok(secret_file::read_credential(path)?),
            Self::HeroProc(slot, place) => {
                let found = place.get(slot).map_err(SecretError::Place)?;
                found.ok_or_else(|| SecretError::Empty(slot.clone()))
            }
        }
    }

    /// The file that it lies in, if it is one.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::File(path) | Self::Credential(path) => Some(path),
            Self::HeroProc(..) => None,
        }
    }

    /// Whether there is one, as far as that is known without reading it: a slot is looked into when it is read.
    pub fn exists(&self) -> bool {
        self.path().is_none_or(Path::exists)
    }
}

/// Where it lies, for people.
impl fmt::Display for SecretReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) | Self::Credential(path) => path.display().fmt(f),
            Self::HeroProc(slot, _) => write!(f, "hero_proc's {slot}"),
        }
    }
}

/// What is wrong with a secret and what to do, for a complaint.
pub(super) fn about_secret(error: &SecretError) -> (String, String) {
    match error {
        SecretError::File(error) => about(error),
        SecretError::Empty(slot) => (error.to_string(), format!("put the secret into {slot} of hero_proc")),
        SecretError::Place(slot) => {
            use std::error::Error as _;
            let fault = slot.source().and_then(|fault| fault.downcast_ref::<HeroProcError>());
            let fix = fault.map_or("look at [hero_proc]", HeroProcError::remedy);
            (error.to_string(), fix.to_owned())
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
        Reason::Io(error) => format!("the system says: {error}"),
        _ => "put the secret into it, as one line of text".to_owned(),
    };
    // The base says what to type in the same breath; here that stands apart.
    let what = error.to_string();
    let what = what.split_once("; type").map_or(what.clone(), |(what, _)| what.to_owned());
    (what, fix)
}
