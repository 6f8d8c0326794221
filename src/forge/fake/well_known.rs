//! What anybody may ask: discovery, keys, health.

use axum::http::StatusCode;
use serde_json::json;

use super::ask::Ask;
use super::reply::Reply;
use super::server::Forge;

/// `docs/FORGEJO.md` 1.1: no `token_endpoint_auth_methods_supported`, no API scopes; built on `ROOT_URL` whatever the host.
pub(super) fn discovery(forge: &Forge, _: &Ask) -> Reply {
    Reply::document(&json!({
        "issuer": forge.issuer(),
        "authorization_endpoint": forge.link("login/oauth/authorize"),
        "token_endpoint": forge.link("login/oauth/access_token"),
        "jwks_uri": forge.link("login/oauth/keys"),
        "userinfo_endpoint": forge.link("login/oauth/userinfo"),
        "introspection_endpoint": forge.link("login/oauth/introspect"),
        "response_types_supported": ["code", "id_token"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "subject_types_supported": ["public"],
        "scopes_supported": ["openid", "profile", "email", "groups"],
        "claims_supported": [
            "aud", "exp", "iat", "iss", "sub", "name", "preferred_username", "profile", "picture", "website", "locale",
            "updated_at", "email", "email_verified", "groups",
        ],
        "code_challenge_methods_supported": ["plain", "S256"],
        "grant_types_supported": ["authorization_code", "refresh_token"],
    }))
}

pub(super) fn keys(forge: &Forge, _: &Ask) -> Reply {
    Reply::document(&forge.key().jwks())
}

pub(super) fn health(_: &Forge, _: &Ask) -> Reply {
    Reply::json(StatusCode::OK, &json!({"status": "pass", "description": super::page::SITE}))
}
