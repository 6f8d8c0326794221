//! The layer. Header law and gate are one service: nobody can mount half of it.

use std::fmt;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::request::Parts;
use http::{Method, Request, Response};
use http_body::Body;
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;
use tracing::{error, warn};

use crate::base::crash::{self, Crash};
use crate::base::fault::Fault;
use crate::gate::body::{GateBody, Untrailed};
use crate::gate::challenge::calls_token_invalid;
use crate::gate::reader;
use crate::gate::reason;
use crate::gate::verdict::{AfterTrial, Answer, Asked, Decision, Gatekeeper, Trial, Verdict};
use crate::wire::inject::{Injection, inject};
use crate::wire::name;
use crate::wire::scrub::{request_id, scrub, scrub_answer};

/// Puts a gate in front of a service.
///
/// The service behind sees requests that may pass, with what the gatekeeper says of the visitor and nothing that a
/// client said in its place. Its own answers are scrubbed of our cookies and names, and break off when the session that they
/// were asked for with ends. What may not pass is answered here; the gate adds no error of its own. A panic, here or behind, ends the request that it happens in with a 500 that
/// explains itself; it is told with the request's id.
#[derive(Clone, Debug)]
pub struct ForgeAuthLayer<K> {
    keeper: K,
}

impl<K: Gatekeeper> ForgeAuthLayer<K> {
    /// A layer that asks this gatekeeper.
    pub fn new(keeper: K) -> Self {
        Self { keeper }
    }
}

impl<S, K: Gatekeeper> Layer<S> for ForgeAuthLayer<K> {
    type Service = ForgeAuth<S, K>;

    fn layer(&self, inner: S) -> Self::Service {
        ForgeAuth { inner, keeper: self.keeper.clone() }
    }
}

/// A service behind a gate.
#[derive(Clone, Debug)]
pub struct ForgeAuth<S, K> {
    inner: S,
    keeper: K,
}

impl<S, K: Gatekeeper> ForgeAuth<S, K> {
    /// The answer to a request that was refused before it came here: explained like every other fault, under an id.
    pub fn refuse<R>(&self, head: &Parts, fault: &Fault) -> Response<GateBody<R>> {
        let request_id = request_id(&head.headers).unwrap_or_else(|| self.keeper.new_request_id());
        let asked = Asked { request_id, reader: reader::of(head), signed_in: false, session_end: None };
        self.keeper.explain(fault, &asked).map(GateBody::ours)
    }
}

impl<S, K, B, R> Service<Request<B>> for ForgeAuth<S, K>
where
    S: Service<Request<Untrailed<B>>, Response = Response<R>> + Clone,
    K: Gatekeeper,
    B: Body,
    R: Body<Data = Bytes>,
{
    type Response = Response<GateBody<R>>;
    type Error = S::Error;
    type Future = GateFuture<S, B, R, S::Future, K, K::Later>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (mut head, body) = request.into_parts();
        let believed = self.keeper.believes_peer(&head);
        let mut scrubbed = scrub(&mut head.headers, self.keeper.rules(), believed);
        let request_id = scrubbed.request_id.take().unwrap_or_else(|| self.keeper.new_request_id());
        head.headers.insert(name::REQUEST_ID, request_id.clone());
        let mut asked = Asked { request_id, reader: reader::of(&head), signed_in: false, session_end: None };
        let begun = crash::catch(|| match self.keeper.decide(&head, scrubbed, &mut asked) {
            Decision::Now(Verdict::Pass(injection)) => {
                hand_over(&self.keeper, &mut head, &mut asked, &injection);
                Step::Inner { inner: pass(&mut self.inner, head, Untrailed::new(body), injection) }
            }
            Decision::Now(Verdict::PassOnTrial(injection, trial)) => {
                hand_over(&self.keeper, &mut head, &mut asked, &injection);
                let (inner, again) = pass_on_trial(&mut self.inner, head, body, injection, trial);
                Step::OnTrial { inner, again }
            }
            Decision::Now(Verdict::Answer(answer)) => Step::Answer { answer: Some(answer) },
            Decision::Later(later) => {
                // The service that was polled ready waits; its clone takes its place.
                let spare = self.inner.clone();
                let held = Box::new(Held { inner: mem::replace(&mut self.inner, spare), head, body });
                Step::Later { later, held: Some(held) }
            }
        });
        let step = begun.unwrap_or_else(|crash| Step::Answer {
            answer: Some(Box::new(crashed(&crash, &self.keeper, &asked))),
        });
        GateFuture { step, keeper: self.keeper.clone(), asked }
    }
}

/// The session's end goes to the service behind, if that wants to see to it; else the answer hangs on the session. A request
/// that passes as nobody's hangs on nobody's.
fn hand_over<K: Gatekeeper>(keeper: &K, head: &mut Parts, asked: &mut Asked, injection: &Injection) {
    if injection.visitor.is_none() {
        asked.session_end = None;
    } else if keeper.hands_over_ends()
        && let Some(end) = asked.session_end.take()
    {
        head.extensions.insert(end);
    }
}

/// Injects and calls. After the injection nothing is removed any more.
fn pass<S, B>(service: &mut S, mut head: Parts, body: Untrailed<B>, injection: Injection) -> S::Future
where
    S: Service<Request<Untrailed<B>>>,
{
    inject(&mut head.headers, injection);
    service.call(Request::from_parts(head, body))
}

/// The same, and what is needed should the backend call the token invalid.
fn pass_on_trial<S, B>(
    service: &mut S,
    head: Parts,
    body: B,
    injection: Injection,
    trial: Trial,
) -> (S::Future, Option<Box<Again<S>>>)
where
    S: Service<Request<Untrailed<B>>> + Clone,
    B: Body,
{
    let repeatable = is_repeatable(&head.method) && body.is_end_stream();
    let spare = repeatable.then(|| Spare { inner: service.clone(), head: head.clone() });
    let inner = pass(service, head, Untrailed::new(body), injection);
    (inner, Some(Box::new(Again { trial, spare })))
}

/// Whether a request may be sent twice with the effect of once (RFC 9110 §9.2.2).
fn is_repeatable(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS | Method::PUT | Method::DELETE)
}

/// A request that waits for its verdict, and the service that is ready for it.
struct Held<S, B> {
    inner: S,
    head: Parts,
    body: B,
}

/// What a request on trial may need.
struct Again<S> {
    trial: Trial,
    spare: Option<Spare<S>>,
}

/// A request as it was before anything was said to the backend, and a service to send it to once more.
struct Spare<S> {
    inner: S,
    head: Parts,
}

/// A backend's answer that calls a token invalid, kept until it is known what follows.
struct Refused<S, R> {
    spare: Spare<S>,
    response: Response<R>,
}

pin_project! {
    /// The gate's answer to come. Nothing in it is boxed on the way of a request that passes at once.
    pub struct GateFuture<S, B, R, F, K, L> {
        #[pin]
        step: Step<S, B, R, F, L>,
        keeper: K,
        asked: Asked,
    }
}

pin_project! {
    #[project = StepNow]
    enum Step<S, B, R, F, L> {
        Inner { #[pin] inner: F },
        OnTrial { #[pin] inner: F, again: Option<Box<Again<S>>> },
        Refused { after: AfterTrial, refused: Option<Box<Refused<S, R>>> },
        Again { spare: Spare<S>, injection: Option<Box<Injection>> },
        Answer { answer: Option<Box<Answer>> },
        Later { later: L, held: Option<Box<Held<S, B>>> },
    }
}

impl<S, B, R, F, K, L> fmt::Debug for GateFuture<S, B, R, F, K, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GateFuture").finish_non_exhaustive()
    }
}

impl<S, B, K, R> Future for GateFuture<S, B, R, S::Future, K, K::Later>
where
    S: Service<Request<Untrailed<B>>, Response = Response<R>> + Clone,
    K: Gatekeeper,
    B: Body,
    R: Body<Data = Bytes>,
{
    type Output = Result<Response<GateBody<R>>, S::Error>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        crash::catch(|| self.as_mut().advance(context)).unwrap_or_else(|crash| {
            let mut this = self.project();
            // What panicked is not polled again.
            this.step.set(Step::Answer { answer: None });
            Poll::Ready(Ok(crashed(&crash, this.keeper, this.asked).map(GateBody::ours)))
        })
    }
}

impl<S, B, K, R> GateFuture<S, B, R, S::Future, K, K::Later>
where
    S: Service<Request<Untrailed<B>>, Response = Response<R>> + Clone,
    K: Gatekeeper,
    B: Body,
    R: Body<Data = Bytes>,
{
    /// Goes on until the answer is there, or something has to be waited for.
    fn advance(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Result<Response<GateBody<R>>, S::Error>> {
        let mut this = self.project();
        loop {
            let next = match this.step.as_mut().project() {
                StepNow::Inner { inner } => {
                    let response = ready!(inner.poll(context))?;
                    return Poll::Ready(Ok(finish(response, this.keeper, this.asked)));
                }
                StepNow::OnTrial { inner, again } => {
                    let response = ready!(inner.poll(context))?;
                    let again = again.take().filter(|_| calls_token_invalid(&response)).map(|again| *again);
                    let Some(Again { trial, spare }) = again else {
                        return Poll::Ready(Ok(finish(response, this.keeper, this.asked)));
                    };
                    let after = trial.begin();
                    let Some(spare) = spare else {
                        return Poll::Ready(Ok(finish(response, this.keeper, this.asked)));
                    };
                    Step::Refused { after, refused: Some(Box::new(Refused { spare, response })) }
                }
                StepNow::Refused { after, refused } => {
                    let verdict = ready!(after.as_mut().poll(context));
                    match (verdict, refused.take().map(|refused| *refused)) {
                        (Some(Verdict::Answer(answer)), _) => Step::Answer { answer: Some(answer) },
                        // Once and no more: a trial of the second try is not begun. The first answer ends here.
                        (
                            Some(Verdict::Pass(injection) | Verdict::PassOnTrial(injection, _)),
                            Some(Refused { spare, .. }),
                        ) => Step::Again { spare, injection: Some(Box::new(injection)) },
                        (None, Some(Refused { response, .. })) => {
                            return Poll::Ready(Ok(finish(response, this.keeper, this.asked)));
                        }
                        // Polled after it was done.
                        (_, None) => Step::Answer { answer: None },
                    }
                }
                StepNow::Again { spare, injection } => {
                    ready!(spare.inner.poll_ready(context))?;
                    let injection = injection.take().map(|injection| *injection).unwrap_or_default();
                    Step::Inner {
                        inner: pass(&mut spare.inner, spare.head.clone(), Untrailed::nothing(), injection),
                    }
                }
                StepNow::Answer { answer } => {
                    let answer = answer.take().map(|answer| *answer).unwrap_or_default();
                    return Poll::Ready(Ok(answer.map(GateBody::ours)));
                }
                StepNow::Later { later, held } => {
                    match (ready!(Pin::new(later).poll(context)), held.take()) {
                        (Verdict::Answer(answer), _) => Step::Answer { answer: Some(answer) },
                        (Verdict::Pass(injection), Some(held)) => {
                            let Held { mut inner, mut head, body } = *held;
                            this.asked.signed_in = injection.visitor.is_some();
                            hand_over(this.keeper, &mut head, this.asked, &injection);
                            Step::Inner { inner: pass(&mut inner, head, Untrailed::new(body), injection) }
                        }
                        (Verdict::PassOnTrial(injection, trial), Some(held)) => {
                            let Held { mut inner, mut head, body } = *held;
                            this.asked.signed_in = injection.visitor.is_some();
                            hand_over(this.keeper, &mut head, this.asked, &injection);
                            let (inner, again) = pass_on_trial(&mut inner, head, body, injection, trial);
                            Step::OnTrial { inner, again }
                        }
                        // Polled after it was done; there is nothing left to pass.
                        (Verdict::Pass(_) | Verdict::PassOnTrial(..), None) => Step::Answer { answer: None },
                    }
                }
            };
            this.step.set(next);
        }
    }
}

/// The answer to a request that a panic ended, here or in a service behind.
fn crashed<K: Gatekeeper>(crash: &Crash, keeper: &K, asked: &Asked) -> Answer {
    error!(request_id = asked.id(), place = %crash, "a panic ended this request");
    keeper.explain(&reason::INTERNAL_ERROR.fault(), asked)
}

/// Whether an answer may still be on its way when all that it has to say has been said.
fn takes_its_time<R: Body>(body: &R) -> bool {
    /// What fits into the buffers on the way.
    const SMALL: u64 = 64 * 1024;
    !body.is_end_stream() && body.size_hint().exact().is_none_or(|length| length > SMALL)
}

/// The way back: a fault becomes an answer that explains itself, the backend's own answer is scrubbed.
fn finish<K: Gatekeeper, R: Body>(
    mut response: Response<R>,
    keeper: &K,
    asked: &mut Asked,
) -> Response<GateBody<R>> {
    if let Some(fault) = response.extensions_mut().remove::<Fault>() {
        return keeper.explain(&fault, asked).map(GateBody::ours);
    }
    let headers = response.headers_mut();
    let dropped = scrub_answer(headers, keeper.rules());
    if dropped > 0 {
        warn!(request_id = asked.id(), lines = dropped, "backend_headers_dropped");
    }
    // The same id at the backend, in the log and at the client, whatever a backend says.
    headers.insert(name::REQUEST_ID, asked.request_id.clone());
    if asked.signed_in && !headers.contains_key(header::CACHE_CONTROL) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private"));
    }
    let session = asked.session_end.take();
    if takes_its_time(response.body())
        && let Some(session) = &session
    {
        // For the server: a body is not asked for more while its reader takes nothing.
        response.extensions_mut().insert(session.clone());
    }
    response.map(|body| GateBody::theirs(body, session))
}
