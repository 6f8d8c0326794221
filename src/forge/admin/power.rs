//! What an admin's token may do. The forge tells nobody a personal token's scopes; but a scope is checked before anything
//! else of a request, so a request that can do nothing tells whether it is there.
//!
//! Source: docs/FORGEJO.md 2.3 and 4, the order of refusals.

use http::{Method, StatusCode};

use crate::base::secret::AdminToken;
use crate::forge::admin::client::HttpForgeAdmin;
use crate::forge::admin::error::{AdminError, TokenFault};
use crate::forge::admin::{TokenReport, reading};

/// Questions that need a scope which the token should not have. The one that would change something has no body, which
/// is refused after the scope and before anything else.
const BEYOND: [(&str, Method, &[&str]); 5] = [
    ("write:user", Method::PATCH, &["user", "settings"]),
    ("issue", Method::GET, &["repos", "issues", "search"]),
    ("repository", Method::GET, &["repos", "search"]),
    ("organization", Method::GET, &["orgs"]),
    ("notification", Method::GET, &["notifications", "new"]),
];

pub(super) async fn find_out(client: &HttpForgeAdmin, token: &AdminToken) -> Result<TokenReport, AdminError> {
    let mut report = TokenReport { login: None, site_admin: true, missing: Vec::new(), beyond: Vec::new() };
    let me = client.send(token, Method::GET, &client.at(&["user"], &[]), None).await?;
    if me.status() == StatusCode::OK {
        report.login = Some(reading::account(&me)?.login);
    } else {
        match reading::refusal(&me) {
            AdminError::Token(TokenFault::Scope) => report.missing.push("read:user"),
            error => return Err(error),
        }
    }
    // No body: whoever may make accounts is told that, and none is made.
    match scope_of(client, token, Method::POST, &["admin", "users"]).await? {
        Scope::There => {}
        Scope::Missing => report.missing.push("write:admin"),
        Scope::NotAdmin => report.site_admin = false,
    }
    for (name, method, path) in BEYOND {
        if scope_of(client, token, method, path).await? == Scope::There {
            report.beyond.push(name);
        }
    }
    Ok(report)
}

#[derive(PartialEq, Eq)]
enum Scope {
    There,
    Missing,
    NotAdmin,
}

async fn scope_of(
    client: &HttpForgeAdmin,
    token: &AdminToken,
    method: Method,
    path: &[&str],
) -> Result<Scope, AdminError> {
    let url = client.at(path, if method == Method::GET { &[("limit", "1")] } else { &[] });
    let response = client.send(token, method, &url, None).await?;
    match response.status().as_u16() {
        // Also 404: a part of the forge that is switched off is checked for its scope all the same.
        200 | 404 | 422 => Ok(Scope::There),
        _ => match reading::refusal(&response) {
            AdminError::Token(TokenFault::Scope) => Ok(Scope::Missing),
            AdminError::Token(TokenFault::NotAdmin) => Ok(Scope::NotAdmin),
            error => Err(error),
        },
    }
}
