//! Plays recorded exchanges with a real Forgejo to the fake one, in order, and tells where the fake answers otherwise.
//!
//! Secrets in a recording are labels (`<access 3>`); what the fake answers in a label's place is its value from then on.
//! One label stands for one value: so an access token that a second answer repeats must be the same bytes here too.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use hero_proxy::base::clock::{ManualClock, Timestamp};
use hero_proxy::forge::fake::{FakeForge, FakeSettings, FakeVersion, NewUser};
use reqwest::header::{HeaderMap, SET_COOKIE};
use serde_json::Value;

use super::recording::{Exchange, compare_page, cookie_names, labels_in, without_row_number};

/// How long access tokens lived on the recorded servers.
const TOKEN_LIFETIME: Duration = Duration::from_secs(6);
/// The admin whom the recordings know.
const ADMIN: (&str, &str) = ("root1", "Root-password-1");

/// Members whose values are this server's own affair, with the reason; their types are compared.
const OWN_VALUES: &[(&str, &str)] = &[
    ("id", "numbers count what was made before"),
    ("sub", "a user's number"),
    ("avatar_url", "a hash of another kind"),
    ("picture", "a hash of another kind"),
    ("created", "a time"),
    ("created_at", "a time"),
    ("updated_at", "a time"),
    ("archived_at", "a time"),
    ("last_login", "a time"),
    ("token_last_eight", "part of a secret"),
    ("kid", "a key of its own"),
    ("n", "a key of its own"),
    ("ssh_url", "the name of the account that runs the server"),
    ("wiki_ssh_url", "the name of the account that runs the server"),
];

/// The headers that are compared when either side has them.
const HEADERS: &[&str] = &["content-type", "location", "www-authenticate", "cache-control", "allow"];

type Jar = Vec<(String, String)>;

/// A fake forge under replay.
pub struct Replay {
    clock: ManualClock,
    forge: FakeForge,
    http: reqwest::Client,
    base: String,
    labels: HashMap<String, String>,
    /// `<other client_id>` stands for several: the newest, or the one whose secret is sent along.
    other_client: String,
    client_of_secret: HashMap<String, String>,
    application_ids: HashMap<String, String>,
    jars: HashMap<String, Jar>,
    browser: String,
    grant: u64,
}

impl Replay {
    /// A fake with the recorded server's settings and its one admin.
    pub async fn start(version: FakeVersion, keep_refresh: bool) -> Self {
        let clock = ManualClock::at(Timestamp::from_secs(1_795_319_162));
        let forge = FakeForge::start(FakeSettings {
            version,
            token_lifetime: TOKEN_LIFETIME,
            invalidate_refresh_tokens: !keep_refresh,
            disable_query_auth_token: keep_refresh,
            clock: Arc::new(clock.clone()),
            ..FakeSettings::default()
        })
        .await
        .unwrap();
        forge.add_user(NewUser { site_admin: true, ..NewUser::new(ADMIN.0, ADMIN.1) });
        let admin = forge.add_personal_token(ADMIN.0, &["all"]).unwrap();
        let base = forge.url().as_str().trim_end_matches('/').to_owned();
        let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        Self {
            clock,
            forge,
            http,
            base,
            labels: HashMap::from([("<admin 1>".to_owned(), admin.expose().to_owned())]),
            other_client: String::new(),
            client_of_secret: HashMap::new(),
            application_ids: HashMap::new(),
            jars: HashMap::new(),
            browser: String::new(),
            grant: 0,
        }
    }

    /// Sends one recorded request and compares the answers; says what differs.
    pub async fn play(&mut self, exchange: &Exchange) -> Vec<String> {
        self.prepare(exchange).await;
        let (status, headers, body) = self.send(exchange).await;
        let recorded = &exchange.response;
        let mut differ = Vec::new();
        if status != recorded.status {
            differ.push(format!("status {status} instead of {}: {body}", recorded.status));
        }
        self.compare_headers(&recorded.headers, &headers, &mut differ);
        self.compare_body(exchange, &body, &mut differ);
        differ
    }

    /// What happened between the recorded exchanges: waiting, requests in bursts, sign-in pages.
    async fn prepare(&mut self, exchange: &Exchange) {
        let (name, path) = (exchange.name.as_str(), exchange.request.path.as_str());
        if name == "api expired" {
            self.clock.advance(TOKEN_LIFETIME + Duration::from_secs(1));
        }
        // A new access token of the same grant: the recorded server's second had passed.
        let fresh = labels_in(&exchange.response.body)
            .any(|label| label.starts_with("<access") && !self.labels.contains_key(label));
        if fresh {
            self.clock.advance(Duration::from_secs(1));
        }
        let body = exchange.request.body.as_deref().unwrap_or_default();
        let unknown =
            labels_in(body).find(|label| label.starts_with("<refresh") && !self.labels.contains_key(*label));
        let after_a_burst = name.starts_with("token twice in a second");
        if let Some(label) = unknown.filter(|_| after_a_burst).map(str::to_owned) {
            self.refresh_unseen(&label).await;
        }
        if path.starts_with("/user/login") || name == "authorize mc signed out" {
            let keeps_its_browser = name == "login mc";
            if !keeps_its_browser {
                self.browser = format!("{name} {}", self.jars.len());
                self.jars.insert(self.browser.clone(), Jar::new());
            }
        }
        match name {
            "authorize site admin, OIDC only" => self.sign_in_admin().await,
            "create app issues" | "authorize redirect upper case" => self.go_back_to("login s"),
            "create app todelete" => self.go_back_to("login a"),
            _ => {}
        }
        if body.contains("_csrf=<cookie>") && self.cookie("_csrf").is_none() {
            let page = self.http.get(format!("{}/user/login", self.base)).header("cookie", self.cookies());
            let response = page.send().await.unwrap();
            self.keep_cookies(response.headers().clone());
        }
    }

    fn go_back_to(&mut self, login: &str) {
        let mut browsers: Vec<&String> =
            self.jars.keys().filter(|jar| jar.starts_with(&format!("{login} "))).collect();
        browsers.sort();
        self.browser = browsers.last().expect("that browser was there").to_string();
    }

    async fn sign_in_admin(&mut self) {
        self.browser = "root".to_owned();
        self.jars.insert(self.browser.clone(), Jar::new());
        let login = self.http.post(format!("{}/user/login", self.base));
        let login = form(login, &[("user_name", ADMIN.0), ("password", ADMIN.1)]);
        let response = login.send().await.unwrap();
        assert_eq!(response.status(), 303);
        self.keep_cookies(response.headers().clone());
    }

    /// A burst of refreshes of which one succeeded was sent, and is not in the file.
    async fn refresh_unseen(&mut self, label: &str) {
        let number =
            |label: &str| label.trim_end_matches('>').rsplit(' ').next().and_then(|n| n.parse::<u32>().ok());
        let refresh = self
            .labels
            .iter()
            .filter(|(label, _)| label.starts_with("<refresh"))
            .max_by_key(|one| number(one.0));
        let fields = [
            ("grant_type", "refresh_token"),
            ("refresh_token", refresh.expect("a refresh token came before").1),
            ("client_id", &self.labels["<client_id>"]),
            ("client_secret", &self.labels["<secret 2>"]),
        ];
        let post = self.http.post(format!("{}/login/oauth/access_token", self.base));
        let response = form(post, &fields).send().await.unwrap();
        let body: Value = response.json().await.unwrap();
        self.labels.insert(label.to_owned(), body["refresh_token"].as_str().unwrap().to_owned());
    }

    async fn send(&mut self, exchange: &Exchange) -> (u16, HeaderMap, String) {
        let recorded = &exchange.request;
        let body = recorded.body.clone().unwrap_or_default();
        let authorization = recorded.headers.get("Authorization").cloned().unwrap_or_default();
        let other = labels_in(&body)
            .chain(labels_in(&authorization))
            .find_map(|label| self.client_of_secret.get(label))
            .unwrap_or(&self.other_client)
            .clone();
        self.labels.insert("<other client_id>".to_owned(), other);
        let url = format!("{}{}", self.base, self.own_path(&self.fill(&recorded.path)));
        let mut request = self.http.request(recorded.method.parse().unwrap(), url);
        for (name, value) in &recorded.headers {
            let value = match value.strip_prefix("Basic ") {
                Some(pair) => format!("Basic {}", STANDARD.encode(self.fill(pair))),
                None => self.fill(value),
            };
            request = request.header(name, value);
        }
        if exchange.name == "sudo by oidc-only admin token" {
            // The recording keeps no other headers.
            request = request.header("sudo", "deployer_test_p0_a");
        }
        let browsing = ["/login/oauth/authorize", "/login/oauth/grant", "/user/"];
        let browsing = browsing.iter().any(|page| recorded.path.starts_with(page))
            && exchange.name != "authorize signed out";
        if browsing {
            request = request.header("cookie", self.cookies());
        }
        if recorded.body.is_some() {
            let csrf = self.cookie("_csrf").unwrap_or_default();
            request = request.body(self.fill(&body).replace("<cookie>", &csrf));
        }
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        if browsing {
            self.keep_cookies(headers.clone());
        }
        (status, headers, response.text().await.unwrap())
    }

    /// Numbers in paths are this server's own.
    fn own_path(&self, path: &str) -> String {
        let mut parts: Vec<String> = path.split('/').map(str::to_owned).collect();
        let place = parts.iter().position(|part| part == "oauth2").filter(|place| place + 1 < parts.len());
        if let Some(place) = place
            && let Some(id) = self.application_ids.get(&parts[place + 1])
        {
            parts[place + 1].clone_from(id);
        }
        if let Some(place) = parts.iter().position(|part| part == "revoke") {
            parts[place + 1] = self.grant.to_string();
        }
        parts.join("/")
    }

    fn cookies(&self) -> String {
        let jar = self.jars.get(&self.browser).into_iter().flatten();
        jar.map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ")
    }

    fn cookie(&self, name: &str) -> Option<String> {
        self.jars.get(&self.browser)?.iter().find(|cookie| cookie.0 == name).map(|cookie| cookie.1.clone())
    }

    fn keep_cookies(&mut self, headers: HeaderMap) {
        let Some(jar) = self.jars.get_mut(&self.browser) else { return };
        for line in headers.get_all(SET_COOKIE) {
            let line = line.to_str().unwrap();
            let (name, rest) = line.split_once('=').unwrap();
            jar.retain(|cookie| cookie.0 != name);
            if !line.contains("Max-Age=0") {
                jar.push((name.to_owned(), rest.split(';').next().unwrap().to_owned()));
            }
        }
    }

    /// A recorded text with this server's values in the labels' places.
    fn fill(&self, text: &str) -> String {
        let host = self.base.trim_start_matches("http://");
        let mut text = text.replace("{base}", &self.base).replace("{host}", host);
        for (label, value) in &self.labels {
            text = text.replace(label, value);
        }
        text
    }

    fn compare_headers(
        &mut self,
        recorded: &HashMap<String, String>,
        headers: &HeaderMap,
        differ: &mut Vec<String>,
    ) {
        for name in HEADERS {
            let ours = headers.get(*name).map(|value| value.to_str().unwrap().to_owned());
            match (recorded.get(*name), ours) {
                (Some(theirs), Some(ours)) => {
                    if let Err(words) = self.matches(theirs, &ours) {
                        differ.push(format!("{name}: {words}"));
                    }
                }
                (None, None) => {}
                // Which headers matter was decided when recording; the methods that a 405 allows were not kept.
                (None, Some(_)) if *name == "allow" => {}
                (theirs, ours) => differ.push(format!("{name}: {ours:?} instead of {theirs:?}")),
            }
        }
        for name in ["x-total-count", "link"] {
            if recorded.contains_key(name) != headers.contains_key(name) {
                differ.push(format!("{name}: on one side only"));
            }
        }
        let theirs = cookie_names(recorded.get("set-cookie").map(String::as_str).unwrap_or_default());
        let ours: Vec<String> = headers
            .get_all(SET_COOKIE)
            .iter()
            .flat_map(|line| cookie_names(line.to_str().unwrap()))
            .collect();
        if theirs != ours {
            differ.push(format!("set-cookie: {ours:?} instead of {theirs:?}"));
        }
    }

    fn compare_body(&mut self, exchange: &Exchange, body: &str, differ: &mut Vec<String>) {
        let recorded = exchange.response.body.as_str();
        if let Some(page) = recorded.strip_prefix("(html, ") {
            compare_page(page, body, differ);
            return;
        }
        let Ok(theirs) = serde_json::from_str::<Value>(recorded) else {
            if let Err(words) = self.matches(recorded, body) {
                differ.push(format!("body: {words}"));
            }
            return;
        };
        let Ok(ours) = serde_json::from_str::<Value>(body) else {
            differ.push(format!("body: no JSON: {body:?}"));
            return;
        };
        if exchange.request.path.starts_with("/api/v1/user/applications/oauth2")
            && theirs.get("client_secret").is_some()
        {
            self.learn_application(&theirs, &ours);
        }
        self.compare_json("", &theirs, &ours, differ);
        if let Some(token) = ours.get("access_token").and_then(Value::as_str) {
            let claims =
                token.split('.').nth(1).and_then(|claims| URL_SAFE_NO_PAD.decode(claims).ok()).unwrap();
            let claims: Value = serde_json::from_slice(&claims).unwrap();
            self.grant = claims["gnt"].as_u64().unwrap();
        }
    }

    fn learn_application(&mut self, theirs: &Value, ours: &Value) {
        let text = |value: &Value, name: &str| value[name].as_str().unwrap_or_default().to_owned();
        let (label, client) = (text(theirs, "client_id"), text(ours, "client_id"));
        if label == "<other client_id>" {
            self.other_client.clone_from(&client);
        }
        self.labels.insert(label, client.clone());
        self.labels.insert(text(theirs, "client_secret"), text(ours, "client_secret"));
        self.client_of_secret.insert(text(theirs, "client_secret"), client);
        self.application_ids.insert(theirs["id"].to_string(), ours["id"].to_string());
    }

    fn compare_json(&mut self, place: &str, theirs: &Value, ours: &Value, differ: &mut Vec<String>) {
        let member = place.rsplit('.').next().unwrap_or_default();
        match (theirs, ours) {
            (Value::Object(theirs), Value::Object(ours)) => {
                for (name, theirs) in theirs {
                    match ours.get(name) {
                        Some(ours) => self.compare_json(&format!("{place}.{name}"), theirs, ours, differ),
                        None => differ.push(format!("{place}.{name}: missing")),
                    }
                }
                for name in ours.keys().filter(|name| !theirs.contains_key(*name)) {
                    differ.push(format!("{place}.{name}: too much"));
                }
            }
            (Value::Array(theirs), Value::Array(ours)) => match (theirs.first(), ours.first()) {
                // Rows of a list: other runs left theirs there, so the shape of one counts.
                (Some(first @ Value::Object(_)), Some(row)) => {
                    let mut shape = Vec::new();
                    self.compare_json(place, first, row, &mut shape);
                    differ.extend(shape.into_iter().filter(|words| {
                        words.contains("missing") || words.contains("too much") || words.contains("type")
                    }));
                }
                _ if theirs.len() != ours.len() => {
                    differ.push(format!("{place}: {ours:?} instead of {theirs:?}"))
                }
                _ => {
                    for (theirs, ours) in theirs.iter().zip(ours) {
                        self.compare_json(place, theirs, ours, differ);
                    }
                }
            },
            (theirs, ours) if std::mem::discriminant(theirs) != std::mem::discriminant(ours) => {
                differ.push(format!("{place}: {ours} is of another type than {theirs}"));
            }
            _ if OWN_VALUES.iter().any(|own| own.0 == member) => {}
            (Value::String(theirs), Value::String(ours)) => {
                if let Err(words) = self.matches(&without_row_number(theirs), &without_row_number(ours)) {
                    differ.push(format!("{place}: {words}"));
                }
            }
            (theirs, ours) if theirs != ours => differ.push(format!("{place}: {ours} instead of {theirs}")),
            _ => {}
        }
    }

    /// Whether our text is the recorded one; labels that are new take their value from ours.
    fn matches(&mut self, theirs: &str, ours: &str) -> Result<(), String> {
        let refuse = || Err(format!("{ours:?} instead of {theirs:?}"));
        let mut filled = self.fill(theirs);
        if let Some(start) = filled.find('<').filter(|_| labels_in(theirs).count() == 1)
            && let Some(length) = filled.split_at(start).1.find('>')
        {
            let (before, rest) = filled.split_at(start);
            let (label, after) = rest.split_at(length + 1);
            let value = ours.strip_prefix(before).and_then(|ours| ours.strip_suffix(after));
            let Some(value) = value.filter(|value| !value.is_empty()) else { return refuse() };
            let kind = label.split(' ').next().unwrap_or_default();
            let repeats = self.labels.iter().any(|(known, had)| known.starts_with(kind) && had == value);
            if repeats && kind != "<other" {
                return Err(format!("{label} has the value of an earlier label"));
            }
            self.labels.insert(label.to_owned(), value.to_owned());
            filled = ours.to_owned();
        }
        if filled == ours { Ok(()) } else { refuse() }
    }
}

fn form(request: reqwest::RequestBuilder, fields: &[(&str, &str)]) -> reqwest::RequestBuilder {
    let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    request.header("content-type", "application/x-www-form-urlencoded").body(body)
}
