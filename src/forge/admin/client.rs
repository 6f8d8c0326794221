//! The forge's accounts over HTTP.
//!
//! 1. A name becomes one segment of a path, encoded; nothing that was filled in becomes a URL otherwise.
//! 2. A redirect is an answer: nothing is followed, so nobody else is changed, and the token goes nowhere else.
//! 3. Bodies have the members that are written here and no others.
//! 4. After an answer that is none, we look before we say that something failed.

use std::fmt;
use std::sync::Arc;

use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, Method, Response};
use serde::Serialize;
use url::Url;

use crate::base::account::UserId;
use crate::base::entropy::Entropy;
use crate::base::port::Answer;
use crate::base::secret::{AdminToken, InitialPassword};
use crate::forge::admin::error::{AdminError, TokenFault};
use crate::forge::admin::new_user::{NewUser, Username};
use crate::forge::admin::password::{self, PasswordKind};
use crate::forge::admin::reading::{self, Made, Reset};
use crate::forge::admin::{AccountInfo, CreateUserOutput, ForgeAdmin, TokenReport, power};
use crate::forge::error::ForgeError;
use crate::forge::http::{BadSettings, Settings, Transport};

/// Looking again after the account was renamed between two calls: once is chance, twice is not.
const MOST_RENAMES: usize = 2;
/// The same password is sent so often while the answers say nothing.
const MOST_RESETS: usize = 2;

/// A forge whose accounts are asked for and made over HTTP. It knows no token: each call brings one.
pub struct HttpForgeAdmin {
    base: Url,
    transport: Transport,
    passwords: PasswordKind,
    entropy: Arc<dyn Entropy>,
}

impl HttpForgeAdmin {
    /// A client for the forge of these settings; it calls nobody yet.
    ///
    /// # Errors
    /// [`BadSettings`]: the operator's to mend.
    pub fn new(
        settings: &Settings,
        passwords: PasswordKind,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Self, BadSettings> {
        let transport = Transport::new(settings)?;
        let base = settings.internal_url.as_ref().unwrap_or(&settings.url).parts().clone();
        Ok(Self { base, transport, passwords, entropy })
    }

    /// A URL below `/api/v1`.
    pub(super) fn at(&self, path: &[&str], query: &[(&str, &str)]) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(["api", "v1"]).extend(path);
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        url
    }

    /// Sends one request with the token, once.
    pub(super) async fn send(
        &self,
        token: &AdminToken,
        method: Method,
        url: &Url,
        body: Option<Vec<u8>>,
    ) -> Result<Response<Vec<u8>>, AdminError> {
        let mut request = http::Request::builder()
            .method(method)
            .uri(url.as_str())
            .header(AUTHORIZATION, credential(token)?)
            .header(ACCEPT, "application/json");
        if body.is_some() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        let request = request
            .body(body.unwrap_or_default())
            .map_err(|_| AdminError::Garbled("a URL that cannot be called"))?;
        self.transport.send(request).await.map_err(|error| match error {
            ForgeError::Unavailable(why) => AdminError::Unavailable(why),
            ForgeError::Garbled(why) => AdminError::Garbled(why),
            _ => AdminError::Garbled("an answer that cannot be read"),
        })
    }

    async fn look(&self, token: &AdminToken, username: &Username) -> Result<Option<AccountInfo>, AdminError> {
        let url = self.at(&["users", username.as_str()], &[]);
        let response = self.send(token, Method::GET, &url, None).await?;
        let Some(account) = reading::named(&response, username.as_str(), &url)? else { return Ok(None) };
        // Organizations answer the same way, and nothing in the answer tells (docs/FORGEJO.md 4.4).
        match self.person(token, &account.id).await? {
            Some(person) => Ok(Some(person)),
            None => Err(AdminError::TakenByOrganization),
        }
    }

    async fn person(&self, token: &AdminToken, id: &UserId) -> Result<Option<AccountInfo>, AdminError> {
        // An id that is none would read as "everybody".
        if id.0.parse::<u64>().is_ok_and(|number| number > 0) {
            let url = self.at(&["users", "search"], &[("uid", &id.0), ("limit", "1")]);
            reading::person(&self.send(token, Method::GET, &url, None).await?, id)
        } else {
            Ok(None)
        }
    }

    async fn create(&self, token: &AdminToken, new: &NewUser) -> Result<CreateUserOutput, AdminError> {
        if let Some(there) = self.look(token, new.username()).await? {
            return Ok(output(there, None));
        }
        let password = password::make(self.passwords, &*self.entropy);
        let body = json(&Create {
            username: new.username().as_str(),
            email: new.email(),
            full_name: new.display_name(),
            password: password.expose(),
            must_change_password: true,
        })?;
        let url = self.at(&["admin", "users"], &[]);
        let made = match self.send(token, Method::POST, &url, Some(body)).await {
            Ok(response) => reading::made(&response, new.username().as_str()),
            // It may be at work still.
            Err(_) => Made::Unclear(AdminError::Uncertain),
        };
        match made {
            Made::Account(account) => Ok(output(account, Some(password))),
            Made::Refused(error) => Err(error),
            Made::NameTaken => match self.look(token, new.username()).await? {
                Some(there) => Ok(output(there, None)),
                None => Err(AdminError::Garbled("a refusal without a reason that we know")),
            },
            Made::Unclear(if_absent) => Err(match self.look(token, new.username()).await {
                Ok(Some(there)) => AdminError::PasswordLost(Box::new(there)),
                Ok(None) => if_absent,
                Err(AdminError::Unavailable(_) | AdminError::Garbled(_)) => AdminError::Uncertain,
                Err(error) => error,
            }),
        }
    }

    async fn reset(&self, token: &AdminToken, id: &UserId) -> Result<CreateUserOutput, AdminError> {
        let password = password::make(self.passwords, &*self.entropy);
        let body = json(&NewPassword { password: password.expose(), must_change_password: true })?;
        for _ in 0..MOST_RENAMES {
            let account = self.person(token, id).await?.ok_or(AdminError::NoSuchUser)?;
            if account.site_admin {
                return Err(AdminError::SiteAdmin);
            }
            if !account.local {
                return Err(AdminError::ExternalAccount);
            }
            match self.set_password(token, &account, &body).await? {
                Reset::Done(account) => return Ok(output(account, Some(password))),
                Reset::Moved => {}
                Reset::Refused(error) => return Err(error),
                Reset::Unclear => return Err(AdminError::Uncertain),
            }
        }
        Err(AdminError::Garbled("a redirect"))
    }

    /// Sends the password, and once more if nobody can tell what came of it: the same password, so nothing is lost.
    async fn set_password(
        &self,
        token: &AdminToken,
        account: &AccountInfo,
        body: &[u8],
    ) -> Result<Reset, AdminError> {
        let url = self.at(&["admin", "users", &account.login], &[]);
        for _ in 0..MOST_RESETS {
            let read = match self.send(token, Method::PATCH, &url, Some(body.to_vec())).await {
                Ok(response) => reading::reset(&response, &account.id),
                Err(error @ AdminError::Token(_)) => return Err(error),
                Err(_) => Reset::Unclear,
            };
            if read != Reset::Unclear {
                return Ok(read);
            }
        }
        Ok(Reset::Unclear)
    }
}

/// All that is sent to make an account.
#[derive(Serialize)]
struct Create<'a> {
    username: &'a str,
    email: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    full_name: Option<&'a str>,
    password: &'a str,
    must_change_password: bool,
}

/// All that is sent to set a password.
#[derive(Serialize)]
struct NewPassword<'a> {
    password: &'a str,
    must_change_password: bool,
}

fn json(body: &impl Serialize) -> Result<Vec<u8>, AdminError> {
    serde_json::to_vec(body).map_err(|_| AdminError::Garbled("a body that cannot be written"))
}

fn output(account: AccountInfo, initial_password: Option<InitialPassword>) -> CreateUserOutput {
    CreateUserOutput { user_id: account.id, forge_username: account.login, initial_password }
}

/// A personal token has no dots; an OAuth token has, and must not be used for this: it is somebody's, and it ends.
fn credential(token: &AdminToken) -> Result<HeaderValue, AdminError> {
    let bad = AdminError::Token(TokenFault::Form);
    let text = token.expose();
    if text.is_empty()
        || !text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
    {
        return Err(bad);
    }
    let mut value = HeaderValue::try_from(format!("token {text}")).map_err(|_| bad)?;
    value.set_sensitive(true);
    Ok(value)
}

impl ForgeAdmin for HttpForgeAdmin {
    fn user_exists<'a>(
        &'a self,
        token: &'a AdminToken,
        username: &'a Username,
    ) -> Answer<'a, Result<Option<AccountInfo>, AdminError>> {
        Box::pin(self.look(token, username))
    }

    fn user_by_id<'a>(
        &'a self,
        token: &'a AdminToken,
        id: &'a UserId,
    ) -> Answer<'a, Result<Option<AccountInfo>, AdminError>> {
        Box::pin(self.person(token, id))
    }

    fn create_user<'a>(
        &'a self,
        token: &'a AdminToken,
        new: &'a NewUser,
    ) -> Answer<'a, Result<CreateUserOutput, AdminError>> {
        Box::pin(self.create(token, new))
    }

    fn reset_password<'a>(
        &'a self,
        token: &'a AdminToken,
        id: &'a UserId,
    ) -> Answer<'a, Result<CreateUserOutput, AdminError>> {
        Box::pin(self.reset(token, id))
    }

    fn check_token<'a>(&'a self, token: &'a AdminToken) -> Answer<'a, Result<TokenReport, AdminError>> {
        Box::pin(power::find_out(self, token))
    }
}

impl fmt::Debug for HttpForgeAdmin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpForgeAdmin").field("base", &self.base.as_str()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::base::entropy::SeededEntropy;
    use crate::base::secret::ClientSecret;

    fn client(url: &str) -> HttpForgeAdmin {
        let settings = Settings {
            url: "https://forge.example.org".parse().unwrap(),
            internal_url: Some(url.parse().unwrap()),
            ca_pem: None,
            client_id: "id".into(),
            client_secret: ClientSecret::new("CANARY"),
            timeout: Duration::from_secs(1),
        };
        HttpForgeAdmin::new(&settings, PasswordKind::default(), Arc::new(SeededEntropy::new(1))).unwrap()
    }

    /// Holds: A10.
    #[test]
    fn a_name_stays_one_segment_whatever_is_in_it() {
        for (base, before) in [
            ("http://127.0.0.1:3000", "http://127.0.0.1:3000/api/v1/users/"),
            ("http://127.0.0.1:3000/", "http://127.0.0.1:3000/api/v1/users/"),
            ("http://127.0.0.1:3000/git/", "http://127.0.0.1:3000/git/api/v1/users/"),
        ] {
            let client = client(base);
            for (name, encoded) in
                [("alice", "alice"), ("a/b", "a%2Fb"), ("a%2fb", "a%252fb"), ("a?b#c", "a%3Fb%23c")]
            {
                assert_eq!(client.at(&["users", name], &[]).as_str(), format!("{before}{encoded}"));
            }
        }
    }

    /// Holds: A12.
    #[test]
    fn an_oauth_token_or_a_broken_one_is_not_sent() {
        for text in ["", " ", "a b", "a\nb", "eyJhbGciOiJSUzI1NiJ9.eyJnbnQiOjF9.c2ln", "é", "a\r\nSudo: root"]
        {
            assert_eq!(
                credential(&AdminToken::new(text)).unwrap_err(),
                AdminError::Token(TokenFault::Form),
                "{text:?}"
            );
        }
        let sent = credential(&AdminToken::new("0123456789abcdef0123456789abcdef01234567")).unwrap();
        assert!(sent.is_sensitive() && !format!("{sent:?}").contains("0123"));
    }

    #[test]
    fn the_client_prints_no_secret() {
        assert_eq!(
            format!("{:?}", client("http://127.0.0.1:1/")),
            "HttpForgeAdmin { base: \"http://127.0.0.1:1/\", .. }"
        );
    }
}
