//! What was asked of the fake: method, path and status of the last requests, and a count per endpoint. Never a query, a
//! header's value or a body, so never a secret.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use axum::http::{HeaderMap, header};

use super::faults::Endpoint;

/// Requests that are remembered one by one.
const MOST_SEEN: usize = 10_000;

/// One request that reached the fake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Its method.
    pub method: String,
    /// Its path, without query.
    pub path: String,
    /// What kind of credential it showed.
    pub shown: Shown,
    /// The status of the answer; none when the connection was closed or still hangs.
    pub status: Option<u16>,
}

/// The kind of credential in the `Authorization` header, by its looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    /// None.
    Nothing,
    /// A name and a password (or a client's id and secret).
    Password,
    /// A personal token.
    PersonalToken,
    /// An OAuth access token: those have dots.
    OauthToken,
}

impl Shown {
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let line = headers.get(header::AUTHORIZATION).and_then(|line| line.to_str().ok()).unwrap_or_default();
        match line.split_once(' ') {
            None => Self::Nothing,
            Some((scheme, _)) if scheme.eq_ignore_ascii_case("basic") => Self::Password,
            Some((_, token)) if token.contains('.') => Self::OauthToken,
            Some(_) => Self::PersonalToken,
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Record(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    first: usize,
    seen: VecDeque<Seen>,
    counts: HashMap<Endpoint, usize>,
}

impl Record {
    /// Notes a request's arrival; the number is for [`Record::answered`].
    pub(super) fn arrived(&self, endpoint: Endpoint, method: &str, path: &str, shown: Shown) -> usize {
        let mut inner = self.lock();
        *inner.counts.entry(endpoint).or_default() += 1;
        inner.seen.push_back(Seen { method: method.to_owned(), path: path.to_owned(), shown, status: None });
        if inner.seen.len() > MOST_SEEN {
            inner.seen.pop_front();
            inner.first += 1;
        }
        inner.first + inner.seen.len() - 1
    }

    pub(super) fn answered(&self, number: usize, status: u16) {
        let mut inner = self.lock();
        let index = number.checked_sub(inner.first);
        if let Some(seen) = index.and_then(|index| inner.seen.get_mut(index)) {
            seen.status = Some(status);
        }
    }

    pub(super) fn seen(&self) -> Vec<Seen> {
        self.lock().seen.iter().cloned().collect()
    }

    pub(super) fn count(&self, endpoint: Endpoint) -> usize {
        self.lock().counts.get(&endpoint).copied().unwrap_or(0)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
