//! JSON-RPC's face of the service: names, parameters, and what each method calls. The table here is what is callable and
//! what `rpc.discover` lists: there is no other.

mod bind;
mod table;

use http::Uri;
use serde_json::{Value, json};
use tracing::error;

use crate::admin::caller::Caller;
use crate::admin::discover;
use crate::admin::error::AdminError;
use crate::admin::records::{ListQuery, SortBy};
use crate::admin::rpc::{self, Call, INTERNAL_ERROR, INVALID_PARAMS, METHOD_NOT_FOUND, RpcError};
use crate::admin::service::{Admin, NewUserForm};
use crate::base::crash::Caught;
use bind::{Bound, bind};

pub use table::{Kind, METHODS, Method, Param, Shape};

impl Admin {
    /// Carries a call out; the answer, if one is wanted.
    pub async fn call(&self, by: &Caller, call: Call) -> Option<Value> {
        let Call { id, method, params } = call;
        let is_notification = id.is_none();
        let outcome = match METHODS.iter().find(|known| known.name == method) {
            None => Err(RpcError::new(METHOD_NOT_FOUND, "there is no such method; rpc.discover lists all")),
            // What it would bring nobody would read, and it cannot be had again.
            Some(known) if known.needs_answer && is_notification => return None,
            Some(known) => match bind(known, params) {
                Ok(bound) => match Caught::new(self.dispatch(by, known, bound)).await {
                    Ok(done) => done,
                    Err(crash) => {
                        error!(place = %crash, request_id = %by.request_id(), "a panic ended a call");
                        Err(broken(by))
                    }
                },
                Err(wrong) => Err(wrong),
            },
        };
        rpc::answer(id, outcome)
    }

    async fn dispatch(&self, by: &Caller, method: &Method, mut params: Bound) -> Result<Value, RpcError> {
        let done = match method.name {
            "rpc.discover" => return Ok(discover::document()),
            "deployer.create_user" => {
                let form = NewUserForm {
                    username: params.text("username").unwrap_or_default(),
                    display_name: params.text("display_name"),
                    email: params.text("email"),
                };
                self.create_user(by, form).await.map(serde_json::to_value)
            }
            "deployer.get_user" => {
                let user_id = params.text("user_id").unwrap_or_default();
                self.get_user(by, &user_id).await.map(serde_json::to_value)
            }
            "deployer.list_users" => {
                let listed = self.list_users(by, list_query(&mut params)).await;
                listed.map(|list| serde_json::to_value(list.users))
            }
            "deployer.reset_password" => {
                let user_id = params.text("user_id").unwrap_or_default();
                self.reset_password(by, &user_id).await.map(serde_json::to_value)
            }
            "deployer.assign_vm" => {
                let user_id = params.text("user_id").unwrap_or_default();
                let vm_id = params.text("vm_id").unwrap_or_default();
                let url = params.text("url");
                if url.as_deref().is_some_and(|url| !is_web_url(url)) {
                    return Err(bad_params(&[
                        json!({ "param": "url", "problem": "an http or https URL is wanted" }),
                    ]));
                }
                let done = self.assign_vm(by, &user_id, &vm_id, url.as_deref()).await;
                done.map(|()| Ok(json!({ "vm_id": vm_id, "user_id": user_id })))
            }
            "deployer.release_vm" => {
                let vm_id = params.text("vm_id").unwrap_or_default();
                let done = self.release_vm(by, &vm_id).await;
                done.map(|user_id| Ok(json!({ "vm_id": vm_id, "user_id": user_id })))
            }
            _ => return Err(RpcError::new(METHOD_NOT_FOUND, "there is no such method")),
        };
        match done {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(_)) => Err(broken(by)),
            Err(refused) => Err(told(&refused, by)),
        }
    }
}

fn list_query(params: &mut Bound) -> ListQuery {
    let usual = ListQuery::default();
    ListQuery {
        search: params.text("search").unwrap_or_default(),
        sort: params.text("sort").and_then(|name| SortBy::named(&name)).unwrap_or_default(),
        descending: params.text("order").as_deref() == Some("desc"),
        offset: params.count("offset").unwrap_or(usual.offset),
        limit: params.count("limit").unwrap_or(usual.limit),
    }
}

/// Whether a page may make a link of it: no `javascript:` and the like.
fn is_web_url(text: &str) -> bool {
    let uri = text.parse::<Uri>().ok();
    uri.is_some_and(|uri| matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some())
}

fn bad_params(complaints: &[Value]) -> RpcError {
    RpcError {
        code: INVALID_PARAMS,
        message: "the parameters are not this method's; nothing was done".to_owned(),
        data: Some(json!({ "complaints": complaints })),
    }
}

/// A fault of our own: what was done is in the trail, and where it broke in the log.
fn broken(by: &Caller) -> RpcError {
    RpcError {
        code: INTERNAL_ERROR,
        message: "something broke here".to_owned(),
        data: Some(json!({ "request_id": by.request_id() })),
    }
}

/// A refusal as an error object: its code, what happened, what to do.
fn told(refused: &AdminError, by: &Caller) -> RpcError {
    let face = refused.face();
    let mut data = json!({ "reason": face.reason, "advice": face.advice, "request_id": by.request_id() });
    if let Some(members) = data.as_object_mut() {
        if !refused.complaints().is_empty() {
            let complaints = refused.complaints().iter();
            let complaints: Vec<Value> = complaints
                .map(|(field, problem)| json!({ "param": field.name(), "problem": problem }))
                .collect();
            members.insert("complaints".to_owned(), complaints.into());
        }
        match refused {
            AdminError::PasswordLost { user_id, forge_username } => {
                members.insert("user_id".to_owned(), user_id.clone().into());
                members.insert("forge_username".to_owned(), forge_username.clone().into());
            }
            AdminError::RenamedTo(name) => {
                members.insert("forge_username".to_owned(), name.clone().into());
            }
            _ => {}
        }
    }
    RpcError { code: face.code, message: refused.to_string(), data: Some(data) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vms_address_is_a_web_address() {
        for (url, expected) in [
            ("https://vm1.example.org", true),
            ("http://127.0.0.1:8080/x", true),
            ("javascript:alert(1)", false),
            ("/x", false),
            ("https://", false),
            ("ftp://h", false),
            ("", false),
        ] {
            assert_eq!(is_web_url(url), expected, "{url}");
        }
    }
}
