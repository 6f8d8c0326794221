//! Why somebody gets an answer of ours and not the app's: one stable code each, the same on the page, in
//! problem+json and in the log.

use http::StatusCode;

use crate::base::fault::Fault;

/// A reason with its code, its status and its words. Codes are stable: they may be dropped, never given again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reason {
    /// The code: lower case, underscores.
    pub code: &'static str,
    /// The status of the answer.
    pub status: StatusCode,
    /// The page's title.
    pub title: &'static str,
    /// What it means and what to do, for the person who reads it.
    pub advice: &'static str,
}

impl Reason {
    /// The same as a fault, for whoever explains those.
    pub(super) const fn fault(self) -> Fault {
        Fault { status: self.status, reason: self.code, title: self.title }
    }

    /// What a fault of ours advises; none if it is another room's.
    pub(super) fn advice_on(fault: &Fault) -> Option<&'static str> {
        ALL.iter().find(|reason| reason.fault() == *fault).map(|reason| reason.advice)
    }
}

macro_rules! reasons {
    ($($name:ident $code:literal $status:ident $title:literal $advice:literal)*) => {
        $(
            #[doc = $title]
            pub const $name: Reason =
                Reason { code: $code, status: StatusCode::$status, title: $title, advice: $advice };
        )*
        /// All reasons of the gate, as the documents list them.
        pub const ALL: &[Reason] = &[$($name),*];
    };
}

reasons! {
    SIGN_IN_REQUIRED "sign_in_required" UNAUTHORIZED "Please sign in"
        "You are not signed in here, or your session has ended. Sign in to go on."
    SIGNED_OUT "signed_out" UNAUTHORIZED "You are signed out"
        "You have signed out here. Your session at the forge goes on until you sign out there too."
    PERHAPS_ELSEWHERE "perhaps_signed_in_elsewhere" UNAUTHORIZED "You are signed out here, perhaps not everywhere"
        "This browser was signed out already, so nobody knows any more whose other browsers were meant. Some may still be signed in.\nTo end them, sign in once more: it leads to the list of your sessions, and there you can sign out everywhere."
    NOT_ALLOWED "not_allowed" FORBIDDEN "You may not open this"
        "You are signed in, but you are not on the list of people who may open this. Ask its operator, or sign in as somebody else."
    ACCOUNT_SUSPENDED "account_suspended" FORBIDDEN "Your account is suspended at the forge"
        "The forge does not let your account act: it is suspended, or not active. Ask whoever runs the forge. Once that is lifted, come back to this page: you need not sign in again."
    PASSWORD_CHANGE_REQUIRED "password_change_required" FORBIDDEN "Please change your password at the forge"
        "The forge wants you to choose a new password before anything else. Change it there, then come back to this page and go on: you need not sign in again."
    ACCOUNT_REFUSED "account_refused" FORBIDDEN "The forge does not let your account act"
        "The forge refuses what your account asks of it, for a reason that it shows you itself, such as a second factor that must be set up. Open the forge and do what it says, then come back to this page: you need not sign in again."
    FOREIGN_ORIGIN "foreign_origin" FORBIDDEN "This came from another site"
        "Another site sent this request in your name, so it was stopped. If you meant to do it, go back to the app and do it there."
    UNKNOWN_HOST "unknown_host" MISDIRECTED_REQUEST "Nothing is served under this name"
        "This address is not the one that the app is served under. Check the address."
    BAD_HOST "bad_host" BAD_REQUEST "The request names no host"
        "A request must name one host. Use a browser, or send one Host field."
    BAD_PATH "bad_path" BAD_REQUEST "The address is broken"
        "The path has a broken escape in it. Check the address."
    BAD_METHOD "bad_method" METHOD_NOT_ALLOWED "This cannot be done here"
        "This address does not take requests of this method."
    NO_ROUTE "no_route" NOT_FOUND "Nothing is served here"
        "No app is mounted at this path. Check the address."
    FLOW_UNKNOWN "flow_unknown" BAD_REQUEST "This sign-in has ended"
        "The sign-in that you come back from was not begun in this browser, took longer than 15 minutes, or was used already. If it keeps happening, allow cookies for this address and check your computer's clock."
    CALLBACK_MALFORMED "callback_malformed" BAD_REQUEST "The forge's answer is incomplete"
        "The address that you come back with is not one that the forge makes. Begin the sign-in again."
    FORGE_REFUSED "forge_refused" FORBIDDEN "The forge did not sign you in"
        "The forge sent you back without signing you in. Nothing has happened, and you can try again."
    SIGN_IN_FAILED "sign_in_failed" BAD_GATEWAY "The sign-in did not work"
        "The forge did not confirm this sign-in. Try again; if it keeps happening, tell the operator the request id below."
    SIGN_IN_CROSSED "sign_in_crossed" CONFLICT "Two sign-ins crossed"
        "Another sign-in of the same account happened at the same time. Try again."
    SIGN_INS_BUSY "sign_ins_busy" SERVICE_UNAVAILABLE "Too many people sign in at once"
        "Your sign-in has to wait for others. Load this page again in a moment; it goes on where it is."
    FORGE_UNAVAILABLE "forge_unavailable" SERVICE_UNAVAILABLE "The forge cannot be reached"
        "Signing in needs the forge, and it does not answer at the moment. Try again in a little while."
    FORGE_MISCONFIGURED "forge_misconfigured" SERVICE_UNAVAILABLE "Signing in is not set up correctly"
        "The forge does not accept this proxy's registration. Only the operator can mend that; tell them the request id below."
    STORE_UNAVAILABLE "store_unavailable" SERVICE_UNAVAILABLE "Sessions cannot be looked up"
        "You are probably still signed in, but it cannot be looked up at the moment. Try again in a little while."
    SESSION_UNKNOWN "session_unknown" NOT_FOUND "This session is not there"
        "None of your sessions has this name. It may have ended already."
    TOKEN_UNAVAILABLE "token_unavailable" SERVICE_UNAVAILABLE "Your forge token cannot be renewed"
        "You are signed in, but the forge does not renew your token at the moment. Try again in a little while."
    SHUTTING_DOWN "shutting_down" SERVICE_UNAVAILABLE "Back in a moment"
        "This proxy is being restarted. Try again in a moment; you stay signed in."
    INTERNAL_ERROR "internal_error" INTERNAL_SERVER_ERROR "Something broke here"
        "This proxy met a fault of its own with this request; you stay signed in. Try again in a moment; if it keeps happening, tell the operator the request id below."
    CONSENT_WIDER "consent_wider" OK "Your old consent says more than is needed"
        "You once allowed this application more at the forge than it asks for today, and the forge keeps that old consent. So your token is not passed on to the app; until you change that, the app works with a token that you paste into its settings.\nTo change it, open your applications at the forge, revoke the access of this application there, come back, and sign in again."
    CONSENT_NARROWER "consent_narrower" OK "Your old consent says less than is needed"
        "You once allowed this application less at the forge than it asks for today, and the forge keeps that old consent. The app gets your token, but some things may not work.\nTo change it, open your applications at the forge, revoke the access of this application there, come back, and sign in again."
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_given_once_and_is_plain() {
        for (at, reason) in ALL.iter().enumerate() {
            assert!(
                reason.code.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'),
                "{}",
                reason.code
            );
            assert!(ALL.iter().skip(at + 1).all(|other| other.code != reason.code), "{}", reason.code);
        }
    }
}
