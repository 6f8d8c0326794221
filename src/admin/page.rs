//! The page for people: a thin face of the service, which works without a script.
//!
//! | address below `/admin` | GET | POST |
//! |---|---|---|
//! | `/users` | the list: search, order, pages | |
//! | `/users/new` | a form | makes the account; the password is in this one answer |
//! | `/users/{id}` | a user and their trail | |
//! | `/users/{id}/reset` | what a reset does, and a button | resets; the password is in this one answer |
//! | `/page.css`, `/page.js` | the style, the script | |
//!
//! 1. No GET changes anything, and no address holds anything secret.
//! 2. A form counts if our own page sent it (Origin, Fetch Metadata), with a token made for this caller. A form that comes
//!    twice makes nothing twice: an account is there already, and a reset is not repeated.
//! 3. All text is escaped by the templates. The policy lets our one style and our one script be loaded, and nothing else.

mod ask;
mod say;
mod view;

use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::request::Parts;
use http::{Method, StatusCode};
use http_body::Body;

pub(super) use ask::Route;

use crate::admin::caller::Caller;
use crate::admin::error::AdminError;
use crate::admin::form::FormToken;
use crate::admin::http::AdminService;
use crate::admin::refusal::{AdminAnswer, Refusal, bad_method, bare, foreign, is_type, read, with_type};
use crate::admin::service::{Admin, NewUserForm};
use crate::base::foreign::comes_from_elsewhere;
use crate::wire::name;
use ask::ListAsk;
use say::Notice;
use view::{Filled, Frame, HandedPage, NewPage, RefusalPage, ResetPage, UserPage, UsersPage};

const STYLE: &str = include_str!("page/page.css");
const SCRIPT: &str = include_str!("page/page.js");
const FORM: &str = "application/x-www-form-urlencoded";

/// What came of an action: a page to show with a status, or nothing that could be shown.
type Shown = Result<(StatusCode, String), AdminError>;

impl AdminService {
    pub(super) async fn page<B>(&self, route: Route, head: &Parts, body: B) -> AdminAnswer
    where
        B: Body<Data = Bytes> + Send,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let fixed = match route {
            Route::Style => Some(("text/css; charset=utf-8", STYLE)),
            Route::Script => Some(("text/javascript; charset=utf-8", SCRIPT)),
            _ => None,
        };
        let is_read = matches!(head.method, Method::GET | Method::HEAD);
        match fixed {
            Some((kind, text)) if is_read => return with_type(StatusCode::OK, kind, text),
            None if is_read && route == Route::Start => return self.to_the_list(),
            _ => {}
        }
        let request_id = head.headers.get(&name::REQUEST_ID).and_then(|id| id.to_str().ok()).unwrap_or("-");
        let mut frame = Frame { prefix: &self.prefix, request_id, who: None };
        match self.let_in(&route, head).await {
            Ok(caller) => {
                let who = view::name_of(caller.who());
                frame.who = Some(&who);
                self.shown(&route, &caller, head, body, frame)
                    .await
                    .unwrap_or_else(|refusal| self.refuse(frame, refusal))
            }
            Err(refusal) => {
                // Behind the gate this is the gate's word: who is turned away sees as whom.
                frame.who = head.headers.get(&name::USER).and_then(|login| login.to_str().ok());
                self.refuse(frame, refusal)
            }
        }
    }

    /// Says who asks, if they may ask for this like this: before a byte of the body is read.
    async fn let_in(&self, route: &Route, head: &Parts) -> Result<Caller, Refusal> {
        match head.method {
            Method::GET | Method::HEAD => {}
            Method::POST if route.takes_forms() => {
                if !is_type(&head.headers, FORM) {
                    let title = "this is not a form of this page";
                    return Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "admin_bad_type", title));
                }
                if comes_from_elsewhere(&head.headers, &self.origin) {
                    return Err(foreign());
                }
            }
            _ => {
                let allowed = if route.takes_forms() { "GET, HEAD, POST" } else { "GET, HEAD" };
                return Err(bad_method("this cannot be asked of this page", allowed));
            }
        }
        Ok(self.admin.admit(self.door, head, 1).await?)
    }

    async fn shown<B>(
        &self,
        route: &Route,
        by: &Caller,
        head: &Parts,
        body: B,
        frame: Frame<'_>,
    ) -> Result<AdminAnswer, Refusal>
    where
        B: Body<Data = Bytes> + Send,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let (admin, query) = (&self.admin, head.uri.query().unwrap_or_default());
        let shown = match (route, head.method == Method::POST) {
            (Route::New, true) => {
                let [token, username, display_name, email] =
                    form(body, ["form", "username", "display_name", "email"]).await?;
                let filled = Filled { username, display_name, email };
                Ok(create(admin, by, frame, &token, filled).await)
            }
            (Route::Reset(id), true) => {
                let [token] = form(body, ["form"]).await?;
                reset(admin, by, frame, &token, id).await
            }
            (Route::New, false) => Ok(blank(admin, by, frame, Filled::default(), None)),
            (Route::Reset(id), false) => confirm(admin, by, frame, id, None).await,
            (Route::User(id), _) => user(admin, by, frame, id, ask::before(query)).await,
            _ => list(admin, by, frame, &ListAsk::read(query)).await,
        };
        Ok(match shown {
            Ok((status, html)) => self.html(status, html),
            Err(failed) => {
                let notice = Notice::of(&failed);
                let page = RefusalPage::new(frame, &notice, failed.reason());
                self.html(notice.status, view::html(&page))
            }
        })
    }

    fn refuse(&self, frame: Frame<'_>, refusal: Refusal) -> AdminAnswer {
        let notice = Notice::turned_away(&refusal);
        let mut answer =
            self.html(refusal.status, view::html(&RefusalPage::new(frame, &notice, refusal.reason)));
        answer.headers_mut().extend(refusal.header);
        answer
    }

    fn to_the_list(&self) -> AdminAnswer {
        let mut answer = bare(StatusCode::SEE_OTHER, Bytes::new());
        if let Ok(list) = HeaderValue::try_from(format!("{}/admin/users", self.prefix)) {
            answer.headers_mut().insert(header::LOCATION, list);
        }
        answer
    }

    fn html(&self, status: StatusCode, html: String) -> AdminAnswer {
        let mut answer = with_type(status, "text/html; charset=utf-8", html);
        // Files by their full address: where this origin is shared, an app's scripts are none of ours.
        let at = format!("{}{}/admin/page", self.origin, self.prefix);
        let policy = format!(
            "default-src 'none'; style-src {at}.css; script-src {at}.js; form-action 'self'; object-src 'none'; \
             base-uri 'none'; frame-ancestors 'none'"
        );
        // Were an origin no header's value, the policy that allows nothing would stay.
        if let Ok(policy) = HeaderValue::try_from(policy) {
            answer.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
        }
        answer
    }
}

/// Reads a form with these fields and no others.
async fn form<B, const N: usize>(body: B, names: [&str; N]) -> Result<[String; N], Refusal>
where
    B: Body<Data = Bytes> + Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let title = "this is not a form of this page";
    ask::fields(&read(body).await?, names)
        .ok_or_else(|| Refusal::new(StatusCode::BAD_REQUEST, "admin_bad_form", title))
}

async fn list(admin: &Admin, by: &Caller, frame: Frame<'_>, ask: &ListAsk) -> Shown {
    let found = admin.list_users(by, ask.query()).await?;
    Ok((StatusCode::OK, view::html(&UsersPage::new(frame, ask, &found))))
}

async fn user(admin: &Admin, by: &Caller, frame: Frame<'_>, id: &str, before: Option<u64>) -> Shown {
    let user = admin.get_user(by, id).await?;
    let trail = admin.audit_of(by, id, before).await?;
    Ok((StatusCode::OK, view::html(&UserPage::new(frame, &user, trail, before.is_some()))))
}

/// The form for a new user: empty, or as it was filled in, with what is wrong.
fn blank(
    admin: &Admin,
    by: &Caller,
    frame: Frame<'_>,
    filled: Filled,
    notice: Option<Notice>,
) -> (StatusCode, String) {
    let status = notice.as_ref().map_or(StatusCode::OK, |notice| notice.status);
    (status, view::html(&NewPage::new(frame, admin.form_token(by), filled, notice)))
}

async fn create(
    admin: &Admin,
    by: &Caller,
    frame: Frame<'_>,
    token: &str,
    filled: Filled,
) -> (StatusCode, String) {
    // Spent is as good: whoever asks for the same again is told that it is there.
    if admin.spend_form_token(by, token) == FormToken::Unknown {
        return blank(admin, by, frame, filled, Some(Notice::stale()));
    }
    let given = |text: &str| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
    let asked = NewUserForm {
        username: filled.username.trim().to_owned(),
        display_name: given(&filled.display_name),
        email: given(&filled.email),
    };
    match admin.create_user(by, asked).await {
        Ok(made) => (StatusCode::OK, view::html(&HandedPage::created(frame, &made))),
        Err(failed) => blank(admin, by, frame, filled, Some(Notice::of(&failed))),
    }
}

/// Asks whether a reset is meant, or says why it was not done.
async fn confirm(admin: &Admin, by: &Caller, frame: Frame<'_>, id: &str, notice: Option<Notice>) -> Shown {
    let user = admin.get_user(by, id).await?;
    let status = notice.as_ref().map_or(StatusCode::OK, |notice| notice.status);
    Ok((status, view::html(&ResetPage::new(frame, &user, admin.form_token(by), notice))))
}

async fn reset(admin: &Admin, by: &Caller, frame: Frame<'_>, token: &str, id: &str) -> Shown {
    let notice = match admin.spend_form_token(by, token) {
        FormToken::Good => match admin.reset_password(by, id).await {
            Ok(made) => return Ok((StatusCode::OK, view::html(&HandedPage::reset(frame, &made)))),
            Err(failed) => Notice::of(&failed),
        },
        FormToken::Spent => Notice::spent(),
        FormToken::Unknown => Notice::stale(),
    };
    confirm(admin, by, frame, id, Some(notice)).await
}

#[cfg(test)]
mod tests;
