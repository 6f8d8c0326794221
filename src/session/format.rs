//! What is inside a sealed row: JSON with a version.
//!
//! Added members are optional and leave the version as it is: an older program passes over them, a newer one takes their
//! absence for the default. A change of meaning raises the version, and an older program refuses the row.

use std::borrow::Cow;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::base::account::{Account, Identity, Standing};
use crate::base::clock::Timestamp;
use crate::base::secret::RefreshToken;
use crate::session::record::{GrantRecord, ScopeVerdict, SessionRecord};
use crate::wire::ForgeToken;

/// The version that this program writes, and the newest that it reads.
const VERSION: u32 = 1;

/// Why a row's inside cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unreadable {
    /// A newer program wrote it.
    Newer,
    /// It is not what any version writes.
    Garbled,
}

#[derive(Deserialize)]
struct Head {
    v: u32,
}

#[derive(Serialize, Deserialize)]
struct SessionText<'a> {
    v: u32,
    account: Cow<'a, Account>,
    #[serde(borrow)]
    origin: Cow<'a, str>,
    #[serde(borrow, default)]
    browser: Option<Cow<'a, str>>,
    created_at_ms: u64,
    expires_at_ms: u64,
}

#[derive(Serialize, Deserialize)]
struct GrantText<'a> {
    v: u32,
    version: u64,
    // Rows of before this was written tell no beginning.
    #[serde(default)]
    begun: u64,
    account: Cow<'a, Account>,
    identity: Cow<'a, Identity>,
    #[serde(borrow)]
    access: Cow<'a, str>,
    access_expires_at_ms: u64,
    access_life_ms: u64,
    #[serde(borrow)]
    refresh: Option<Cow<'a, str>>,
    dead: bool,
    #[serde(borrow)]
    scope: Cow<'a, str>,
    verdict: Verdict,
    asked_at_ms: u64,
    #[serde(borrow, default, skip_serializing_if = "Vec::is_empty")]
    spares: Vec<Cow<'a, str>>,
    // Since the look at accounts: a row of before was never looked at.
    #[serde(default)]
    standing: Stands,
    #[serde(default)]
    checked_at_ms: u64,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Stands {
    #[default]
    Good,
    Suspended,
    MustChangePassword,
    Refused,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Verdict {
    Unknown,
    Exact,
    Narrower,
    Wider,
}

pub(super) fn write_session(record: &SessionRecord) -> Zeroizing<Vec<u8>> {
    write(&SessionText {
        v: VERSION,
        account: Cow::Borrowed(&record.account),
        origin: Cow::Borrowed(&record.origin),
        browser: record.browser.as_deref().map(Cow::Borrowed),
        created_at_ms: record.created_at.millis(),
        expires_at_ms: record.expires_at.millis(),
    })
}

/// Reads a session; when it was last used is not inside, since that is written in clear.
pub(super) fn read_session(bytes: &[u8], seen_at: Timestamp) -> Result<SessionRecord, Unreadable> {
    let text: SessionText<'_> = read(bytes)?;
    Ok(SessionRecord {
        account: text.account.into_owned(),
        origin: text.origin.into_owned(),
        browser: text.browser.map(Cow::into_owned),
        created_at: Timestamp::from_millis(text.created_at_ms),
        seen_at,
        expires_at: Timestamp::from_millis(text.expires_at_ms),
    })
}

pub(super) fn write_grant(record: &GrantRecord) -> Zeroizing<Vec<u8>> {
    write(&GrantText {
        v: VERSION,
        version: record.version,
        begun: record.begun,
        account: Cow::Borrowed(&record.account),
        identity: Cow::Borrowed(&record.identity),
        access: Cow::Borrowed(record.access.expose()),
        access_expires_at_ms: record.access_expires_at.millis(),
        access_life_ms: u64::try_from(record.access_life.as_millis()).unwrap_or(u64::MAX),
        refresh: record.refresh.as_ref().map(|token| Cow::Borrowed(token.expose())),
        dead: record.dead,
        scope: Cow::Borrowed(&record.scope),
        verdict: match record.verdict {
            ScopeVerdict::Unknown => Verdict::Unknown,
            ScopeVerdict::Exact => Verdict::Exact,
            ScopeVerdict::Narrower => Verdict::Narrower,
            ScopeVerdict::Wider => Verdict::Wider,
        },
        asked_at_ms: record.asked_at.millis(),
        standing: match record.standing {
            Standing::Good => Stands::Good,
            Standing::Suspended => Stands::Suspended,
            Standing::MustChangePassword => Stands::MustChangePassword,
            Standing::Refused => Stands::Refused,
        },
        checked_at_ms: record.checked_at.millis(),
        spares: record.spares.iter().map(|token| Cow::Borrowed(token.expose())).collect(),
    })
}

pub(super) fn read_grant(bytes: &[u8]) -> Result<GrantRecord, Unreadable> {
    let text: GrantText<'_> = read(bytes)?;
    Ok(GrantRecord {
        version: text.version,
        begun: text.begun,
        account: text.account.into_owned(),
        identity: text.identity.into_owned(),
        access: ForgeToken::new(text.access).map_err(|_| Unreadable::Garbled)?,
        access_expires_at: Timestamp::from_millis(text.access_expires_at_ms),
        access_life: Duration::from_millis(text.access_life_ms),
        refresh: text.refresh.map(RefreshToken::new),
        dead: text.dead,
        scope: text.scope.into_owned(),
        verdict: match text.verdict {
            Verdict::Unknown => ScopeVerdict::Unknown,
            Verdict::Exact => ScopeVerdict::Exact,
            Verdict::Narrower => ScopeVerdict::Narrower,
            Verdict::Wider => ScopeVerdict::Wider,
        },
        asked_at: Timestamp::from_millis(text.asked_at_ms),
        standing: match text.standing {
            Stands::Good => Standing::Good,
            Stands::Suspended => Standing::Suspended,
            Stands::MustChangePassword => Standing::MustChangePassword,
            Stands::Refused => Standing::Refused,
        },
        checked_at: Timestamp::from_millis(text.checked_at_ms),
        spares: text.spares.into_iter().map(RefreshToken::new).collect(),
    })
}

/// Room for an ordinary grant, so that the buffer rarely grows: what it grows out of is not wiped.
const USUAL_BYTES: usize = 8 * 1024;

#[expect(
    clippy::expect_used,
    reason = "the texts are plain structs: their JSON never fails, nor does writing to memory"
)]
fn write(text: &impl Serialize) -> Zeroizing<Vec<u8>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(USUAL_BYTES));
    serde_json::to_writer(&mut *bytes, text).expect("a plain struct has a JSON form");
    bytes
}

fn read<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, Unreadable> {
    let head: Head = serde_json::from_slice(bytes).map_err(|_| Unreadable::Garbled)?;
    match head.v {
        0 => Err(Unreadable::Garbled),
        1..=VERSION => serde_json::from_slice(bytes).map_err(|_| Unreadable::Garbled),
        _ => Err(Unreadable::Newer),
    }
}
