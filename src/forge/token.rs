//! The token endpoint, through the `oauth2` crate: a code or a refresh token goes out, a token set comes back.
//!
//! 1. The client's id and secret go in the body, encoded once, and are never tried another way (docs/FORGEJO.md 1.6 takes
//!    both ways; its Basic is not the RFC's, so a secret with `:`, `%` or `+` would break there).
//! 2. The answer's types are ours, at the crate's extension points: its own refuse a whole answer for an odd
//!    `expires_in`, and its errors print the body that they could not read. Neither leaves this file.
//! 3. A status that is no answer of a token endpoint is told apart before the body is looked at.
//!
//! Source: RFC 6749 §4.1.3, §5, §6; docs/FORGEJO.md 1.6.

mod reply;

use std::borrow::Cow;
use std::pin::Pin;
use std::time::Duration;

use http::StatusCode;
use oauth2::basic::BasicRevocationErrorResponse;
use oauth2::{
    AsyncHttpClient, AuthType, AuthorizationCode, ClientId, EmptyExtraTokenFields, EndpointNotSet,
    EndpointSet, HttpRequest, HttpResponse, PkceCodeVerifier, RedirectUrl, RequestTokenError,
    StandardRevocableToken, StandardTokenIntrospectionResponse, TokenResponse as _, TokenUrl,
};
use url::Url;

use crate::base::secret::{AuthCode, ClientSecret, IdToken, PkceVerifier, RefreshToken};
use crate::forge::api::TokenSet;
use crate::forge::error::{ForgeError, OauthCode};
use crate::forge::http::{Transport, odd_status};
use crate::forge::id_token;
use crate::forge::token::reply::{Bearer, Refusal, Reply};
use crate::wire::ForgeToken;

/// The life of an access token whose life the forge did not say, or said in a way that makes no sense.
const DEFAULT_LIFE: Duration = Duration::from_mins(5);

type Client = oauth2::Client<
    Refusal,
    Reply,
    StandardTokenIntrospectionResponse<EmptyExtraTokenFields, Bearer>,
    StandardRevocableToken,
    BasicRevocationErrorResponse,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointSet,
>;

/// Our client at one token endpoint.
pub(crate) struct TokenEndpoint<'a> {
    client: Client,
    transport: Bridge<'a>,
}

impl<'a> TokenEndpoint<'a> {
    /// The endpoint at `url`.
    pub(crate) fn new(url: &Url, client_id: &str, secret: &ClientSecret, transport: &'a Transport) -> Self {
        let client = oauth2::Client::new(ClientId::new(client_id.to_owned()))
            .set_client_secret(oauth2::ClientSecret::new(secret.expose().to_owned()))
            .set_auth_type(AuthType::RequestBody)
            .set_token_uri(TokenUrl::from_url(url.clone()));
        Self { client, transport: Bridge(transport) }
    }

    /// Exchanges a code.
    ///
    /// # Errors
    /// As [`crate::forge::api::ForgeOauth::redeem`].
    ///
    /// # Cancel safety
    /// The forge may have acted when the future is dropped.
    pub(crate) async fn redeem(
        &self,
        code: AuthCode,
        verifier: PkceVerifier,
        redirect_uri: &str,
    ) -> Result<TokenSet, ForgeError> {
        // `RedirectUrl` keeps the text as it was given, so both endpoints see the same bytes.
        let redirect = RedirectUrl::new(redirect_uri.to_owned())
            .map_err(|_| ForgeError::Misconfigured(OauthCode::InvalidRequest))?;
        let answer = self
            .client
            .exchange_code(AuthorizationCode::new(code.expose().to_owned()))
            .set_pkce_verifier(PkceCodeVerifier::new(verifier.expose().to_owned()))
            .set_redirect_uri(Cow::Owned(redirect))
            .request_async(&self.transport)
            .await;
        token_set(answer)
    }

    /// Trades a refresh token for a new set.
    ///
    /// # Errors
    /// As [`crate::forge::api::ForgeOauth::refresh`].
    ///
    /// # Cancel safety
    /// The forge may have acted when the future is dropped.
    pub(crate) async fn refresh(&self, token: &RefreshToken) -> Result<TokenSet, ForgeError> {
        let token = oauth2::RefreshToken::new(token.expose().to_owned());
        token_set(self.client.exchange_refresh_token(&token).request_async(&self.transport).await)
    }
}

/// The way from the `oauth2` crate to our transport; it lets pass only what a token endpoint answers with.
struct Bridge<'a>(&'a Transport);

impl<'c> AsyncHttpClient<'c> for Bridge<'_> {
    type Error = ForgeError;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, ForgeError>> + Send + 'c>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(async move {
            let response = self.0.send_for_tokens(request).await?;
            match response.status() {
                // 401 is what RFC 6749 §5.2 allows for `invalid_client`; Forgejo says 400 for everything.
                StatusCode::OK | StatusCode::BAD_REQUEST | StatusCode::UNAUTHORIZED => Ok(response),
                status => Err(odd_status(status)),
            }
        })
    }
}

fn token_set(answer: Result<Reply, RequestTokenError<ForgeError, Refusal>>) -> Result<TokenSet, ForgeError> {
    let reply = match answer {
        Ok(reply) => reply,
        Err(RequestTokenError::ServerResponse(refusal)) => return Err(refused(refusal.0)),
        Err(RequestTokenError::Request(error)) => return Err(error),
        // Both print what they hold, the body or the forge's headers: they end here.
        Err(RequestTokenError::Parse(..) | RequestTokenError::Other(_)) => {
            return Err(ForgeError::Garbled("no token response"));
        }
    };
    let life = reply.expires_in().unwrap_or(DEFAULT_LIFE);
    let access = ForgeToken::new(reply.access.into_secret())
        .map_err(|_| ForgeError::Garbled("an access token that fits no header"))?;
    // An id_token that names another access token is not handed on: to the caller there is none.
    let id_token = reply.id_token.filter(|token| id_token::belongs_to(token, access.expose()));
    Ok(TokenSet {
        access,
        life,
        refresh: reply.refresh.map(|token| RefreshToken::new(token.into_secret())),
        id_token: id_token.map(IdToken::new),
    })
}

/// What a code of the token endpoint means. Its text is not kept: it repeats what was sent.
fn refused(code: OauthCode) -> ForgeError {
    match code {
        OauthCode::UnauthorizedClient | OauthCode::InvalidGrant => ForgeError::Spent(code),
        OauthCode::InvalidClient => ForgeError::Misconfigured(code),
        OauthCode::InvalidRequest => ForgeError::Garbled("the token endpoint says invalid_request"),
        OauthCode::UnsupportedGrantType => {
            ForgeError::Garbled("the token endpoint says unsupported_grant_type")
        }
        OauthCode::InvalidScope => ForgeError::Garbled("the token endpoint says invalid_scope"),
        OauthCode::Other => ForgeError::Garbled("the token endpoint says an unknown error code"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str) -> Result<TokenSet, ForgeError> {
        token_set(serde_json::from_str(body).map_err(|_| RequestTokenError::Other(String::new())))
    }

    /// Holds: R10.
    #[test]
    fn a_life_that_makes_no_sense_is_300_s() {
        let check = |expires_in: &str| {
            read(&format!(r#"{{"access_token":"a","token_type":"bearer"{expires_in}}}"#))
                .unwrap()
                .life
                .as_secs()
        };
        assert_eq!(check(r#","expires_in":3600"#), 3600);
        assert_eq!(check(r#","expires_in":1"#), 1);
        for odd in [
            "0",
            "-1",
            r#""3600""#,
            "1e300",
            "9223372036854775808",
            "18446744073709551616",
            "null",
            "[]",
            "{}",
        ] {
            assert_eq!(check(&format!(r#","expires_in":{odd}"#)), 300, "{odd}");
        }
        assert_eq!(check(""), 300);
    }

    /// Holds: R10.
    #[test]
    fn a_missing_refresh_token_is_none_so_that_the_caller_keeps_the_old_one() {
        for odd in ["", r#","refresh_token":null"#, r#","refresh_token":"""#, r#","refresh_token":7"#] {
            let set = read(&format!(r#"{{"access_token":"a","token_type":"bearer"{odd}}}"#)).unwrap();
            assert!(set.refresh.is_none() && set.id_token.is_none(), "{odd}");
        }
        let set =
            read(r#"{"access_token":"a","token_type":"bearer","refresh_token":"r","id_token":"x.y.z"}"#)
                .unwrap();
        assert_eq!(set.refresh.unwrap().expose(), "r");
        assert_eq!(set.id_token.unwrap().expose(), "x.y.z");
    }

    /// Holds: O10.
    #[test]
    fn the_token_type_is_bearer_in_any_case_and_nothing_else() {
        for kind in ["bearer", "Bearer", "BEARER"] {
            assert!(read(&format!(r#"{{"access_token":"a","token_type":"{kind}"}}"#)).is_ok());
        }
        for body in [
            r#"{"access_token":"a","token_type":"mac"}"#,
            r#"{"access_token":"a"}"#,
            r#"{"token_type":"bearer"}"#,
            r#"{"access_token":"","token_type":"bearer"}"#,
            r#"{"access_token":"a b","token_type":"bearer"}"#,
            r#"{"access_token":"a\nb","token_type":"bearer"}"#,
            r#"{"access_token":7,"token_type":"bearer"}"#,
            r#"{"access_token":"a","access_token":"b","token_type":"bearer"}"#,
        ] {
            assert!(matches!(read(body), Err(ForgeError::Garbled(_))), "{body}");
        }
    }

    /// Holds: R4, R5.
    #[test]
    fn a_refusal_is_named_by_what_the_caller_can_do() {
        let check = |body: &str| {
            let refusal: Refusal = serde_json::from_str(body).unwrap();
            token_set(Err(RequestTokenError::ServerResponse(refusal))).unwrap_err()
        };
        let with = |code: &str| check(&format!(r#"{{"error":"{code}","error_description":"CANARY"}}"#));
        assert!(matches!(with("unauthorized_client"), ForgeError::Spent(OauthCode::UnauthorizedClient)));
        assert!(matches!(with("invalid_grant"), ForgeError::Spent(OauthCode::InvalidGrant)));
        assert!(matches!(with("invalid_client"), ForgeError::Misconfigured(OauthCode::InvalidClient)));
        for code in
            ["invalid_request", "unsupported_grant_type", "invalid_scope", "server_error", "", "CANARY"]
        {
            let error = with(code);
            assert!(error.is_transient(), "{code}");
            assert!(!format!("{error} {error:?}").contains("CANARY"));
        }
        assert!(with("unauthorized_client").may_be_client_secret());
        assert!(!with("invalid_grant").may_be_client_secret());
    }
}
