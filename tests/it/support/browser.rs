//! A browser without a screen: it keeps cookies, says what a real one says of its requests, fills in forms, and does
//! nothing by itself. Each request is a connection of its own.

use std::collections::HashMap;
use std::net::SocketAddr;

use url::Url;

use super::raw::{RawAnswer, RawClient};

/// The most redirects in a row that a browser follows.
const MOST_REDIRECTS: usize = 20;

/// What a forced change of the password sets.
pub const NEW_PASSWORD: &str = "chosen-at-first-sign-in";

/// A browser. Clones have cookies of their own: "the same browser, a moment ago".
#[derive(Clone, Debug, Default)]
pub struct Browser {
    /// Names of our own making: which socket `host:port` leads to.
    names: HashMap<String, SocketAddr>,
    jar: Vec<Cookie>,
    /// For what lies neither on a loopback number nor under a name of ours: TLS, and names that are looked up.
    far: Option<reqwest::Client>,
    /// Header lines that go with every request.
    pub extra: Vec<(String, String)>,
}

/// A cookie. Cookies know hosts and no ports (RFC 6265 §8.5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cookie {
    pub host: String,
    pub name: String,
    pub value: String,
}

/// An answer, and what it answers.
#[derive(Debug)]
pub struct Page {
    pub url: Url,
    pub answer: RawAnswer,
}

/// A form of a page, filled in.
#[derive(Clone, Debug)]
pub struct Form {
    pub action: Url,
    pub fields: Vec<(String, String)>,
}

impl Page {
    pub fn status(&self) -> u16 {
        self.answer.status
    }

    pub fn text(&self) -> String {
        String::from_utf8(self.answer.body.clone()).unwrap()
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.answer.body).unwrap_or_else(|_| panic!("no JSON: {}", self.text()))
    }

    /// Where a redirect leads.
    pub fn location(&self) -> Option<Url> {
        let redirects = matches!(self.status(), 301 | 302 | 303 | 307 | 308);
        let location = self.answer.value("location").filter(|_| redirects)?;
        Some(self.url.join(location).unwrap())
    }

    /// The `Set-Cookie` lines.
    pub fn cookies_set(&self) -> Vec<&str> {
        self.answer.values("set-cookie")
    }

    /// The reason code of an answer of the gate's own: on the page, or in problem+json.
    pub fn reason(&self) -> Option<String> {
        if self.answer.value("content-type") == Some("application/problem+json") {
            return self.json()["reason"].as_str().map(str::to_owned);
        }
        attribute_after(&self.text(), "id=\"reason\"", ">")
            .map(|code| code.split('<').next().unwrap().to_owned())
    }

    /// Where the link with this id leads.
    pub fn link(&self, id: &str) -> Option<Url> {
        let text = self.text();
        let tag =
            text.split('<').find(|tag| tag.starts_with("a ") && tag.contains(&format!("id=\"{id}\"")))?;
        Some(self.url.join(&attribute(tag, "href")?).unwrap())
    }

    /// The form whose action ends so, with the fields that the page itself fills in.
    pub fn form(&self, action: &str) -> Option<Form> {
        let text = self.text();
        let form = text.split("<form").skip(1).find(|form| {
            let tag = form.split('>').next().unwrap();
            attribute(tag, "action").is_some_and(|found| found.ends_with(action))
        })?;
        let form = form.split("</form>").next().unwrap();
        let action = self.url.join(&attribute(form.split('>').next().unwrap(), "action").unwrap()).unwrap();
        let inputs = form.split("<input").skip(1).map(|input| input.split('>').next().unwrap());
        let fields = inputs.filter_map(|input| {
            Some((attribute(input, "name")?, attribute(input, "value").unwrap_or_default()))
        });
        Some(Form { action, fields: fields.collect() })
    }
}

impl Form {
    /// Sets a field, there or not.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.fields.retain(|(found, _)| found != name);
        self.fields.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The form as it is posted.
    pub fn body(&self) -> String {
        url::form_urlencoded::Serializer::new(String::new()).extend_pairs(&self.fields).finish()
    }
}

impl Browser {
    /// A browser that finds `authority` (`host:port`) at `address`; it finds loopback numbers by itself.
    pub fn knowing(authority: &str, address: SocketAddr) -> Self {
        let mut browser = Self::default();
        browser.learn(authority, address);
        browser
    }

    /// Learns where `authority` (`host:port`) is now.
    pub fn learn(&mut self, authority: &str, address: SocketAddr) {
        self.names.insert(authority.to_owned(), address);
    }

    /// Lets it reach servers elsewhere.
    #[must_use]
    pub fn reaching_far(mut self) -> Self {
        let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy();
        self.far = Some(client.timeout(super::DEADLINE).build().unwrap());
        self
    }

    /// Opens a page, as if its address was typed in. No redirect is followed.
    pub async fn navigate(&mut self, url: &Url) -> Page {
        self.send("GET", url, &NAVIGATION, "").await
    }

    /// Opens a page and goes where it leads.
    pub async fn visit(&mut self, url: &Url) -> Page {
        let page = self.navigate(url).await;
        self.follow(page).await
    }

    /// Asks in the background, as a page's script does.
    pub async fn fetch(&mut self, url: &Url) -> Page {
        self.send("GET", url, &FETCH, "").await
    }

    /// Posts a form of a page, as a click on its button does. No redirect is followed.
    pub async fn submit(&mut self, form: &Form) -> Page {
        let origin = form.action.origin().ascii_serialization();
        let headers = [
            ("Sec-Fetch-Mode", "navigate"),
            ("Sec-Fetch-Dest", "document"),
            ("Sec-Fetch-Site", "same-origin"),
            ("Accept", HTML),
            ("Origin", &origin),
            ("Content-Type", "application/x-www-form-urlencoded"),
        ];
        self.send("POST", &form.action, &headers, &form.body()).await
    }

    /// Goes where a page leads, until one leads nowhere.
    pub async fn follow(&mut self, mut page: Page) -> Page {
        for _ in 0..MOST_REDIRECTS {
            let Some(next) = page.location() else { return page };
            page = self.navigate(&next).await;
        }
        panic!("it loops at {}", page.url);
    }

    /// Opens a page and signs in at the forge on the way if it asks for that; says where that ends.
    pub async fn sign_in(&mut self, url: &Url, login: &str, password: &str) -> Page {
        let page = self.navigate(url).await;
        self.sign_in_from(page, login, password).await
    }

    /// The same, from a page that is open already.
    pub async fn sign_in_from(&mut self, page: Page, login: &str, password: &str) -> Page {
        let Some(forge) = page.location().filter(|next| next.path().ends_with("/login/oauth/authorize"))
        else {
            return self.follow(page).await;
        };
        let back = self.at_forge(&forge, login, password).await;
        self.visit(&back).await
    }

    /// What a person does at the forge: signs in, sets a new password if one is demanded, consents. Says where the forge
    /// sends the browser then; that is not opened.
    pub async fn at_forge(&mut self, authorize: &Url, login: &str, password: &str) -> Url {
        self.decide_at_forge(authorize, login, password, true).await
    }

    /// The same, with the decision that is made on the consent page.
    pub async fn decide_at_forge(
        &mut self,
        authorize: &Url,
        login: &str,
        password: &str,
        grant: bool,
    ) -> Url {
        let forge = authorize.origin();
        let mut page = self.navigate(authorize).await;
        for _ in 0..MOST_REDIRECTS {
            page = match page.location() {
                Some(back) if back.origin() != forge => return back,
                Some(next) => self.navigate(&next).await,
                None => {
                    let form = if let Some(form) = page.form("/user/login") {
                        form.with("user_name", login).with("password", password)
                    } else if let Some(form) = page.form("/user/settings/change_password") {
                        form.with("password", NEW_PASSWORD).with("retype", NEW_PASSWORD)
                    } else if let Some(form) = page.form("/login/oauth/grant") {
                        form.with("granted", if grant { "true" } else { "false" })
                    } else {
                        panic!("nothing to do on {}: {}", page.url, page.text())
                    };
                    self.submit(&form).await
                }
            };
        }
        panic!("the forge loops at {}", page.url);
    }

    /// One request, with this host's cookies and these headers; the answer's cookies are kept.
    pub async fn send(&mut self, method: &str, url: &Url, headers: &[(&str, &str)], body: &str) -> Page {
        let host = url.host_str().unwrap().to_owned();
        let authority = match url.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.clone(),
        };
        let target = &url[url::Position::BeforePath..url::Position::AfterQuery];
        let mut head = format!("{method} {target} HTTP/1.1\r\nHost: {authority}\r\nConnection: close\r\n");
        let extra = self.extra.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        for (name, value) in headers.iter().copied().chain(extra) {
            head += &format!("{name}: {value}\r\n");
        }
        let cookies = self.cookie_line(&host);
        if !cookies.is_empty() {
            head += &format!("Cookie: {cookies}\r\n");
        }
        if !body.is_empty() || method == "POST" {
            head += &format!("Content-Length: {}\r\n", body.len());
        }
        if let Some(far) = self.far.clone().filter(|_| !self.names.contains_key(&authority)) {
            let answer = send_far(&far, &head, url, body).await;
            return self.page(url, &host, answer);
        }
        let address = match self.names.get(&authority) {
            Some(address) => *address,
            None => authority.parse().unwrap_or_else(|_| panic!("nobody knows where {authority} is")),
        };
        let answer = RawClient::tcp(address).await.ask(format!("{head}\r\n{body}")).await;
        self.page(url, &host, answer)
    }

    fn page(&mut self, url: &Url, host: &str, answer: RawAnswer) -> Page {
        for line in answer.values("set-cookie") {
            self.keep(host, line);
        }
        Page { url: url.clone(), answer }
    }

    /// The `Cookie` line that a host gets; empty if there is none.
    pub fn cookie_line(&self, host: &str) -> String {
        let pairs = self.jar.iter().filter(|cookie| cookie.host == host);
        pairs.map(|cookie| format!("{}={}", cookie.name, cookie.value)).collect::<Vec<_>>().join("; ")
    }

    fn keep(&mut self, host: &str, line: &str) {
        let (name, value) = line.split(';').next().unwrap().split_once('=').unwrap();
        let (name, value) = (name.trim(), value.trim());
        self.forget(host, name);
        let gone = line.to_ascii_lowercase().split(';').any(|part| part.trim() == "max-age=0");
        if !gone {
            self.plant(host, name, value);
        }
    }

    /// All cookies.
    pub fn cookies(&self) -> &[Cookie] {
        &self.jar
    }

    /// The names and values of the cookies whose name begins so.
    pub fn named(&self, prefix: &str) -> Vec<(String, String)> {
        let found = self.jar.iter().filter(|cookie| cookie.name.starts_with(prefix));
        found.map(|cookie| (cookie.name.clone(), cookie.value.clone())).collect()
    }

    /// Adds a cookie, beside one of the same name if there is one.
    pub fn plant(&mut self, host: &str, name: &str, value: &str) {
        let (host, name, value) = (host.to_owned(), name.to_owned(), value.to_owned());
        self.jar.push(Cookie { host, name, value });
    }

    /// Forgets a cookie.
    pub fn forget(&mut self, host: &str, name: &str) {
        self.jar.retain(|cookie| cookie.host != host || cookie.name != name);
    }

    /// Forgets all cookies of a host.
    pub fn forget_all(&mut self, host: &str) {
        self.jar.retain(|cookie| cookie.host != host);
    }
}

/// The same request through a client that knows TLS; the lines of the connection are its own affair.
async fn send_far(client: &reqwest::Client, head: &str, url: &Url, body: &str) -> RawAnswer {
    let mut lines = head.lines();
    let method = lines.next().unwrap().split(' ').next().unwrap();
    let mut request = client.request(method.parse().unwrap(), url.clone());
    for (name, value) in lines.filter_map(|line| line.split_once(": ")) {
        if !["host", "connection", "content-length"].contains(&name.to_ascii_lowercase().as_str()) {
            request = request.header(name, value);
        }
    }
    let answer = request.body(body.to_owned()).send().await.unwrap();
    let header = |(name, value): (&reqwest::header::HeaderName, &reqwest::header::HeaderValue)| {
        (name.to_string(), super::latin1(value.as_bytes()))
    };
    let (status, headers) = (answer.status().as_u16(), answer.headers().iter().map(header).collect());
    let body = answer.bytes().await.unwrap().to_vec();
    RawAnswer { status, headers, body, trailers: Vec::new(), whole: true }
}

const HTML: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";

/// What a browser says when a person opens an address.
pub const NAVIGATION: [(&str, &str); 4] = [
    ("Sec-Fetch-Mode", "navigate"),
    ("Sec-Fetch-Dest", "document"),
    ("Sec-Fetch-Site", "none"),
    ("Accept", HTML),
];

/// What it says when a script asks.
pub const FETCH: [(&str, &str); 4] = [
    ("Sec-Fetch-Mode", "cors"),
    ("Sec-Fetch-Dest", "empty"),
    ("Sec-Fetch-Site", "same-origin"),
    ("Accept", "*/*"),
];

fn attribute(tag: &str, name: &str) -> Option<String> {
    attribute_after(tag, &format!(" {name}="), "\"").map(|rest| unescape(rest.split('"').next().unwrap()))
}

fn attribute_after<'a>(text: &'a str, before: &str, mark: &str) -> Option<&'a str> {
    let rest = text.split_once(before)?.1;
    Some(rest.split_once(mark)?.1)
}

/// Undoes what templates do to text.
fn unescape(text: &str) -> String {
    let mut plain = text.to_owned();
    for (entity, sign) in [
        ("&#34;", "\""),
        ("&quot;", "\""),
        ("&#39;", "'"),
        ("&#43;", "+"),
        ("&#60;", "<"),
        ("&lt;", "<"),
        ("&#62;", ">"),
        ("&gt;", ">"),
        ("&#38;", "&"),
        ("&amp;", "&"),
    ] {
        plain = plain.replace(entity, sign);
    }
    plain
}
