//! The slot of the pasted token ("bring your own"): the secret `cockpit/USER_FORGE_TOKEN`, and beside it a companion
//! that says whose it is.
//!
//! 1. The token is used, shown, replaced and removed for the visitor who pasted it, and for nobody else.
//! 2. A token that was pasted while no user id arrived is for whoever comes while none arrives.
//! 3. The companion also says what the token it speaks of looks like from afar. If it speaks of another token (a
//!    program wrote one of the two alone, or a write was cut short), nobody may use what lies there.
//!
//! All calls may wait for a disk or a socket: in async code, make them where blocking is allowed.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use crate::wire::credential::{Asker, ByoToken, Owner};
use crate::wire::token::ForgeToken;

/// The slot's place in a store of secrets.
pub const CONTEXT: &str = "cockpit";
/// The token's key there.
pub const TOKEN_KEY: &str = "USER_FORGE_TOKEN";
/// The companion's key there.
pub const OWNER_KEY: &str = "USER_FORGE_TOKEN_OWNER";

/// A token shows its last four characters only if at least this many stay hidden.
const HIDDEN_AT_LEAST: usize = 16;

/// A store of secrets by context and key, such as files in a private folder.
pub trait SlotStore: fmt::Debug + Send + Sync + 'static {
    /// The secret; none if there is none.
    ///
    /// # Errors
    /// [`SlotError`]: "cannot know" is never "not there".
    fn read(&self, context: &str, key: &str) -> Result<Option<SecretString>, SlotError>;
    /// Sets the secret, whole or not at all.
    ///
    /// # Errors
    /// [`SlotError`]
    fn write(&self, context: &str, key: &str, secret: &SecretString) -> Result<(), SlotError>;
    /// Removes the secret; it is no fault if there is none.
    ///
    /// # Errors
    /// [`SlotError`]
    fn delete(&self, context: &str, key: &str) -> Result<(), SlotError>;
}

/// Why the slot cannot be used.
#[derive(Debug)]
#[non_exhaustive]
pub enum SlotError {
    /// The store cannot answer, or refuses to (a file that others can read). Its reason holds no secret.
    Unavailable(Box<dyn std::error::Error + Send + Sync>),
    /// What lies in the slot is no token.
    NoToken,
    /// What lies in the slot is not the asker's to see, replace or remove.
    NotYours,
}

impl fmt::Display for SlotError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unavailable(_) => "the store of the pasted token cannot answer",
            Self::NoToken => "what lies in the slot of the pasted token is no token",
            Self::NotYours => "the pasted token is somebody else's",
        })
    }
}

impl std::error::Error for SlotError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Unavailable(cause) => Some(cause.as_ref()),
            Self::NoToken | Self::NotYours => None,
        }
    }
}

/// What an asker may know of the slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SlotState {
    /// Nothing is pasted.
    Empty,
    /// The asker's token is there.
    Yours {
        /// Its last four characters, if enough others stay hidden.
        ends_in: Option<String>,
    },
    /// Somebody else's token is there, or nobody knows whose.
    NotYours,
    /// The asker named a token there, and another one lies there now: paste it again.
    Spoiled,
}

/// The slot.
#[derive(Debug)]
pub struct ByoSlot<S> {
    store: S,
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

impl<S: SlotStore> ByoSlot<S> {
    /// The slot in this store.
    pub fn new(store: S) -> Self {
        Self { store, turn: Mutex::new(()) }
    }

    /// What lies in the slot, whoever's it is: [`ForgeCredential`](crate::wire::credential::ForgeCredential) decides who
    /// may use it.
    ///
    /// # Errors
    /// [`SlotError::Unavailable`], [`SlotError::NoToken`].
    pub fn token(&self) -> Result<Option<ByoToken>, SlotError> {
        let _turn = self.take_turn();
        Ok(self.read()?.map(|(token, _)| token))
    }

    /// What `asker` may know of the slot.
    ///
    /// # Errors
    /// [`SlotError::Unavailable`], [`SlotError::NoToken`].
    pub fn state(&self, asker: Asker<'_>) -> Result<SlotState, SlotError> {
        let _turn = self.take_turn();
        Ok(match self.read()? {
            None => SlotState::Empty,
            Some((byo, _)) if byo.owner.is(asker) => {
                SlotState::Yours { ends_in: Silhouette::of(&byo.token).ends_in }
            }
            Some((_, companion)) if spoiled_for(companion.as_ref(), asker) => SlotState::Spoiled,
            Some(_) => SlotState::NotYours,
        })
    }

    /// Puts a token there, or another one in place of the asker's own.
    ///
    /// # Errors
    /// [`SlotError::NotYours`], [`SlotError::Unavailable`].
    pub fn paste(&self, asker: Asker<'_>, token: &ForgeToken) -> Result<(), SlotError> {
        let _turn = self.take_turn();
        self.check_owner(asker)?;
        let forge_user_id = match asker {
            Asker::Known(id) => Some(id.to_owned()),
            Asker::Unnamed => None,
            Asker::Doubtful => return Err(SlotError::NotYours),
        };
        let companion = Companion { forge_user_id, token: Silhouette::of(token) };
        let companion =
            serde_json::to_string(&companion).map_err(|cause| SlotError::Unavailable(cause.into()))?;
        // The companion first: cut short here, it speaks of a token that is not there, and the old one serves nobody.
        self.store.write(CONTEXT, OWNER_KEY, &SecretString::from(companion))?;
        self.store.write(CONTEXT, TOKEN_KEY, &SecretString::from(token.expose()))
    }

    /// Removes the asker's own token; it is no fault if there is none.
    ///
    /// # Errors
    /// [`SlotError::NotYours`], [`SlotError::Unavailable`].
    pub fn remove(&self, asker: Asker<'_>) -> Result<(), SlotError> {
        let _turn = self.take_turn();
        self.check_owner(asker)?;
        self.store.delete(CONTEXT, TOKEN_KEY)?;
        self.store.delete(CONTEXT, OWNER_KEY)
    }

    fn take_turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn check_owner(&self, asker: Asker<'_>) -> Result<(), SlotError> {
        match self.read()? {
            None => Ok(()),
            Some((byo, companion)) if byo.owner.is(asker) || spoiled_for(companion.as_ref(), asker) => Ok(()),
            Some(_) => Err(SlotError::NotYours),
        }
    }

    /// The token and, if it speaks of another token, its companion.
    fn read(&self) -> Result<Option<(ByoToken, Option<Companion>)>, SlotError> {
        let Some(secret) = self.store.read(CONTEXT, TOKEN_KEY)? else { return Ok(None) };
        let token = ForgeToken::new(secret.expose_secret().trim_ascii()).map_err(|_| SlotError::NoToken)?;
        let Some(companion) = self.store.read(CONTEXT, OWNER_KEY)? else {
            return Ok(Some((ByoToken { token, owner: Owner::Unrecorded }, None)));
        };
        let read = match serde_json::from_str::<Companion>(companion.expose_secret()) {
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

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    /// Secrets in memory. After `writes_left` writes it fails.
    #[derive(Debug, Default)]
    struct InMemory {
        secrets: Mutex<HashMap<String, SecretString>>,
        writes_left: Mutex<Option<u32>>,
    }

    impl SlotStore for InMemory {
        fn read(&self, context: &str, key: &str) -> Result<Option<SecretString>, SlotError> {
            Ok(self.secrets.lock().unwrap().get(&format!("{context}/{key}")).cloned())
        }

        fn write(&self, context: &str, key: &str, secret: &SecretString) -> Result<(), SlotError> {
            if let Some(left) = &mut *self.writes_left.lock().unwrap() {
                *left =
                    left.checked_sub(1).ok_or_else(|| SlotError::Unavailable("the disk is full".into()))?;
            }
            self.secrets.lock().unwrap().insert(format!("{context}/{key}"), secret.clone());
            Ok(())
        }

        fn delete(&self, context: &str, key: &str) -> Result<(), SlotError> {
            self.secrets.lock().unwrap().remove(&format!("{context}/{key}"));
            Ok(())
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

    fn yours(ends_in: &str) -> SlotState {
        SlotState::Yours { ends_in: Some(ends_in.into()) }
    }

    #[test]
    fn a_pasted_token_is_its_owners_to_see_replace_and_remove_and_nobody_elses() {
        let slot = slot();
        assert_eq!(slot.state(ALICE).unwrap(), SlotState::Empty);
        slot.paste(ALICE, &token(OLD)).unwrap();
        assert_eq!(slot.state(ALICE).unwrap(), yours("aaaa"));
        for other in [BOB, Asker::Unnamed, Asker::Doubtful] {
            assert_eq!(slot.state(other).unwrap(), SlotState::NotYours);
            assert!(matches!(slot.paste(other, &token(NEW)), Err(SlotError::NotYours)));
            assert!(matches!(slot.remove(other), Err(SlotError::NotYours)));
        }
        assert_eq!(slot.token().unwrap().unwrap().token.expose(), OLD);
        slot.paste(ALICE, &token(NEW)).unwrap();
        assert_eq!(slot.state(ALICE).unwrap(), yours("bbbb"));
        slot.remove(ALICE).unwrap();
        assert_eq!(slot.state(BOB).unwrap(), SlotState::Empty);
        slot.paste(BOB, &token(OLD)).unwrap();
        assert_eq!(slot.token().unwrap().unwrap().owner, Owner::User("43".into()));
    }

    #[test]
    fn a_token_without_an_owner_is_for_those_who_come_without_an_id() {
        let slot = slot();
        slot.store.write(CONTEXT, TOKEN_KEY, &SecretString::from(format!("{OLD}\n"))).unwrap();
        assert_eq!(slot.token().unwrap().unwrap().owner, Owner::Unrecorded);
        assert_eq!(slot.state(Asker::Unnamed).unwrap(), yours("aaaa"));
        assert_eq!(slot.state(ALICE).unwrap(), SlotState::NotYours);
        assert!(matches!(slot.paste(ALICE, &token(NEW)), Err(SlotError::NotYours)));
        slot.paste(Asker::Unnamed, &token(NEW)).unwrap();
        assert_eq!(slot.token().unwrap().unwrap().owner, Owner::Unrecorded);
    }

    #[test]
    fn a_paste_that_is_cut_short_gives_nobody_a_token_that_is_not_theirs() {
        let slot = slot();
        slot.paste(ALICE, &token(OLD)).unwrap();
        *slot.store.writes_left.lock().unwrap() = Some(1);
        assert!(matches!(slot.paste(ALICE, &token(NEW)), Err(SlotError::Unavailable(_))));
        assert_eq!(slot.token().unwrap().unwrap().owner, Owner::Unclear);
        assert_eq!(slot.state(ALICE).unwrap(), SlotState::Spoiled);
        assert_eq!(slot.state(BOB).unwrap(), SlotState::NotYours);
        *slot.store.writes_left.lock().unwrap() = None;
        slot.paste(ALICE, &token(NEW)).unwrap();
        assert_eq!(slot.state(ALICE).unwrap(), yours("bbbb"));
    }

    #[test]
    fn a_token_that_another_program_put_there_is_not_the_former_owners() {
        let slot = slot();
        slot.paste(ALICE, &token(OLD)).unwrap();
        slot.store.write(CONTEXT, TOKEN_KEY, &SecretString::from(NEW)).unwrap();
        assert_eq!(slot.token().unwrap().unwrap().owner, Owner::Unclear);
        slot.store.write(CONTEXT, OWNER_KEY, &SecretString::from("{")).unwrap();
        assert_eq!(slot.token().unwrap().unwrap().owner, Owner::Unclear);
        assert_eq!(slot.state(ALICE).unwrap(), SlotState::NotYours);
    }

    #[test]
    fn a_short_token_shows_nothing_of_itself() {
        let slot = slot();
        slot.paste(ALICE, &token("0123456789")).unwrap();
        assert_eq!(slot.state(ALICE).unwrap(), SlotState::Yours { ends_in: None });
    }

    #[test]
    fn what_is_no_token_is_a_fault_and_not_an_empty_slot() {
        let slot = slot();
        slot.store.write(CONTEXT, TOKEN_KEY, &SecretString::from("two words")).unwrap();
        assert!(matches!(slot.token(), Err(SlotError::NoToken)));
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
