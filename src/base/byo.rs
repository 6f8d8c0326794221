//! The slot of the pasted token ("bring your own"): the secret `cockpit/USER_FORGE_TOKEN`, and beside it a companion
//! that says whose it is.
//!
//! 1. The token is used, shown, replaced and removed for the visitor who pasted it, and for nobody else.
//! 2. A token that was pasted while no user id arrived is for whoever comes while none arrives. A visitor with an id may put
//!    one of their own in its place, and neither uses nor sees the old one: else a token from before there was a sign-in
//!    would lock the slot for ever, since from then on an id arrives with everybody.
//! 3. The companion also says what the token it speaks of looks like from afar. If it speaks of another token (a
//!    program wrote one of the two alone, or a write was cut short), nobody may use what lies there.
//!
//! All calls may wait for a disk or a socket: in async code, make them where blocking is allowed.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use crate::base::secret::SecretText;
use crate::base::secret_file::{SecretSource, Slot, SlotError};
use crate::wire::ForgeToken;
use crate::wire::credential::{Asker, ByoToken, Owner};

/// A token shows its last four characters only if at least this many stay hidden.
const HIDDEN_AT_LEAST: usize = 16;

/// Why the pasted token cannot be had or changed.
#[derive(Debug)]
#[non_exhaustive]
pub enum ByoError {
    /// The place of secrets cannot answer, or refuses to: its reason says what to do, and holds no secret.
    Unavailable(SlotError),
    /// What lies in the slot is no token.
    NoToken,
    /// What lies in the slot is not the asker's to replace or remove.
    NotYours,
}

impl fmt::Display for ByoError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unavailable(_) => "the pasted token cannot be read or written",
            Self::NoToken => "what lies in the slot of the pasted token is no token",
            Self::NotYours => "the pasted token is somebody else's",
        })
    }
}

impl std::error::Error for ByoError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Unavailable(cause) => Some(cause),
            Self::NoToken | Self::NotYours => None,
        }
    }
}

impl From<SlotError> for ByoError {
    fn from(cause: SlotError) -> Self {
        Self::Unavailable(cause)
    }
}

/// What an asker may know of the slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ByoState {
    /// Nothing is pasted.
    Empty,
    /// The asker's token is there.
    Yours {
        /// Its last four characters, if enough others stay hidden.
        ends_in: Option<String>,
    },
    /// Somebody else's token is there, or nobody knows whose.
    NotYours,
    /// A token is there that names nobody, from before there was a sign-in: the asker may neither use nor remove it, and
    /// may paste one of their own in its place.
    Unclaimed,
    /// The asker named a token there, and another one lies there now: paste it again.
    Spoiled,
}

/// The slot of the pasted token in a place of secrets.
///
/// # Example
/// ```
/// use hero_proxy::base::byo::{ByoSlot, ByoState};
/// use hero_proxy::base::secret_file::SecretFolder;
/// use hero_proxy::wire::{ForgeToken, credential::Asker};
///
/// # let folder = tempfile::tempdir()?;
/// let slot = ByoSlot::new(SecretFolder::new(folder.path()));
/// slot.paste(Asker::Known("42"), &ForgeToken::new("0123456789abcdef0123456789abcdef01234567")?)?;
/// assert_eq!(slot.state(Asker::Known("42"))?, ByoState::Yours { ends_in: Some("4567".into()) });
/// assert_eq!(slot.state(Asker::Known("43"))?, ByoState::NotYours);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct ByoSlot<S> {
    source: S,
    token: Slot,
    owner: Slot,
    /// Token and companion are two secrets: in this process nobody sees one of them changed alone.
    turn: Mutex<()>,
}

/// The companion, as JSON.
#[derive(Serialize, Deserialize)]
struct Companion {
    /// Who pasted the token; none if no user id had arrived.
    forge_user_id: Option<String>,
    /// What the token looks like from afar.
    token: Silhouette,
}

#[derive(Serialize, Deserialize, PartialEq, Eq)]
struct Silhouette {
    bytes: usize,
    ends_in: Option<String>,
}

impl Silhouette {
    fn of(token: &ForgeToken) -> Self {
        let text = token.expose();
        let hidden = text.len().saturating_sub(4);
        let ends_in = if hidden >= HIDDEN_AT_LEAST { text.get(hidden..).map(str::to_owned) } else { None };
        Self { bytes: text.len(), ends_in }
    }
}

impl<S: SecretSource> ByoSlot<S> {
    /// The slot `cockpit/USER_FORGE_TOKEN` and its companion `cockpit/USER_FORGE_TOKEN_OWNER`.
    #[expect(
        clippy::expect_used,
        clippy::missing_panics_doc,
        reason = "the two names are of the form that `Slot` wants"
    )]
    pub fn new(source: S) -> Self {
        let slot = |key| Slot::new("cockpit", key).expect("a fixed name of letters and `_` is a slot's name");
        Self {
            source,
            token: slot("USER_FORGE_TOKEN"),
            owner: slot("USER_FORGE_TOKEN_OWNER"),
            turn: Mutex::new(()),
        }
    }

    /// What lies in the slot, whoever's it is: [`ForgeCredential`](crate::wire::credential::ForgeCredential) decides who
    /// may use it.
    ///
    /// # Errors
    /// [`ByoError::Unavailable`], [`ByoError::NoToken`].
    pub fn token(&self) -> Result<Option<ByoToken>, ByoError> {
        let _turn = self.take_turn();
        Ok(self.read()?.map(|(token, _)| token))
    }

    /// What `asker` may know of the slot.
    ///
    /// # Errors
    /// [`ByoError::Unavailable`], [`ByoError::NoToken`].
    pub fn state(&self, asker: Asker<'_>) -> Result<ByoState, ByoError> {
        let _turn = self.take_turn();
        self.look(asker)
    }

    /// Puts a token there, or another one in place of the asker's own or of one that names nobody.
    ///
    /// # Errors
    /// [`ByoError::NotYours`], [`ByoError::Unavailable`].
    pub fn paste(&self, asker: Asker<'_>, token: &ForgeToken) -> Result<(), ByoError> {
        let _turn = self.take_turn();
        if self.look(asker)? == ByoState::NotYours {
            return Err(ByoError::NotYours);
        }
        let forge_user_id = match asker {
            Asker::Known(id) => Some(id.to_owned()),
            Asker::Unnamed => None,
            Asker::Doubtful => return Err(ByoError::NotYours),
        };
        let companion = Companion { forge_user_id, token: Silhouette::of(token) };
        let companion =
            serde_json::to_string(&companion).map_err(|cause| SlotError::Unavailable(cause.into()))?;
        // The companion first: cut short here, it speaks of a token that is not there, and the old one serves nobody.
        self.source.set(&self.owner, &SecretText::new(companion))?;
        Ok(self.source.set(&self.token, &SecretText::new(token.expose()))?)
    }

    /// Removes the asker's own token; it is no fault if there is none.
    ///
    /// # Errors
    /// [`ByoError::NotYours`], [`ByoError::Unavailable`].
    pub fn remove(&self, asker: Asker<'_>) -> Result<(), ByoError> {
        let _turn = self.take_turn();
        if matches!(self.look(asker)?, ByoState::NotYours | ByoState::Unclaimed) {
            return Err(ByoError::NotYours);
        }
        self.source.delete(&self.token)?;
        self.source.delete(&self.owner)?;
        Ok(())
    }

    fn take_turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn look(&self, asker: Asker<'_>) -> Result<ByoState, ByoError> {
        Ok(match self.read()? {
            None => ByoState::Empty,
            Some((byo, _)) if byo.owner.is(asker) => {
                ByoState::Yours { ends_in: Silhouette::of(&byo.token).ends_in }
            }
            Some((_, companion)) if spoiled_for(companion.as_ref(), asker) => ByoState::Spoiled,
            Some((byo, companion)) if unclaimed_by(&byo.owner, companion.as_ref(), asker) => {
                ByoState::Unclaimed
            }
            Some(_) => ByoState::NotYours,
        })
    }

    /// The token and, if it speaks of another token, its companion.
    fn read(&self) -> Result<Option<(ByoToken, Option<Companion>)>, ByoError> {
        let Some(secret) = self.source.get(&self.token)? else { return Ok(None) };
        let token = ForgeToken::new(secret.expose().trim_ascii()).map_err(|_| ByoError::NoToken)?;
        let Some(companion) = self.source.get(&self.owner)? else {
            return Ok(Some((ByoToken { token, owner: Owner::Unrecorded }, None)));
        };
        let read = match serde_json::from_str::<Companion>(companion.expose()) {
            Err(_) => (ByoToken { token, owner: Owner::Unclear }, None),
            Ok(companion) if companion.token != Silhouette::of(&token) => {
                (ByoToken { token, owner: Owner::Unclear }, Some(companion))
            }
            Ok(Companion { forge_user_id: Some(id), .. }) => {
                (ByoToken { token, owner: Owner::User(id) }, None)
            }
            Ok(_) => (ByoToken { token, owner: Owner::Unrecorded }, None),
        };
        Ok(Some(read))
    }
}

/// Whether the companion of another token names `asker`: then he may clear up, although he may not use what is there.
fn spoiled_for(companion: Option<&Companion>, asker: Asker<'_>) -> bool {
    let Some(companion) = companion else { return false };
    match asker {
        Asker::Known(id) => companion.forge_user_id.as_deref() == Some(id),
        Asker::Unnamed => companion.forge_user_id.is_none(),
        Asker::Doubtful => false,
    }
}

/// Whether nothing on record names somebody, and somebody with an id asks.
fn unclaimed_by(owner: &Owner, companion: Option<&Companion>, asker: Asker<'_>) -> bool {
    let names_nobody = match owner {
        Owner::User(_) => false,
        Owner::Unrecorded => true,
        Owner::Unclear => companion.is_none_or(|companion| companion.forge_user_id.is_none()),
    };
    names_nobody && matches!(asker, Asker::Known(_))
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    /// Secrets in memory. After `writes_left` writes it fails.
    #[derive(Debug, Default)]
    struct InMemory {
        secrets: Mutex<HashMap<String, SecretText>>,
        writes_left: Mutex<Option<u32>>,
    }

    impl SecretSource for InMemory {
        fn get(&self, slot: &Slot) -> Result<Option<SecretText>, SlotError> {
            Ok(self.secrets.lock().unwrap().get(slot.key()).cloned())
        }

        fn set(&self, slot: &Slot, secret: &SecretText) -> Result<(), SlotError> {
            if let Some(left) = &mut *self.writes_left.lock().unwrap() {
                *left =
                    left.checked_sub(1).ok_or_else(|| SlotError::Unavailable("the disk is full".into()))?;
            }
            self.secrets.lock().unwrap().insert(slot.key().to_owned(), secret.clone());
            Ok(())
        }

        fn delete(&self, slot: &Slot) -> Result<bool, SlotError> {
            Ok(self.secrets.lock().unwrap().remove(slot.key()).is_some())
        }
    }

    const ALICE: Asker<'_> = Asker::Known("42");
    const BOB: Asker<'_> = Asker::Known("43");
    const OLD: &str = "0123456789abcdef0123456789abcdef0123aaaa";
    const NEW: &str = "0123456789abcdef0123456789abcdef0123bbbb";

    fn token(text: &str) -> ForgeToken {
        ForgeToken::new(text).unwrap()
    }

    fn slot() -> ByoSlot<InMemory> {
        ByoSlot::new(InMemory::default())
    }

    fn yours(ends_in: &str) -> ByoState {
        ByoState::Yours { ends_in: Some(ends_in.into()) }
    }

    #[test]
    fn a_pasted_token_is_its_owners_to_see_replace_and_remove_and_nobody_elses() {
        let slot = slot();
        assert_eq!(slot.state(ALICE).unwrap(), ByoState::Empty);
        slot.paste(ALICE, &token(OLD)).unwrap();
        assert_eq!(slot.state(ALICE).unwrap(), yours("aaaa"));
        for other in [BOB, Asker::Unnamed, Asker::Doubtful] {
            assert_eq!(slot.state(other).unwrap(), ByoState::NotYours);
            assert!(matches!(slot.paste(other, &token(NEW)), Err(ByoError::NotYours)));
            assert!(matches!(slot.remove(other), Err(ByoError::NotYours)));
        }
        assert_eq!(slot.token().unwrap().unwrap().token.expose(), OLD);
        slot.paste(ALICE, &token(NEW)).unwrap();
        assert_eq!(slot.state(ALICE).unwrap(), yours("bbbb"));
        slot.remove(ALICE).unwrap();
        assert_eq!(slot.state(BOB).unwrap(), ByoState::Empty);
        slot.paste(BOB, &token(OLD)).unwrap();
        assert_eq!(slot.token().unwrap().unwrap().owner, Owner::User("43".into()));
    }

    #[test]
    fn a_token_without_an_owner_is_for_those_who_come_without_an_id() {
        let slot = slot();
        slot.source.set(&slot.token, &SecretText::new(format!("{OLD}\n"))).unwrap();
        assert_eq!(slot.token().unwrap().unwrap().owner, Owner::Unrecorded);
        assert_eq!(slot.state(Asker::Unnamed).unwrap(), yours("aaaa"));
        assert_eq!(slot.state(Asker::Doubtful).unwrap(), ByoState::NotYours);
        assert!(matches!(slot.paste(Asker::Doubtful, &token(NEW)), Err(ByoError::NotYours)));
        slot.paste(Asker::Unnamed, &token(NEW)).unwrap();
        assert_eq!(slot.token().unwrap().unwrap().owner, Owner::Unrecorded);
    }

    #[test]
    fn a_token_from_before_the_sign_in_is_used_for_nobody_and_gives_way_to_a_visitors_own() {
        let slot = slot();
        slot.source.set(&slot.token, &SecretText::new(OLD)).unwrap();
        for id in [None, Some("{"), Some(r#"{"forge_user_id":null,"token":{"bytes":1,"ends_in":null}}"#)] {
            if let Some(companion) = id {
                slot.source.set(&slot.owner, &SecretText::new(companion)).unwrap();
            }
            assert_eq!(slot.state(ALICE).unwrap(), ByoState::Unclaimed, "{id:?}");
            assert!(!slot.token().unwrap().unwrap().owner.is(ALICE), "{id:?}");
            assert!(matches!(slot.remove(ALICE), Err(ByoError::NotYours)), "{id:?}");
        }
        slot.paste(ALICE, &token(NEW)).unwrap();
        assert_eq!(slot.state(ALICE).unwrap(), yours("bbbb"));
        for other in [BOB, Asker::Unnamed] {
            assert_eq!(slot.state(other).unwrap(), ByoState::NotYours);
            assert!(matches!(slot.paste(other, &token(OLD)), Err(ByoError::NotYours)));
        }
    }

    #[test]
    fn a_paste_that_is_cut_short_gives_nobody_a_token_that_is_not_theirs() {
        let slot = slot();
        slot.paste(ALICE, &token(OLD)).unwrap();
        *slot.source.writes_left.lock().unwrap() = Some(1);
        assert!(matches!(slot.paste(ALICE, &token(NEW)), Err(ByoError::Unavailable(_))));
        assert_eq!(slot.token().unwrap().unwrap().owner, Owner::Unclear);
        assert_eq!(slot.state(ALICE).unwrap(), ByoState::Spoiled);
        assert_eq!(slot.state(BOB).unwrap(), ByoState::NotYours);
        *slot.source.writes_left.lock().unwrap() = None;
        slot.paste(ALICE, &token(NEW)).unwrap();
        assert_eq!(slot.state(ALICE).unwrap(), yours("bbbb"));
    }

    #[test]
    fn a_token_that_another_program_put_there_is_not_the_former_owners() {
        let slot = slot();
        slot.paste(ALICE, &token(OLD)).unwrap();
        slot.source.set(&slot.token, &SecretText::new(NEW)).unwrap();
        assert_eq!(slot.token().unwrap().unwrap().owner, Owner::Unclear);
        slot.source.set(&slot.owner, &SecretText::new("{")).unwrap();
        assert_eq!(slot.token().unwrap().unwrap().owner, Owner::Unclear);
        assert_eq!(slot.state(Asker::Unnamed).unwrap(), ByoState::NotYours);
    }

    #[test]
    fn a_short_token_shows_nothing_of_itself() {
        let slot = slot();
        slot.paste(ALICE, &token("0123456789")).unwrap();
        assert_eq!(slot.state(ALICE).unwrap(), ByoState::Yours { ends_in: None });
    }

    #[test]
    fn what_is_no_token_is_a_fault_and_not_an_empty_slot() {
        let slot = slot();
        slot.source.set(&slot.token, &SecretText::new("two words")).unwrap();
        assert!(matches!(slot.token(), Err(ByoError::NoToken)));
    }

    /// Holds: X7.
    #[test]
    fn the_slot_does_not_print_what_it_holds() {
        let slot = slot();
        slot.paste(ALICE, &token(OLD)).unwrap();
        let shown = format!("{slot:?} {:?}", slot.token());
        assert!(!shown.contains("0123456789abcdef"), "{shown}");
    }
}
