//! What we rely on of a Forgejo, as laws that run against any: the fake one always, a real one when somebody names it.
//!
//! 1. A law speaks plain HTTP, as a browser, a proxy or cockpit would. It makes its own accounts and applications, named
//!    `deployer_test_*` with a random part, so that it can run again where an earlier run was cut off.
//! 2. What differs by version or setting is asked of the server first; a law then says what must hold there.
//! 3. At the end the accounts are deleted, with all they own; what could not be is said.
//!
//! The admin's personal token needs the scopes `write:admin` and `read:user` and no others: users and their applications are made with
//! the users' own passwords after that. The server must not ask for captchas, second factors or mail confirmation, and
//! `ROOT_URL` must be the address that is called, or cookies would not come back.
//!
//! Source of the laws: `docs/FORGEJO.md`, section numbers beside each.

#![expect(clippy::indexing_slicing, reason = "a JSON value, read by a name it has not, is null")]

mod account_laws;
mod admin_laws;
mod browser;
mod consent_laws;
mod flow;
mod introspection_laws;
mod issue_laws;
mod lab;
mod law;
mod login;
mod scope_laws;
mod token_laws;

use std::fmt;
use std::time::Duration;

use url::Url;

use self::lab::Lab;
use self::law::Law;
use crate::base::clock::ManualClock;
use crate::wire::ForgeToken;

/// A server to hold the laws against.
#[derive(Debug)]
pub struct Target {
    /// Where it is, as it calls itself.
    pub url: Url,
    /// A site admin's personal token with `write:admin` and `read:user`.
    pub admin: ForgeToken,
    /// How long its access tokens live.
    pub token_lifetime: Duration,
    /// How time passes there.
    pub passing: Passing,
}

/// How time passes at a server.
#[derive(Clone, Debug)]
pub enum Passing {
    /// It is the fake, and we turn its clock.
    Turned(ManualClock),
    /// As everywhere: expiry is waited for when tokens live half a minute at most.
    Waited,
}

/// What came out.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Laws that hold.
    pub held: Vec<&'static str>,
    /// Laws that do not, each with what was seen instead.
    pub broken: Vec<String>,
    /// Laws that were not tried, with the reason.
    pub skipped: Vec<String>,
    /// What was found out about the server and what is left there.
    pub notes: Vec<String>,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} laws hold", self.held.len())?;
        self.broken.iter().try_for_each(|words| writeln!(f, "BROKEN  {words}"))?;
        self.skipped.iter().try_for_each(|words| writeln!(f, "SKIPPED {words}"))?;
        self.notes.iter().try_for_each(|words| writeln!(f, "note: {words}"))
    }
}

/// Runs one law and writes down what came of it.
macro_rules! hold {
    ($outcome:ident, $lab:ident, $($law:path),+ $(,)?) => {
        $($outcome.write_down(stringify!($law), $law(&$lab).await);)+
    };
}

/// Holds all laws against a server, one after the other; the first broken one does not stop the others.
///
/// # Cancel safety
/// Dropping the future leaves its accounts at the server.
pub async fn run(target: Target) -> Outcome {
    let mut outcome = Outcome::default();
    let lab = match Lab::open(target).await {
        Ok(lab) => lab,
        Err(words) => {
            outcome.broken.push(format!("the server could not be made ready: {words}"));
            return outcome;
        }
    };
    hold!(
        outcome,
        lab,
        login::discovery_says_where_all_is_and_the_issuer_ends_by_version,
        login::the_key_set_holds_one_key,
        login::a_code_buys_a_token_response_without_scope,
        login::an_id_token_says_who_and_for_whom,
        login::groups_name_organizations_and_their_teams,
        login::only_the_same_bytes_of_a_redirect_uri_redeem_a_code,
        login::a_code_needs_its_verifier_and_a_failed_try_does_not_burn_it,
        login::a_code_is_good_once,
        login::codes_belong_to_their_client,
        consent_laws::an_authorize_request_is_checked_in_order,
        consent_laws::consent_is_asked_once_of_a_confidential_client,
        consent_laws::a_denied_consent_goes_back_as_an_error,
        consent_laws::two_tabs_share_one_memory_of_consent,
        consent_laws::a_public_client_is_asked_each_time_and_cannot_change_its_scope,
        token_laws::every_token_error_is_a_400_with_the_forges_own_words,
        token_laws::a_second_sign_in_supersedes_or_keeps_the_first_refresh_token,
        token_laws::of_many_refreshes_at_once_one_is_served_or_all,
        token_laws::an_access_token_is_no_refresh_token,
        token_laws::the_nonce_is_that_of_the_last_sign_in,
        token_laws::an_expired_access_token_is_dead_and_its_refresh_token_is_not,
        token_laws::a_revoked_grant_kills_its_tokens_at_once,
        token_laws::a_deleted_application_is_an_unknown_client,
        scope_laws::a_scope_is_worth_what_its_words_say_or_everything,
        scope_laws::the_first_consents_scope_is_frozen,
        introspection_laws::a_json_body_is_always_answered_with_json,
        introspection_laws::a_form_body_meets_the_sign_in_code_or_not,
        introspection_laws::userinfo_needs_no_scope_and_an_access_token,
        account_laws::a_password_that_must_change_changes_on_the_way_and_blocks_the_api,
        account_laws::a_suspended_account_is_seen_by_api_calls_only,
        account_laws::the_version_tells_a_barred_account_from_a_dead_token,
        account_laws::userinfo_tells_the_names_and_groups_of_the_moment,
        account_laws::a_rename_keeps_the_id_and_a_deletion_ends_all,
        account_laws::names_are_taken_once,
        account_laws::bad_credentials_are_never_downgraded,
        admin_laws::an_account_is_made_once_and_then_left_alone,
        admin_laws::two_who_make_one_name_make_one_account,
        admin_laws::people_organizations_and_old_names_are_told_apart,
        admin_laws::names_that_are_refused_here_are_refused_there,
        admin_laws::a_reset_demands_a_new_password_and_ends_nothing_else,
        admin_laws::an_admin_token_tells_what_it_may_do,
        issue_laws::an_issue_is_filed_under_its_authors_name,
        issue_laws::a_renamed_repository_redirects_a_post,
        issue_laws::a_refused_issue_says_why,
    );
    outcome.notes.extend(lab.close().await);
    outcome
}

impl Outcome {
    fn write_down(&mut self, name: &'static str, law: Law) {
        let name = name.rsplit("::").next().unwrap_or(name);
        match law {
            Ok(()) => self.held.push(name),
            Err(law::Fault::Broken(words)) => self.broken.push(format!("{name}: {words}")),
            Err(law::Fault::NotTried(words)) => self.skipped.push(format!("{name}: {words}")),
        }
    }
}
