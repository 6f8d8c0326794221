//! What a gate asks and what it is told. Others may bring a gatekeeper of their own and keep the header law.

use std::fmt;
use std::pin::Pin;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderValue, Response};

use crate::base::fault::Fault;
use crate::base::session_end::SessionEnd;
use crate::wire::inject::Injection;
use crate::wire::scrub::{ScrubRules, Scrubbed};

/// An answer that the gate gives itself, whole.
pub type Answer = Response<Bytes>;

/// May this request go on?
#[derive(Debug)]
pub enum Verdict {
    /// Yes, with this said to the backend.
    Pass(Injection),
    /// The same, and the backend is believed when it calls the token in it invalid (a 401 whose challenge is `Bearer` with
    /// `error="invalid_token"`, RFC 6750 §3): then the trial says what follows.
    PassOnTrial(Injection, Trial),
    /// No: this is the answer.
    Answer(Box<Answer>),
}

/// What follows once a backend has called the token of a request invalid: begun at most once, and only then.
///
/// Another verdict: pass, and the request is sent once more if it has no body and its method may be repeated
/// (RFC 9110 §9.2.2), or an answer in place of the backend's. None: the backend's answer stands. For a request that cannot
/// be sent again the work is begun, and not waited for.
pub struct Trial(Box<dyn FnOnce() -> AfterTrial + Send>);

/// What a trial comes to.
pub type AfterTrial = Pin<Box<dyn Future<Output = Option<Verdict>> + Send>>;

impl Trial {
    /// A trial that begins this work. What the work does goes on when its future is dropped, or is of no use then.
    pub fn new(begin: impl FnOnce() -> AfterTrial + Send + 'static) -> Self {
        Self(Box::new(begin))
    }

    pub(super) fn begin(self) -> AfterTrial {
        (self.0)()
    }
}

impl fmt::Debug for Trial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Trial")
    }
}

/// A verdict, or the work that leads to one.
#[derive(Debug)]
pub enum Decision<L> {
    /// Known at once: the hot path.
    Now(Verdict),
    /// The store or the forge must be asked first.
    Later(L),
}

/// Who reads an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reader {
    /// A browser that shows a page and may be sent elsewhere: a top-level GET.
    Navigation,
    /// A browser that shows a page but must not be sent elsewhere: a posted form, a frame.
    Page,
    /// A program, or a page's script: problem+json, never a redirect to a sign-in, never a cookie.
    Program,
}

/// What is known of a request when its answer comes back.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The request's id.
    pub request_id: HeaderValue,
    /// Who reads the answer, so that a fault becomes a page for a person and problem+json for a program.
    pub reader: Reader,
    /// Whether the answer is for somebody who is signed in, so that no shared cache may keep it (RFC 9111 §3.5).
    pub signed_in: bool,
    /// What the answer hangs on, if the request passes as somebody's.
    pub session_end: Option<SessionEnd>,
}

impl Asked {
    /// The request's id, for a log.
    pub fn id(&self) -> &str {
        self.request_id.to_str().unwrap_or("-")
    }
}

/// Decides. One for each configuration; clones are cheap and share everything.
pub trait Gatekeeper: Clone {
    /// The work behind a decision that cannot be made at once; boxed there, and only there.
    type Later: Future<Output = Verdict> + Unpin;

    /// What is scrubbed from requests and answers.
    fn rules(&self) -> &ScrubRules;

    /// Whether the peer in the request's extensions is believed when it says where a request came from.
    fn believes_peer(&self, head: &Parts) -> bool;

    /// An id for a request that brought none.
    fn new_request_id(&self) -> HeaderValue;

    /// Decides on a scrubbed request. The body is not looked at.
    fn decide(&self, head: &Parts, scrubbed: Scrubbed, asked: &mut Asked) -> Decision<Self::Later>;

    /// Whether the service behind sees to the ends of sessions: it finds them in the extensions of its requests, and no
    /// answer of its is cut off.
    fn hands_over_ends(&self) -> bool {
        false
    }

    /// The answer to a fault that a room behind the gate reports.
    fn explain(&self, fault: &Fault, asked: &Asked) -> Answer;
}
