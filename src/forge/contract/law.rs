//! How a law ends, and the words for comparing.

use std::fmt;

use serde_json::Value;

/// Why a law did not hold. Texts never hold tokens: bodies are told by status and error words only.
#[derive(Debug)]
pub(super) enum Fault {
    Broken(String),
    NotTried(String),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Broken(words) | Self::NotTried(words) => f.write_str(words),
        }
    }
}

pub(super) type Law<T = ()> = Result<T, Fault>;

pub(super) fn broken<T>(words: impl Into<String>) -> Law<T> {
    Err(Fault::Broken(words.into()))
}

#[expect(clippy::needless_pass_by_value, reason = "what is compared is often made on the spot")]
pub(super) fn same<T: PartialEq + fmt::Debug>(what: &str, got: T, want: T) -> Law {
    if got == want { Ok(()) } else { broken(format!("{what}: {got:?} instead of {want:?}")) }
}

pub(super) fn holds(what: &str, condition: bool) -> Law {
    if condition { Ok(()) } else { broken(format!("not so: {what}")) }
}

/// An HTTP answer, whole.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: reqwest::header::HeaderMap,
    pub(super) body: String,
    pub(super) json: Value,
}

impl Answer {
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    pub(super) fn location(&self) -> &str {
        self.header("location")
    }

    /// A text member of the JSON body.
    pub(super) fn text(&self, name: &str) -> &str {
        self.json.get(name).and_then(Value::as_str).unwrap_or_default()
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.json.get(name).is_some()
    }

    /// The status, and for errors of OAuth their words: safe to show.
    pub(super) fn in_short(&self) -> String {
        let words = [self.text("error"), self.text("error_description")].join(" ");
        format!("{} {}", self.status, words.trim()).trim_end().to_owned()
    }

    pub(super) fn is(&self, what: &str, status: u16) -> Law {
        if self.status == status {
            Ok(())
        } else {
            broken(format!("{what}: {} instead of {status}", self.in_short()))
        }
    }

    /// A token error: 400 with these words.
    pub(super) fn refuses(&self, what: &str, error: &str, description: &str) -> Law {
        same(what, self.in_short(), format!("400 {error} {description}"))
    }

    /// A parameter of the Location's query.
    pub(super) fn returned(&self, name: &str) -> Option<String> {
        let query = self.location().split_once('?')?.1;
        let mut pairs = url::form_urlencoded::parse(query.as_bytes());
        pairs.find(|pair| pair.0 == name).map(|pair| pair.1.into_owned())
    }
}
