//! What cockpit answers to each request.

use std::sync::Arc;

use axum::extract::rejection::FormRejection;
use axum::extract::{Form, Query, State};
use axum::response::{IntoResponse, Redirect, Response};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, WWW_AUTHENTICATE};
use http::{Extensions, HeaderValue, StatusCode, Uri};
use serde::Deserialize;
use tokio::sync::watch;

use crate::base::byo::{ByoError, ByoSlot, ByoState};
use crate::base::clock::Clock;
use crate::base::secret_file::SecretFolder;
use crate::base::tasks::Tasks;
use crate::demo::cockpit::answer::Refusal;
use crate::demo::cockpit::filing::{self, Doubt, Filer, Outcome, Reason};
use crate::demo::cockpit::forge_calls::{ForgeIssues, Issue};
use crate::demo::cockpit::once::{Fate, Forms, Turn};
use crate::demo::cockpit::pages::{
    self, FeedbackForm, Home, Plain, Shell, SlotWords, TokenWords, View, render,
};
use crate::demo::cockpit::words::{Message, Places, Tone, of_outcome, say, slot_taken};
use crate::wire::ForgeToken;
use crate::wire::consume::Visitor;
use crate::wire::credential::{Asker, ByoToken, ByoTokens, ForgeCredential, Source};

/// The forge cuts titles here, without a word. Source: docs/FORGEJO.md 6.
const MAX_TITLE_BYTES: usize = 255;
/// More text than this is no feedback.
const MAX_BODY_BYTES: usize = 64 * 1024;

/// Tells the proxy that its token is dead: it renews it if it believes cockpit (`renew_on_401`). RFC 6750 §3.
const DEAD_TOKEN: HeaderValue = HeaderValue::from_static("Bearer error=\"invalid_token\"");

/// What all handlers share.
#[derive(Debug)]
pub(super) struct Cockpit {
    pub(super) forge: ForgeIssues,
    pub(super) slot: Arc<ByoSlot<SecretFolder>>,
    pub(super) forms: Forms,
    pub(super) places: Places,
    pub(super) repository: String,
    pub(super) sign_out: String,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) tasks: Tasks,
}

/// The handlers' state.
pub(super) type Shared = Arc<Cockpit>;

impl ByoTokens for Shared {
    async fn pasted(&self) -> Option<ByoToken> {
        self.with_slot(ByoSlot::token).await.flatten()
    }
}

impl Cockpit {
    /// Asks the slot where blocking is allowed. None: it cannot answer, which is said in the log.
    async fn with_slot<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&ByoSlot<SecretFolder>) -> Result<T, ByoError> + Send + 'static,
    ) -> Option<T> {
        let slot = Arc::clone(&self.slot);
        let answer = tokio::task::spawn_blocking(move || ask(&slot)).await.ok()?;
        answer.inspect_err(log_slot).ok()
    }

    /// Whether somebody else's token lies where this visitor would paste one.
    async fn slot_is_taken(&self, extensions: &Extensions) -> bool {
        let filer = Filer::of(extensions);
        self.with_slot(move |slot| slot.state(filer.asker())).await == Some(ByoState::NotYours)
    }

    fn shell(&self, here: &'static str, extensions: &Extensions) -> Shell {
        Shell { here, visitor: extensions.get::<Visitor>().cloned(), sign_out: self.sign_out.clone() }
    }
}

fn log_slot(error: &ByoError) {
    let cause = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
    tracing::warn!(%error, cause, "the slot of the pasted token is of no use now");
}

/// `GET /`
pub(super) async fn home(State(cockpit): State<Shared>, extensions: Extensions) -> Response {
    home_page(&cockpit, &extensions, StatusCode::OK, None, FeedbackForm::default()).await
}

async fn home_page(
    cockpit: &Shared,
    extensions: &Extensions,
    status: StatusCode,
    message: Option<Message>,
    written: FeedbackForm,
) -> Response {
    let credential = ForgeCredential::find(extensions.get().cloned(), cockpit, Asker::of(extensions)).await;
    let is_none = credential.source() == Source::None;
    let slot_is_taken = is_none && cockpit.slot_is_taken(extensions).await;
    let page = Home {
        shell: cockpit.shell("/", extensions),
        message,
        token: TokenWords::of(&credential, slot_is_taken, cockpit.clock.now()),
        form: FeedbackForm { id: cockpit.forms.give_out(), ..written },
        issues_page: cockpit.places.issues.to_string(),
        repository: cockpit.repository.clone(),
    };
    render(status, &page).into_response()
}

/// The fields of the feedback form. A missing one is an empty one.
#[derive(Deserialize)]
pub(super) struct Feedback {
    #[serde(default)]
    form: String,
    #[serde(default)]
    title: String,
    #[serde(default)]
    body: String,
}

/// `POST /feedback`
pub(super) async fn feedback(
    State(cockpit): State<Shared>,
    extensions: Extensions,
    form: Result<Form<Feedback>, FormRejection>,
) -> Response {
    let Form(Feedback { form, title, body }) = match form {
        Ok(form) => form,
        Err(rejection) => return unreadable(&cockpit, &extensions, &rejection),
    };
    // A browser sends CR LF whatever was typed.
    let issue = Issue { title: title.trim().to_owned(), body: body.replace("\r\n", "\n") };
    let written = |issue: Issue| FeedbackForm { id: String::new(), title: issue.title, body: issue.body };
    if let Some(complaint) = complaint(&issue) {
        let status = StatusCode::UNPROCESSABLE_ENTITY;
        return home_page(&cockpit, &extensions, status, Some(complaint), written(issue)).await;
    }
    let filer = Filer::of(&extensions);
    let sender = match filer.asker() {
        Asker::Known(id) => id,
        Asker::Unnamed | Asker::Doubtful => "",
    };
    let fate = match cockpit.forms.take(&form, sender, &issue) {
        Turn::Again(fate) => fate,
        Turn::Stale => {
            let message = say(
                Tone::Bad,
                "stale-form",
                "Not filed yet: this form was used before, or is too old",
                "Everything that you wrote is below. If you want it filed, press “File it” once more.",
            );
            return home_page(&cockpit, &extensions, StatusCode::CONFLICT, Some(message), written(issue))
                .await;
        }
        Turn::First(tell) => {
            let fate = tell.subscribe();
            // A task, since a second click makes the browser drop the first request.
            drop(cockpit.tasks.spawn(file(Arc::clone(&cockpit), filer.clone(), issue.clone(), tell)));
            fate
        }
    };
    let outcome = settled(fate).await;
    let message = match &outcome {
        Outcome::NotFiled(Reason::NoToken) if cockpit.slot_is_taken(&extensions).await => slot_taken(),
        outcome => of_outcome(outcome, &cockpit.places),
    };
    let passed_is_dead =
        outcome == Outcome::NotFiled(Reason::Refused(Refusal::DeadToken, Source::PassThrough));
    let (status, written) = match outcome {
        Outcome::Filed { .. } => (StatusCode::CREATED, FeedbackForm::default()),
        // Not 502: that would speak of cockpit itself, and a proxy might put a page of its own in place.
        Outcome::Doubtful(_) => (StatusCode::ACCEPTED, written(issue)),
        Outcome::NotFiled(_) if passed_is_dead => (StatusCode::UNAUTHORIZED, written(issue)),
        Outcome::NotFiled(_) => (StatusCode::UNPROCESSABLE_ENTITY, written(issue)),
    };
    let mut page = home_page(&cockpit, &extensions, status, Some(message), written).await;
    if passed_is_dead {
        page.headers_mut().insert(WWW_AUTHENTICATE, DEAD_TOKEN);
    }
    page
}

async fn file(cockpit: Shared, filer: Filer, issue: Issue, tell: watch::Sender<Option<Outcome>>) {
    let outcome = filing::file(&cockpit.forge, &cockpit, filer, &issue).await;
    match &outcome {
        Outcome::Filed { number, by, .. } => tracing::info!(number, ?by, "feedback was filed"),
        Outcome::Doubtful(doubt) => tracing::warn!(?doubt, "nobody knows whether feedback was filed"),
        Outcome::NotFiled(reason) => tracing::info!(?reason, "feedback was not filed"),
    }
    tell.send_replace(Some(outcome));
}

/// What became of a form, once it is known. The work always ends: each of its calls has a limit.
async fn settled(mut fate: Fate) -> Outcome {
    let known = fate.wait_for(Option::is_some).await.ok().and_then(|outcome| outcome.clone());
    known.unwrap_or(Outcome::Doubtful(Doubt::CutShort))
}

/// What the forge would cut, or refuse.
fn complaint(issue: &Issue) -> Option<Message> {
    let bad = |code, title, text| Some(say(Tone::Bad, code, title, text));
    if issue.title.is_empty() {
        return bad("title-missing", "Not filed: the title is missing", "Write one; your text is below.");
    }
    if issue.title.len() > MAX_TITLE_BYTES {
        return bad(
            "title-too-long",
            "Not filed: the title is too long",
            "The forge keeps 255 bytes of it: that many plain letters, fewer of others. Shorten it; your text is below.",
        );
    }
    if issue.body.len() > MAX_BODY_BYTES {
        return bad(
            "body-too-long",
            "Not filed: this is too much text",
            "Shorten it to 64 KiB; your text is below.",
        );
    }
    None
}

/// `GET /settings`
pub(super) async fn settings(
    State(cockpit): State<Shared>,
    Query(done): Query<Done>,
    extensions: Extensions,
) -> Response {
    let message = match done.done.as_deref() {
        Some("saved") => Some(say(
            Tone::Good,
            "byo-saved",
            "Saved",
            "The token is used when none comes through the proxy.",
        )),
        Some("removed") => {
            Some(say(Tone::Good, "byo-removed", "Removed", "cockpit has forgotten the token."))
        }
        _ => None,
    };
    settings_page(&cockpit, &extensions, StatusCode::OK, message).await
}

/// What was done, after the redirect that follows it.
#[derive(Deserialize)]
pub(super) struct Done {
    done: Option<String>,
}

async fn settings_page(
    cockpit: &Shared,
    extensions: &Extensions,
    status: StatusCode,
    message: Option<Message>,
) -> Response {
    let filer = Filer::of(extensions);
    let state: Option<ByoState> = cockpit.with_slot(move |slot| slot.state(filer.asker())).await;
    let page = pages::Settings {
        shell: cockpit.shell("/settings", extensions),
        message,
        slot: SlotWords::of(state),
        make_token: cockpit.places.applications().to_string(),
    };
    render(status, &page).into_response()
}

/// The field of the settings form.
#[derive(Deserialize)]
pub(super) struct Pasted {
    #[serde(default)]
    token: String,
}

/// `POST /settings/token`
pub(super) async fn save_token(
    State(cockpit): State<Shared>,
    extensions: Extensions,
    form: Result<Form<Pasted>, FormRejection>,
) -> Response {
    let pasted = match form {
        Ok(Form(pasted)) => pasted,
        Err(rejection) => return unreadable(&cockpit, &extensions, &rejection),
    };
    let Ok(token) = ForgeToken::new(pasted.token.trim()) else {
        let message = say(
            Tone::Bad,
            "byo-malformed",
            "Not saved: this is no token",
            "A token is one word of letters and digits. Copy it whole from the forge, and paste it again.",
        );
        return settings_page(&cockpit, &extensions, StatusCode::UNPROCESSABLE_ENTITY, Some(message)).await;
    };
    change_slot(&cockpit, &extensions, "/settings?done=saved", move |slot, asker| slot.paste(asker, &token))
        .await
}

/// `POST /settings/token/remove`
pub(super) async fn remove_token(State(cockpit): State<Shared>, extensions: Extensions) -> Response {
    change_slot(&cockpit, &extensions, "/settings?done=removed", ByoSlot::remove).await
}

async fn change_slot(
    cockpit: &Shared,
    extensions: &Extensions,
    done: &str,
    change: impl FnOnce(&ByoSlot<SecretFolder>, Asker<'_>) -> Result<(), ByoError> + Send + 'static,
) -> Response {
    let filer = Filer::of(extensions);
    let changed = cockpit.with_slot(move |slot| match change(slot, filer.asker()) {
        Ok(()) => Ok(true),
        Err(ByoError::NotYours) => Ok(false),
        Err(error) => Err(error),
    });
    let (status, message) = match changed.await {
        Some(true) => return Redirect::to(done).into_response(),
        Some(false) => (
            StatusCode::FORBIDDEN,
            say(
                Tone::Bad,
                "byo-not-yours",
                "Not changed",
                "The token that is set is not yours to replace or remove.",
            ),
        ),
        None => (
            StatusCode::SERVICE_UNAVAILABLE,
            say(
                Tone::Bad,
                "byo-unavailable",
                "Not changed: the place for the token is of no use now",
                "Whoever runs this machine finds the reason in cockpit's log. Then try again.",
            ),
        ),
    };
    settings_page(cockpit, extensions, status, Some(message)).await
}

/// `GET /app/…`
pub(super) async fn view(State(cockpit): State<Shared>, asked: Uri, extensions: Extensions) -> Response {
    let asked = asked.path_and_query().map(ToString::to_string).unwrap_or_default();
    let page = View { shell: cockpit.shell("/app", &extensions), asked };
    render(StatusCode::OK, &page).into_response()
}

/// `GET /assets/cockpit.css`
pub(super) async fn style() -> Response {
    let headers = [(CONTENT_TYPE, "text/css; charset=utf-8"), (CACHE_CONTROL, "private, max-age=300")];
    (headers, pages::STYLE).into_response()
}

/// Any other path.
pub(super) async fn nothing_here(State(cockpit): State<Shared>, extensions: Extensions) -> Response {
    let message = say(Tone::Bad, "no-page", "There is no such page", "Start from Feedback, above.");
    plain(&cockpit, &extensions, StatusCode::NOT_FOUND, message)
}

/// A form that cannot be read, since it is too large or none. What was typed is still in the browser.
fn unreadable(cockpit: &Shared, extensions: &Extensions, rejection: &FormRejection) -> Response {
    let message = say(
        Tone::Bad,
        "form-unreadable",
        "Nothing was done: the form is too large, or broken",
        "Your browser's “back” shows what you wrote. Shorten it and try again.",
    );
    plain(cockpit, extensions, rejection.status(), message)
}

fn plain(cockpit: &Shared, extensions: &Extensions, status: StatusCode, message: Message) -> Response {
    render(status, &Plain { shell: cockpit.shell("", extensions), message }).into_response()
}
