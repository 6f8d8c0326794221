//! What a page of ours puts into its forms, so that a form that comes in is known to be one of them: bound to who is
//! signed in, good for some hours, and known when it comes back twice. The origin of a request is looked at beside it (`base::foreign`).

use std::time::Duration;

use aws_lc_rs::hmac::{self, HMAC_SHA256};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::admin::caller::Caller;
use crate::admin::service::Admin;
use crate::base::clock::Timestamp;

/// How long a page may stay open before its form is refused.
pub(super) const GOOD_FOR: Duration = Duration::from_hours(8);

/// What a form's token is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FormToken {
    /// It was given to this caller, and comes back for the first time.
    Good,
    /// It has come back before.
    Spent,
    /// Too old, another's, or none of ours. A restart outdates all forms: then the page says so and shows a new one.
    Unknown,
}

impl Admin {
    /// What goes into a form of this caller's: `<seconds>.<number used once>.<mac>`.
    pub(super) fn form_token(&self, by: &Caller) -> String {
        let (made, once) = (self.now().secs(), self.new_id('f'));
        let mac = hmac::sign(&self.form_key(), &said(by, made, &once));
        format!("{made}.{once}.{}", URL_SAFE_NO_PAD.encode(mac))
    }

    /// Takes a form's token. Compared in constant time.
    pub(super) fn spend_form_token(&self, by: &Caller, token: &str) -> FormToken {
        let mut parts = token.splitn(3, '.');
        let (Some(made), Some(once), Some(mac)) = (parts.next(), parts.next(), parts.next()) else {
            return FormToken::Unknown;
        };
        let (Ok(made), Ok(mac)) = (made.parse::<u64>(), URL_SAFE_NO_PAD.decode(mac)) else {
            return FormToken::Unknown;
        };
        let made_at = Timestamp::from_secs(made);
        let is_fresh = made_at <= self.now() && self.now().since(made_at) < GOOD_FOR;
        if !is_fresh || hmac::verify(&self.form_key(), &said(by, made, once), &mac).is_err() {
            return FormToken::Unknown;
        }
        let is_first = self.shared.spent_forms.entry_by_ref(once).or_insert(()).is_fresh();
        if is_first { FormToken::Good } else { FormToken::Spent }
    }

    fn form_key(&self) -> hmac::Key {
        hmac::Key::new(HMAC_SHA256, &self.shared.csrf_key)
    }
}

fn said(by: &Caller, made: u64, once: &str) -> Vec<u8> {
    format!("form\n{made}\n{once}\n{}", by.who).into_bytes()
}
