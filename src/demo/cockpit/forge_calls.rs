//! cockpit's calls to the forge: one request out, one answer back. What the answers mean is decided in `answer`, which
//! token is used in `filing`.

use std::time::Duration;

use http::HeaderValue;
use http::header::LOCATION;
use serde::Serialize;
use url::Url;

use crate::demo::cockpit::answer::{self, Answer};
use crate::demo::cockpit::settings::{Repository, below};
use crate::wire::ForgeToken;

/// An answer to a new issue repeats the issue: this is several times what cockpit sends.
const MAX_ANSWER_BYTES: usize = 1 << 20;

/// How often a renamed repository is followed.
const MAX_RENAMES: usize = 2;

/// What is filed.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Issue {
    pub(super) title: String,
    pub(super) body: String,
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// No connection came about: the request never left.
    NotSent,
    /// The request left, and the time ran out.
    TimedOut,
    /// The request left, and the connection broke.
    CutShort,
}

/// The forge's issue list of one repository.
#[derive(Clone, Debug)]
pub(super) struct ForgeIssues {
    client: reqwest::Client,
    api: Url,
    issues: Url,
    timeout: Duration,
}

impl ForgeIssues {
    /// A client for one repository's issues. `timeout` is for one issue, connecting and renames included.
    ///
    /// # Errors
    /// The TLS set-up of this machine is broken.
    #[expect(
        clippy::disallowed_methods,
        reason = "a backend's own client: no redirects, bounded time and size, as in forge::http, which the backend cannot use"
    )]
    pub(super) fn new(forge_url: &Url, repository: &Repository, timeout: Duration) -> reqwest::Result<Self> {
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            // A connection that was idle may die under a request; then nobody knows whether the request was read.
            .pool_max_idle_per_host(0)
            .no_proxy()
            .connect_timeout(timeout / 3)
            .build()?;
        let api = below(forge_url, &["api", "v1"]);
        let issues = below(&api, &["repos", repository.owner(), repository.name(), "issues"]);
        Ok(Self { client, api, issues, timeout })
    }

    /// Files an issue with this token, following a renamed repository.
    ///
    /// # Errors
    /// [`Fault`]: nothing is ever sent twice after one.
    ///
    /// # Cancel safety
    /// None: a dropped future leaves open whether the issue was filed.
    pub(super) async fn file(&self, token: &ForgeToken, issue: &Issue) -> Result<Answer, Fault> {
        tokio::time::timeout(self.timeout, self.follow(token, issue)).await.unwrap_or(Err(Fault::TimedOut))
    }

    async fn follow(&self, token: &ForgeToken, issue: &Issue) -> Result<Answer, Fault> {
        let mut target = self.issues.clone();
        for _ in 0..=MAX_RENAMES {
            match self.post(&target, token, issue).await? {
                Answer::Renamed(moved) => target = moved,
                settled => return Ok(settled),
            }
        }
        Ok(Answer::Refused(answer::Refusal::Elsewhere))
    }

    async fn post(&self, target: &Url, token: &ForgeToken, issue: &Issue) -> Result<Answer, Fault> {
        let mut authorization =
            HeaderValue::try_from(format!("Bearer {}", token.expose())).map_err(|_| Fault::NotSent)?;
        authorization.set_sensitive(true);
        let request =
            self.client.post(target.clone()).header(http::header::AUTHORIZATION, authorization).json(issue);
        let mut response = request.send().await.map_err(|error| fault(&error))?;
        let status = response.status();
        let location = response.headers().get(LOCATION).cloned();
        // Without its body a status still says whether something was filed.
        let body = read_body(&mut response).await.unwrap_or_default();
        Ok(answer::read(status, location.as_ref(), &body, target, &self.api))
    }
}

/// Reads a body; none if it is too large or cut short.
async fn read_body(response: &mut reqwest::Response) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.ok()? {
        if body.len() + chunk.len() > MAX_ANSWER_BYTES {
            return None;
        }
        body.extend_from_slice(&chunk);
    }
    Some(body)
}

/// The error itself is dropped here: it may hold what the forge said.
fn fault(error: &reqwest::Error) -> Fault {
    if error.is_connect() || error.is_builder() {
        Fault::NotSent
    } else if error.is_timeout() {
        Fault::TimedOut
    } else {
        Fault::CutShort
    }
}
