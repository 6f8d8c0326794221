//! A browser that signs somebody in: redirects, cookies, two forms.

use std::collections::BTreeMap;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use url::Url;

use crate::{Outcome, PASSWORD};

struct Page {
    url: Url,
    head: String,
    body: String,
}

impl Page {
    fn location(&self) -> Option<Url> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        let location = lines.into_iter().find(|(name, _)| name.eq_ignore_ascii_case("location"))?.1;
        self.url.join(location.trim()).ok()
    }

    /// What the page itself fills in.
    fn fields(&self) -> Vec<(String, String)> {
        let attribute = |tag: &str, name: &str| {
            let value = tag.split_once(&format!("{name}=\""))?.1.split('"').next()?;
            Some(
                value
                    .replace("&#34;", "\"")
                    .replace("&#39;", "'")
                    .replace("&amp;", "&")
                    .replace("&#38;", "&"),
            )
        };
        let inputs = self.body.split("<input").skip(1).filter_map(|tag| tag.split('>').next());
        let fields = inputs
            .filter_map(|tag| Some((attribute(tag, " name")?, attribute(tag, " value").unwrap_or_default())));
        fields.collect()
    }
}

#[derive(Default)]
struct Browser {
    jar: BTreeMap<(String, String), String>,
}

impl Browser {
    fn cookies(&self, host: &str) -> String {
        let pairs = self.jar.iter().filter(|((of, _), _)| of == host);
        pairs.map(|((_, name), value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ")
    }

    async fn open(&mut self, url: &Url, form: Option<&[(String, String)]>) -> Outcome<Page> {
        let host = url.host_str().ok_or("no host")?.to_owned();
        let port = url.port().ok_or("no port")?;
        let target = &url[url::Position::BeforePath..url::Position::AfterQuery];
        let body =
            form.map(|form| url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish());
        let method = if body.is_some() { "POST" } else { "GET" };
        let mut request = format!(
            "{method} {target} HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\nAccept: text/html\r\n\
             Sec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document\r\nSec-Fetch-Site: same-origin\r\n"
        );
        let cookies = self.cookies(&host);
        if !cookies.is_empty() {
            request += &format!("Cookie: {cookies}\r\n");
        }
        let body = body.unwrap_or_default();
        if method == "POST" {
            request += &format!(
                "Origin: {}\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n",
                url.origin().ascii_serialization(),
                body.len()
            );
        }
        let mut socket = TcpStream::connect(("127.0.0.1", port)).await?;
        socket.write_all(format!("{request}\r\n{body}").as_bytes()).await?;
        let mut answer = String::new();
        socket.read_to_string(&mut answer).await?;
        let (head, body) = answer.split_once("\r\n\r\n").ok_or("no answer")?;
        for line in head.lines() {
            let Some((name, value)) = line.split_once(": ") else { continue };
            if !name.eq_ignore_ascii_case("set-cookie") {
                continue;
            }
            let pair = value.split(';').next().unwrap_or_default();
            let Some((name, value)) = pair.split_once('=') else { continue };
            self.jar.insert((host.clone(), name.to_owned()), value.to_owned());
        }
        Ok(Page { url: url.clone(), head: head.to_owned(), body: body.to_owned() })
    }
}

/// Signs somebody in at the proxy; says the session's cookie, as `name=value`.
pub async fn sign_in(port: u16, login: &str) -> Outcome<String> {
    let home = Url::parse(&format!("http://localhost:{port}/"))?;
    let mut browser = Browser::default();
    let mut page = browser.open(&home, None).await?;
    for _ in 0..20 {
        if let Some(next) = page.location() {
            page = browser.open(&next, None).await?;
            continue;
        }
        let mut fields = page.fields();
        let mut set = |name: &str, value: &str| {
            fields.retain(|(found, _)| found != name);
            fields.push((name.to_owned(), value.to_owned()));
        };
        let action = if page.body.contains("action=\"/user/login") {
            set("user_name", login);
            set("password", PASSWORD);
            page.url.clone()
        } else if page.body.contains("action=\"/login/oauth/grant") {
            set("granted", "true");
            page.url.join("/login/oauth/grant")?
        } else {
            let cookies = browser.cookies("localhost");
            let session =
                cookies.split("; ").find(|pair| pair.starts_with("hero_session")).map(str::to_owned);
            return session.ok_or_else(|| format!("{login} is not signed in: {}", page.head).into());
        };
        page = browser.open(&action, Some(&fields)).await?;
    }
    Err(format!("the sign-in of {login} goes round in circles").into())
}

/// Signs many in, some at a time; says their cookies in order.
pub async fn sign_in_all(port: u16, logins: impl Iterator<Item = String>) -> Outcome<Vec<String>> {
    let mut under_way = tokio::task::JoinSet::new();
    let mut cookies = Vec::new();
    for (place, login) in logins.enumerate() {
        cookies.push(String::new());
        while under_way.len() >= 16 {
            keep(&mut cookies, under_way.join_next().await)?;
        }
        under_way.spawn(async move { (place, sign_in(port, &login).await) });
    }
    while !under_way.is_empty() {
        keep(&mut cookies, under_way.join_next().await)?;
    }
    Ok(cookies)
}

type Ended = Option<Result<(usize, Outcome<String>), tokio::task::JoinError>>;

fn keep(cookies: &mut [String], ended: Ended) -> Outcome<()> {
    if let Some(ended) = ended {
        let (place, cookie) = ended?;
        cookies[place] = cookie?;
    }
    Ok(())
}
