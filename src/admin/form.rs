//! What a page of ours puts into its forms, so that a form that comes in is known to be one of them: bound to who is
//! signed in, and good for some hours. The origin of a request is looked at beside it (`base::foreign`).

use std::time::Duration;

use aws_lc_rs::hmac::{self, HMAC_SHA256};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::admin::caller::Caller;
use crate::admin::service::Admin;
use crate::base::clock::Timestamp;

/// How long a page may stay open before its form is refused.
const GOOD_FOR: Duration = Duration::from_hours(8);

impl Admin {
    /// What goes into a form of this caller's: `<seconds>.<mac>`.
    pub fn form_token(&self, by: &Caller) -> String {
        let made = self.now().secs();
        format!("{made}.{}", URL_SAFE_NO_PAD.encode(hmac::sign(&self.form_key(), &said(by, made))))
    }

    /// Whether a form is one that this caller was given, not too long ago. Compared in constant time. A restart outdates
    /// all forms: then the page says so and shows a new one.
    pub fn is_form_token(&self, by: &Caller, token: &str) -> bool {
        let Some((made, mac)) = token.split_once('.') else { return false };
        let (Ok(made), Ok(mac)) = (made.parse::<u64>(), URL_SAFE_NO_PAD.decode(mac)) else { return false };
        let made_at = Timestamp::from_secs(made);
        let is_fresh = made_at <= self.now() && self.now().since(made_at) < GOOD_FOR;
        is_fresh && hmac::verify(&self.form_key(), &said(by, made), &mac).is_ok()
    }

    fn form_key(&self) -> hmac::Key {
        hmac::Key::new(HMAC_SHA256, &self.shared.csrf_key)
    }
}

fn said(by: &Caller, made: u64) -> Vec<u8> {
    format!("form\n{made}\n{}", by.who).into_bytes()
}
