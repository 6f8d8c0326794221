//! The port of every place that keeps secrets under names.

use std::fmt;

use super::error::SecretFileError;
use crate::base::secret::SecretText;

/// The longest part of a slot's name, in bytes.
const MAX_NAME_BYTES: usize = 64;

/// The name of a secret in a store of secrets: a context and a key, such as `cockpit` and `USER_FORGE_TOKEN`.
///
/// # Shapes
/// Each part: 1 to 64 of `A-Z a-z 0-9 _ - .`, the first one no dot. So it is one segment of a path, and never `..`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Slot {
    context: String,
    key: String,
}

/// A text that is no slot's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadSlot;

impl Slot {
    /// Makes a name.
    ///
    /// # Errors
    /// [`BadSlot`] unless both parts have the form above.
    pub fn new(context: &str, key: &str) -> Result<Self, BadSlot> {
        if is_name(context) && is_name(key) {
            Ok(Self { context: context.to_owned(), key: key.to_owned() })
        } else {
            Err(BadSlot)
        }
    }

    /// The context.
    pub fn context(&self) -> &str {
        &self.context
    }

    /// The key.
    pub fn key(&self) -> &str {
        &self.key
    }
}

/// `context/key`, as the config writes it.
impl std::str::FromStr for Slot {
    type Err = BadSlot;

    fn from_str(text: &str) -> Result<Self, BadSlot> {
        let (context, key) = text.split_once('/').ok_or(BadSlot)?;
        Self::new(context, key)
    }
}

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.context, self.key)
    }
}

fn is_name(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    (1..=MAX_NAME_BYTES).contains(&text.len()) && !text.starts_with('.') && text.bytes().all(allowed)
}

impl fmt::Display for BadSlot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a secret's name is `context/key`, each of 1 to 64 letters, digits, `_`, `-` or `.`")
    }
}

impl std::error::Error for BadSlot {}

/// A place that keeps secrets. The calls block for as long as a small file takes.
pub trait SecretSource: fmt::Debug + Send + Sync + 'static {
    /// Reads a secret; none: the slot is empty.
    ///
    /// # Errors
    /// [`SlotError`]: "cannot know" is never "empty".
    fn get(&self, slot: &Slot) -> Result<Option<SecretText>, SlotError>;

    /// Puts a secret in, in place of what is there.
    ///
    /// # Errors
    /// [`SlotError`]; what was there is unharmed then.
    fn set(&self, slot: &Slot, secret: &SecretText) -> Result<(), SlotError>;

    /// Empties a slot; says whether there was something in it.
    ///
    /// # Errors
    /// [`SlotError`].
    fn delete(&self, slot: &Slot) -> Result<bool, SlotError>;
}

/// Why a place of secrets did not do as asked. It never holds a secret.
#[derive(Debug)]
#[non_exhaustive]
pub enum SlotError {
    /// The file of the slot cannot be used: somebody has to put it right.
    File(SecretFileError),
    /// The place does not answer for now.
    Unavailable(Box<dyn std::error::Error + Send + Sync>),
}

impl From<SecretFileError> for SlotError {
    fn from(error: SecretFileError) -> Self {
        Self::File(error)
    }
}

impl fmt::Display for SlotError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(error) => error.fmt(f),
            Self::Unavailable(_) => f.write_str("the secret store does not answer"),
        }
    }
}

impl std::error::Error for SlotError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::File(error) => error.source(),
            Self::Unavailable(error) => Some(&**error),
        }
    }
}
