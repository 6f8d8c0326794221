//! Which path is which.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{MethodFilter, MethodRouter, get, on, post};

use super::ask::Ask;
use super::reply::{Answer, Reply};
use super::server::Forge;
use super::{
    account_pages, admin, api, applications, authorize, introspect, issues, repositories, sign_in,
    token_endpoint, users, well_known,
};

type Route = MethodRouter<Arc<Forge>>;

pub(super) fn router(forge: Arc<Forge>) -> Router {
    let revoke = "/user/settings/applications/oauth2/{application}/revoke/{grant}";
    Router::new()
        .route("/.well-known/openid-configuration", plain_get(well_known::discovery))
        .route("/api/healthz", plain_get(well_known::health))
        .route("/login/oauth/keys", plain_get(well_known::keys))
        .route(
            "/login/oauth/authorize",
            step_get(authorize::authorize).merge(step_post(authorize::authorize)),
        )
        .route("/login/oauth/grant", step_post(authorize::consent))
        .route("/login/oauth/access_token", plain_post(token_endpoint::token))
        .route("/login/oauth/userinfo", step_get(introspect::userinfo).merge(step_post(introspect::userinfo)))
        .route("/login/oauth/introspect", step_post(introspect::introspect))
        .route("/", plain_get(sign_in::home))
        .route("/user/login", plain_get(sign_in::login_page).merge(plain_post(sign_in::login)))
        .route("/user/logout", plain_post(sign_in::logout))
        .route(
            super::visitor::CHANGE_PASSWORD,
            step_get(sign_in::password_page).merge(step_post(sign_in::change_password)),
        )
        .route("/user/settings/applications", step_get(account_pages::applications))
        .route(revoke, step_post(account_pages::revoke))
        .route("/favicon.ico", get(|| async { StatusCode::NO_CONTENT }))
        .route("/{owner}/{repo}", plain_get(account_pages::issues))
        .route("/{owner}/{repo}/issues", plain_get(account_pages::issues))
        .route("/{owner}/{repo}/issues/{number}", plain_get(account_pages::issue))
        .nest("/api/v1", api_routes())
        .fallback(|| async { account_pages::not_found() })
        .with_state(forge)
}

fn api_routes() -> Router<Arc<Forge>> {
    let step_patch = |handler| on_step(MethodFilter::PATCH, handler);
    let step_delete = |handler| on_step(MethodFilter::DELETE, handler);
    Router::new()
        .route("/version", step_get(api::version))
        .route("/user", step_get(users::me))
        .route("/user/settings", step_patch(users::change_settings))
        .route("/user/repos", step_get(repositories::mine).merge(step_post(repositories::create)))
        .route(
            "/user/applications/oauth2",
            step_get(applications::list).merge(step_post(applications::create)),
        )
        .route(
            "/user/applications/oauth2/{id}",
            step_get(applications::show)
                .merge(step_patch(applications::change))
                .merge(step_delete(applications::delete)),
        )
        .route("/notifications/new", step_get(users::news))
        .route("/users/search", step_get(users::search))
        .route("/users/{login}", step_get(users::show))
        .route("/users/{login}/tokens", step_post(users::create_token))
        .route("/orgs", step_get(users::organizations).merge(step_post(users::create_organization)))
        .route("/admin/users", step_get(admin::list).merge(step_post(admin::create)))
        .route("/admin/users/{login}", step_patch(admin::change).merge(step_delete(admin::delete)))
        .route("/admin/users/{login}/rename", step_post(admin::rename))
        .route("/repos/search", step_get(repositories::search))
        .route("/repos/issues/search", step_get(issues::search))
        .route(
            "/repos/{owner}/{repo}",
            step_get(repositories::show)
                .merge(step_patch(repositories::change))
                .merge(step_delete(repositories::delete)),
        )
        .route("/repos/{owner}/{repo}/issues", step_get(issues::list).merge(step_post(issues::create)))
        .route("/repos/{owner}/{repo}/issues/{number}", step_get(issues::show))
        .fallback(unknown)
}

async fn unknown(State(forge): State<Arc<Forge>>, ask: Ask) -> Reply {
    // Account checks come before routing, so they are first here too.
    std::future::ready(api::unknown(&forge, &ask)).await
}

fn plain_get(handler: fn(&Forge, &Ask) -> Reply) -> Route {
    get(move |State(forge): State<Arc<Forge>>, ask: Ask| async move { handler(&forge, &ask) })
}

fn plain_post(handler: fn(&Forge, &Ask) -> Reply) -> Route {
    post(move |State(forge): State<Arc<Forge>>, ask: Ask| async move { handler(&forge, &ask) })
}

fn step_get(handler: fn(&Forge, &Ask) -> Answer) -> Route {
    on_step(MethodFilter::GET, handler)
}

fn step_post(handler: fn(&Forge, &Ask) -> Answer) -> Route {
    on_step(MethodFilter::POST, handler)
}

fn on_step(method: MethodFilter, handler: fn(&Forge, &Ask) -> Answer) -> Route {
    on(method, move |State(forge): State<Arc<Forge>>, ask: Ask| async move {
        handler(&forge, &ask).unwrap_or_else(|refusal| refusal)
    })
}
