//! The forge as the gate asks it: the port's verbs, each made of a question, the transport and a reading.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use url::Url;

use crate::base::account::{Identity, Standing};
use crate::base::clock::Clock;
use crate::base::port::Answer;
use crate::base::secret::{AuthCode, ClientSecret, IdToken, Nonce, PkceVerifier, RefreshToken};
use crate::forge::api::{Authorization, ForgeOauth, Introspection, Profile, TokenSet};
use crate::forge::cached::Cached;
use crate::forge::discovery::{Addresses, Document};
use crate::forge::error::{ForgeError, IdTokenFault};
use crate::forge::http::{BadSettings, Settings, Transport};
use crate::forge::id_token::{self, Expected, Header};
use crate::forge::introspect;
use crate::forge::keys::KeySet;
use crate::forge::standing;
use crate::forge::token::TokenEndpoint;
use crate::wire::ForgeToken;

/// A forge that is asked over HTTP.
///
/// Nothing is asked when it is made: the discovery document and the keys are read when they are first needed, and
/// kept. While the forge is down a failure is remembered for 1 to 15 s, so that visitors who come meanwhile get the
/// same answer without a call. Both are read again, at most once in 60 s, when a token does not fit what is known.
pub struct HttpForge {
    addresses: Addresses,
    client_id: String,
    client_secret: ClientSecret,
    transport: Transport,
    clock: Arc<dyn Clock>,
    document: Cached<Document>,
    keys: Cached<KeySet>,
}

impl HttpForge {
    /// A client for the forge of these settings; it calls nobody yet.
    ///
    /// # Errors
    /// [`BadSettings`]: the operator's to mend.
    pub fn new(settings: Settings, clock: Arc<dyn Clock>) -> Result<Self, BadSettings> {
        let transport = Transport::new(&settings)?;
        Ok(Self {
            addresses: Addresses {
                public: settings.url.parts().clone(),
                internal: settings.internal_url.map(|url| url.parts().clone()),
            },
            client_id: settings.client_id,
            client_secret: settings.client_secret,
            transport,
            document: Cached::new(Arc::clone(&clock)),
            keys: Cached::new(Arc::clone(&clock)),
            clock,
        })
    }

    async fn document(&self) -> Result<Arc<Document>, ForgeError> {
        self.document.get(self.ask_document()).await
    }

    async fn ask_document(&self) -> Result<Document, ForgeError> {
        self.addresses.read(&self.transport.get(&self.addresses.well_known()).await?)
    }

    async fn ask_keys(&self, document: &Document) -> Result<KeySet, ForgeError> {
        KeySet::read(&self.transport.get(&document.keys).await?)
    }

    fn token_endpoint(&self, document: &Document) -> TokenEndpoint<'_> {
        TokenEndpoint::new(&document.token, &self.client_id, &self.client_secret, &self.transport)
    }

    async fn check(
        &self,
        token: &IdToken,
        ask: Ask<'_>,
        document: &Document,
    ) -> Result<Identity, ForgeError> {
        let header = id_token::header(token.expose()).map_err(ForgeError::BadIdToken)?;
        let mut keys = self.keys.get(self.ask_keys(document)).await?;
        if keys.find(header.kid.as_deref(), header.algorithm).is_ok_and(|key| key.is_none()) {
            // The forge may have changed its key since: look again, though not for each stranger's token.
            keys = self.keys.again(&keys, self.ask_keys(document)).await?;
        }
        self.judge(token, &header, &keys, ask, document).map_err(ForgeError::BadIdToken)
    }

    fn judge(
        &self,
        token: &IdToken,
        header: &Header,
        keys: &KeySet,
        ask: Ask<'_>,
        document: &Document,
    ) -> Result<Identity, IdTokenFault> {
        let key = keys.find(header.kid.as_deref(), header.algorithm)?.ok_or(IdTokenFault::Signature)?;
        let (nonce, now) = match ask {
            Ask::Whose => (None, None),
            Ask::Now(nonce) => (nonce, Some(self.clock.now())),
        };
        let expected = Expected { issuer: &document.issuer, client_id: &self.client_id, nonce, now };
        id_token::identity(token.expose(), header, key, &expected)
    }

    async fn ask(&self, id_token: &IdToken, ask: Ask<'_>) -> Result<Identity, ForgeError> {
        let document = self.document().await?;
        let refused = match self.check(id_token, ask, &document).await {
            Err(refused @ ForgeError::BadIdToken(IdTokenFault::Issuer)) => refused,
            settled => return settled,
        };
        // An upgraded forge may have lost its issuer's trailing slash (docs/FORGEJO.md 0.1): look again.
        let newer = self.document.again(&document, self.ask_document()).await?;
        if newer.issuer == document.issuer {
            return Err(refused);
        }
        self.check(id_token, ask, &newer).await
    }
}

/// What an id_token is asked.
#[derive(Clone, Copy)]
enum Ask<'a> {
    /// Whose it is.
    Whose,
    /// Whether it holds at this moment, for this nonce if there is one.
    Now(Option<&'a Nonce>),
}

impl ForgeOauth for HttpForge {
    fn issuer(&self) -> Option<Arc<str>> {
        self.document.peek().map(|document| Arc::clone(&document.issuer))
    }

    fn discover(&self) -> Answer<'_, Result<Arc<str>, ForgeError>> {
        Box::pin(async move { Ok(Arc::clone(&self.document().await?.issuer)) })
    }

    fn ping(&self) -> Answer<'_, Result<(), ForgeError>> {
        Box::pin(async move { self.ask_document().await.map(drop) })
    }

    fn answered<'a>(&'a self, issuer: Option<&'a str>) -> Answer<'a, Result<bool, ForgeError>> {
        Box::pin(async move {
            let document = self.document().await?;
            Ok(issuer.map_or(!document.promises_iss, |issuer| *issuer == *document.issuer))
        })
    }

    fn authorize_url<'a>(&'a self, ask: Authorization<'a>) -> Answer<'a, Result<String, ForgeError>> {
        Box::pin(
            async move { Ok(authorize_url(&self.document().await?.authorize, &self.client_id, &ask).into()) },
        )
    }

    fn redeem<'a>(
        &'a self,
        code: AuthCode,
        verifier: PkceVerifier,
        redirect_uri: &'a str,
    ) -> Answer<'a, Result<TokenSet, ForgeError>> {
        Box::pin(async move {
            let document = self.document().await?;
            // Asked for first: whose the set is must be known once the forge has given it out, and outdated the one before.
            self.keys.get(self.ask_keys(&document)).await?;
            self.token_endpoint(&document).redeem(code, verifier, redirect_uri).await
        })
    }

    fn refresh<'a>(&'a self, token: &'a RefreshToken) -> Answer<'a, Result<TokenSet, ForgeError>> {
        Box::pin(async move {
            let document = self.document().await?;
            self.token_endpoint(&document).refresh(token).await
        })
    }

    fn verify<'a>(
        &'a self,
        id_token: &'a IdToken,
        nonce: Option<&'a Nonce>,
    ) -> Answer<'a, Result<Identity, ForgeError>> {
        Box::pin(self.ask(id_token, Ask::Now(nonce)))
    }

    fn whose<'a>(&'a self, id_token: &'a IdToken) -> Answer<'a, Result<Identity, ForgeError>> {
        Box::pin(self.ask(id_token, Ask::Whose))
    }

    fn introspect<'a>(&'a self, token: &'a ForgeToken) -> Answer<'a, Result<Introspection, ForgeError>> {
        Box::pin(async move {
            let document = self.document().await?;
            let question =
                introspect::question(&document.introspect, &self.client_id, &self.client_secret, token)?;
            introspect::answer(&self.transport.send(question).await?, &self.client_id)
        })
    }

    fn standing<'a>(&'a self, token: &'a ForgeToken) -> Answer<'a, Result<Standing, ForgeError>> {
        Box::pin(async move {
            let url = self.addresses.version();
            let standing = standing::standing(&self.transport.send(standing::question(&url, token)?).await?)?;
            if standing == Standing::Refused {
                // In words that are not known: whatever stands before the forge may say such things to everybody.
                let question = standing::strangers_question(&url)?;
                standing::is_not_said_to_all(&self.transport.send(question).await?)?;
            }
            Ok(standing)
        })
    }

    fn profile<'a>(&'a self, token: &'a ForgeToken) -> Answer<'a, Result<Profile, ForgeError>> {
        Box::pin(async move {
            let document = self.document().await?;
            let question = standing::question(&document.userinfo, token)?;
            standing::profile(&self.transport.send(question).await?)
        })
    }
}

impl fmt::Debug for HttpForge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpForge")
            .field("url", &self.addresses.public.as_str())
            .field("client_id", &self.client_id)
            .finish_non_exhaustive()
    }
}

/// Where a browser is sent. Forgejo keeps the whole URL in a cookie while the visitor signs in, so it must stay short
/// (docs/FORGEJO.md 1.2).
fn authorize_url(endpoint: &Url, client_id: &str, ask: &Authorization<'_>) -> Url {
    let mut url = endpoint.clone();
    url.query_pairs_mut()
        .append_pair("response_type", "code")
        .append_pair("client_id", client_id)
        .append_pair("redirect_uri", ask.redirect_uri)
        .append_pair("scope", ask.scope)
        .append_pair("state", ask.state.expose())
        .append_pair("nonce", ask.nonce.expose())
        .append_pair("code_challenge", &challenge(ask.verifier))
        .append_pair("code_challenge_method", "S256");
    url
}

/// The S256 challenge of a verifier (RFC 7636 §4.2).
fn challenge(verifier: &PkceVerifier) -> String {
    URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, verifier.expose().as_bytes()))
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::time::Duration;

    use super::*;
    use crate::base::clock::SystemClock;
    use crate::base::entropy::{SeededEntropy, random_text};
    use crate::base::secret::State;

    #[test]
    fn the_challenge_is_that_of_rfc_7636_appendix_b() {
        let verifier = PkceVerifier::new("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk");
        assert_eq!(challenge(&verifier), "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
    }

    /// Holds: O1, O17.
    #[test]
    fn the_authorize_url_asks_for_a_code_with_state_nonce_and_s256_and_stays_below_2_kib() {
        let entropy = SeededEntropy::new(1);
        let (state, nonce) =
            (State::new(random_text::<32>(&entropy)), Nonce::new(random_text::<32>(&entropy)));
        let verifier = PkceVerifier::new(random_text::<32>(&entropy));
        let ask = Authorization {
            redirect_uri: "https://a-rather-long-name.vm1.example.org:8443/_hero/auth/callback?a=1&b=2",
            scope: "openid profile email groups read:user write:issue",
            state: &state,
            nonce: &nonce,
            verifier: &verifier,
        };
        let endpoint: Url = "https://forge.example.org/login/oauth/authorize".parse().unwrap();
        let url = authorize_url(&endpoint, "d101187a-b22a-4368-952b-09b61d0ff5be", &ask);
        assert!(url.as_str().len() < 1024, "{}", url.as_str().len());
        assert!(url.as_str().starts_with("https://forge.example.org/login/oauth/authorize?"));
        let pairs: HashMap<_, _> = url.query_pairs().into_owned().collect();
        let challenge = challenge(&verifier);
        for (name, value) in [
            ("response_type", "code"),
            ("client_id", "d101187a-b22a-4368-952b-09b61d0ff5be"),
            ("redirect_uri", ask.redirect_uri),
            ("scope", ask.scope),
            ("state", state.expose()),
            ("nonce", nonce.expose()),
            ("code_challenge", challenge.as_str()),
            ("code_challenge_method", "S256"),
        ] {
            assert_eq!(pairs[name], value, "{name}");
        }
        assert_eq!(pairs.len(), url.query_pairs().count(), "nothing twice");
        assert!(!url.as_str().contains(verifier.expose()));
    }

    #[test]
    fn the_client_prints_no_secret() {
        let settings = Settings {
            url: "https://forge.example.org".parse().unwrap(),
            internal_url: Some("http://10.0.0.5:3000".parse().unwrap()),
            ca_pem: None,
            client_id: "id".into(),
            client_secret: ClientSecret::new("CANARY"),
            timeout: Duration::from_secs(1),
        };
        assert!(!format!("{settings:?}").contains("CANARY"));
        let forge = HttpForge::new(settings, Arc::new(SystemClock)).unwrap();
        assert!(!format!("{forge:?}").contains("CANARY"));
        assert_eq!(forge.issuer(), None);
    }
}
