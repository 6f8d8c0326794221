//! Who was here, and when: the gate tells it, somebody else may write it down.

use std::fmt::Debug;

use crate::base::account::UserId;
use crate::base::clock::Timestamp;

/// Hears of visitors. It is told where the use of a session is noted anyway, once a minute and session at most: never on
/// the way of a request.
pub trait Activity: Debug + Send + Sync + 'static {
    /// A visitor was here. It must not wait, and may forget.
    fn seen(&self, user: &UserId, at: Timestamp);
}
