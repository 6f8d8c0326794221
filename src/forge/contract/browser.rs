//! A browser without a screen: cookies by hand, no redirects followed, forms filled from their hidden fields
//! (`docs/FORGEJO.md` 9.3).

use std::sync::Mutex;

use reqwest::Method;
use serde_json::Value;
use url::form_urlencoded::Serializer;

use super::law::{Answer, Fault, Law, broken};

/// Sends requests to one server.
#[derive(Clone, Debug)]
pub(super) struct Wire {
    pub(super) base: String,
    http: reqwest::Client,
}

/// What goes with a request.
pub(super) enum Sent<'a> {
    Nothing,
    Form(&'a [(&'a str, &'a str)]),
    Json(&'a Value),
}

impl Wire {
    #[expect(
        clippy::disallowed_methods,
        reason = "the laws must not lean on the client that they are there to judge"
    )]
    pub(super) fn to(base: &str) -> Law<Self> {
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .no_proxy()
            .timeout(std::time::Duration::from_secs(30));
        let http = client.build().map_err(|error| Fault::Broken(error.to_string()))?;
        Ok(Self { base: base.trim_end_matches('/').to_owned(), http })
    }

    /// One request; `path` may be a whole URL of this server.
    pub(super) async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        sent: Sent<'_>,
    ) -> Law<Answer> {
        let url = if path.starts_with('/') { format!("{}{path}", self.base) } else { path.to_owned() };
        let mut request = self.http.request(method, url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request = match sent {
            Sent::Nothing => request,
            Sent::Form(fields) => {
                let body = Serializer::new(String::new()).extend_pairs(fields).finish();
                request.header("content-type", "application/x-www-form-urlencoded").body(body)
            }
            Sent::Json(value) => request.json(value),
        };
        // The error's text without its URL, which may hold a state.
        let lost = |error: reqwest::Error| Fault::Broken(format!("no answer: {}", error.without_url()));
        let response = request.send().await.map_err(lost)?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = response.text().await.map_err(lost)?;
        let json = serde_json::from_str(&body).unwrap_or(Value::Null);
        Ok(Answer { status, headers, body, json })
    }
}

/// One browser with its cookies.
#[derive(Debug)]
pub(super) struct Browser {
    wire: Wire,
    jar: Mutex<Vec<(String, String)>>,
}

impl Browser {
    pub(super) fn on(wire: &Wire) -> Self {
        Self { wire: wire.clone(), jar: Mutex::default() }
    }

    pub(super) async fn get(&self, path: &str) -> Law<Answer> {
        self.visit(Method::GET, path, Sent::Nothing).await
    }

    /// Posts a form; on servers that guard forms by `_csrf` that goes along.
    pub(super) async fn post(&self, path: &str, fields: &[(&str, &str)]) -> Law<Answer> {
        let csrf = self.cookie("_csrf");
        let mut fields = fields.to_vec();
        if let Some(csrf) = csrf.as_deref().filter(|_| fields.iter().all(|field| field.0 != "_csrf")) {
            fields.push(("_csrf", csrf));
        }
        self.visit(Method::POST, path, Sent::Form(&fields)).await
    }

    async fn visit(&self, method: Method, path: &str, sent: Sent<'_>) -> Law<Answer> {
        let cookies = self.cookies();
        let answer = self.wire.send(method, path, &[("cookie", &cookies)], sent).await?;
        self.keep(&answer);
        Ok(answer)
    }

    /// Signs in; afterwards the server knows the browser. Says where it is sent.
    pub(super) async fn sign_in(&self, login: &str, password: &str) -> Law<String> {
        // Up to 13 the page sets the `_csrf` cookie that later forms need.
        self.get("/user/login").await?.is("the sign-in page", 200)?;
        let answer = self.post("/user/login", &[("user_name", login), ("password", password)]).await?;
        answer.is("signing in", 303)?;
        Ok(answer.location().to_owned())
    }

    fn cookies(&self) -> String {
        let jar = self.jar.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        jar.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ")
    }

    pub(super) fn cookie(&self, name: &str) -> Option<String> {
        let jar = self.jar.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        jar.iter().find(|cookie| cookie.0 == name).map(|cookie| cookie.1.clone())
    }

    fn keep(&self, answer: &Answer) {
        let mut jar = self.jar.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        for line in answer.headers.get_all("set-cookie").iter().filter_map(|line| line.to_str().ok()) {
            let Some((name, rest)) = line.split_once('=') else { continue };
            jar.retain(|cookie| cookie.0 != name);
            let value = rest.split(';').next().unwrap_or_default();
            if !value.is_empty() && !line.contains("Max-Age=0") {
                jar.push((name.to_owned(), value.to_owned()));
            }
        }
    }
}

/// The hidden fields of the form that posts to a path.
pub(super) fn hidden_fields(page: &str, action: &str) -> Law<Vec<(String, String)>> {
    let form = page.split("<form").find(|form| {
        form.split('>')
            .next()
            .is_some_and(|tag| attribute(tag, "action").is_some_and(|to| to.ends_with(action)))
    });
    let Some(form) = form.and_then(|form| form.split("</form").next()) else {
        return broken(format!("no form that posts to {action}"));
    };
    let inputs = form.split("<input").skip(1).filter_map(|input| input.split('>').next());
    let hidden = inputs.filter(|input| attribute(input, "type").as_deref() == Some("hidden"));
    Ok(hidden
        .filter_map(|input| Some((attribute(input, "name")?, attribute(input, "value").unwrap_or_default())))
        .collect())
}

fn attribute(tag: &str, name: &str) -> Option<String> {
    let tag = tag.replace(['\n', '\t'], " ");
    let start = tag.find(&format!(" {name}=\""))? + name.len() + 3;
    let raw = tag.get(start..)?.split('"').next()?;
    let plain = [
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&#34;", "\""),
        ("&quot;", "\""),
        ("&#39;", "'"),
        ("&#43;", "+"),
        ("&amp;", "&"),
    ];
    Some(plain.iter().fold(raw.to_owned(), |text, (entity, sign)| text.replace(entity, sign)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hidden_fields_are_read_from_the_right_form_and_unescaped() {
        let page = r#"<form action="/search"><input type="hidden" name="q" value="x"></form>
            <form method="post" action="/login/oauth/grant">
            <input name="state" type="hidden" value="a&#43;b&amp;amp;&#34;"><input type="text" name="t" value="v">
            <button name="granted" value="true"></form>"#;
        let fields = hidden_fields(page, "/login/oauth/grant").unwrap();
        assert_eq!(fields, [("state".to_owned(), "a+b&amp;\"".to_owned())]);
        assert!(hidden_fields(page, "/none").is_err());
    }
}
