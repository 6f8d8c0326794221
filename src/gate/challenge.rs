//! What a backend says with a 401 (pure; RFC 9110 §11.6.1, RFC 6750 §3).

use http::header::{self, HeaderMap, HeaderValue};
use http::{Response, StatusCode};

/// Whether a backend calls the bearer token invalid: a 401 with a challenge `Bearer ... error="invalid_token"`.
pub(super) fn calls_token_invalid<B>(response: &Response<B>) -> bool {
    response.status() == StatusCode::UNAUTHORIZED && is_invalid_token(response.headers())
}

fn is_invalid_token(headers: &HeaderMap) -> bool {
    let lines = headers.get_all(header::WWW_AUTHENTICATE).iter().map(HeaderValue::as_bytes);
    lines.filter_map(|line| std::str::from_utf8(line).ok()).any(bearer_says_invalid)
}

/// Challenges and their parameters are separated by the same commas; a scheme stands before the first parameter.
fn bearer_says_invalid(line: &str) -> bool {
    let mut bearer = false;
    for piece in pieces(line) {
        let (before, value) = piece.split_once('=').unwrap_or((piece, ""));
        let mut words = before.split_whitespace();
        let name = match (words.next(), words.next()) {
            (Some(scheme), Some(name)) => {
                bearer = scheme.eq_ignore_ascii_case("bearer");
                name
            }
            // A scheme without parameters, or one more parameter.
            (Some(word), None) if piece == before => {
                bearer = word.eq_ignore_ascii_case("bearer");
                continue;
            }
            (Some(name), None) => name,
            (None, _) => continue,
        };
        if bearer && name.eq_ignore_ascii_case("error") && value.trim().trim_matches('"') == "invalid_token" {
            return true;
        }
    }
    false
}

/// The pieces between commas that stand in no quoted string.
fn pieces(line: &str) -> impl Iterator<Item = &str> {
    let (mut quoted, mut escaped) = (false, false);
    line.split(move |sign| {
        let is_escaped = std::mem::take(&mut escaped);
        match sign {
            '\\' if quoted && !is_escaped => escaped = true,
            '"' if !is_escaped => quoted = !quoted,
            _ => {}
        }
        sign == ',' && !quoted
    })
    .map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Holds: R15.
    #[test]
    fn only_a_bearer_challenge_of_a_401_that_says_invalid_token_counts() {
        let check = |status: u16, lines: &[&str]| {
            let mut response = Response::builder().status(status);
            for line in lines {
                response = response.header("www-authenticate", *line);
            }
            calls_token_invalid(&response.body(()).unwrap())
        };
        for lines in [
            &[r#"Bearer error="invalid_token""#][..],
            &[r#"bearer realm="a, b", ERROR = "invalid_token", error_description="x""#],
            &["Bearer error=invalid_token"],
            &[r#"Basic realm="x", Bearer realm="a\", b", error="invalid_token""#],
            &["Basic", r#"Bearer scope="a", error="invalid_token""#],
            &[r#"Negotiate, Bearer error="invalid_token""#],
        ] {
            assert!(check(401, lines), "{lines:?}");
            assert!(!check(403, lines) && !check(200, lines), "{lines:?}");
        }
        for lines in [
            &[][..],
            &[""],
            &["Bearer"],
            &[r#"Bearer realm="error=invalid_token""#],
            &[r#"Bearer realm="x, error=\"invalid_token\"""#],
            &[r#"Bearer error="insufficient_scope""#],
            &[r#"Bearer error="invalid_token_or_so""#],
            &[r#"Bearer error_description="invalid_token""#],
            &[r#"Basic error="invalid_token""#],
            &[r#"Bearer realm="x", Digest error="invalid_token""#],
            &[r#"error="invalid_token""#],
            &[",,,=,\"\\"],
        ] {
            assert!(!check(401, lines), "{lines:?}");
        }
    }
}
