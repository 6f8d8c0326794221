//! What of the operator's text is not repeated: whatever may be an address with a password in it. Such an address is no
//! address to any key here, so no parser says where its password is; this looks for the marks of one. Pure.

/// Whether a text has the marks of an address with a password, a query or a fragment in it. An `@` may be escaped, or be
/// one of its look-alikes; of what stands before it nobody knows whether it is a host or a password.
pub(super) fn may_hold_a_password(text: &str) -> bool {
    text.contains(['@', '\u{ff20}', '\u{fe6b}'])
        || text.contains("%40")
        || text
            .match_indices("//")
            .any(|(at, slashes)| is_odd(text.get(at + slashes.len()..).unwrap_or_default()))
}

/// Whether what follows the slashes of an address is more than host, port and path.
fn is_odd(rest: &str) -> bool {
    let address =
        rest.split(|c: char| c.is_whitespace() || matches!(c, '"' | '\'')).next().unwrap_or_default();
    let authority = address.split('/').next().unwrap_or_default();
    let after_host = match authority.strip_prefix('[').map(|literal| literal.split_once(']')) {
        Some(Some((_, after))) => after,
        Some(None) => return true,
        None => authority,
    };
    let port = after_host.split_once(':').map_or("", |(_, port)| port);
    let is_port = port.trim_end_matches([',', ';', ']', ')']).bytes().all(|byte| byte.is_ascii_digit());
    !is_port || address.contains(['?', '#'])
}

/// The same words, those left out that may hold a password.
pub(super) fn hushed(text: &str) -> String {
    if !may_hold_a_password(text) {
        return text.to_owned();
    }
    let words: Vec<&str> =
        text.split(' ').map(|word| if may_hold_a_password(word) { "..." } else { word }).collect();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_an_address_with_a_password_is_left_out() {
        for secret in [
            "https://user:hunter2@forge.example.org:99999",
            "https://user:hunter2%40forge.example.org/",
            "https://user:hunter2",
            "http://user:hunter2:9000/x",
            "https://user:hunter2\u{ff20}h/",
            "user:hunter2@host:9000",
            "redis://:hunter2@10.0.0.1:6379/0",
            "//user:hunter2@h",
            "https://h/?password=hunter2",
            "https://h/#hunter2",
            "https://[::1]:hunter2",
            "https://user:hunter2]",
            "https://[user:hunter2",
        ] {
            assert_eq!(hushed(secret), "...");
            assert_eq!(
                hushed(&format!("\"{secret}\": a unit is missing")),
                "... a unit is missing",
                "{secret}"
            );
        }
        // A password with a blank in it is two words, and neither is shown.
        assert_eq!(hushed("\"http://user:hun ter2@h\" is"), "... ... is");
    }

    #[test]
    fn an_address_of_host_port_and_path_is_shown() {
        for plain in [
            "write https://..., or allow_plaintext = true",
            "\"127.0.0.1:8080\": no port",
            "\"http://127.0.0.1:9000\", \"https://h:1/x/y\"",
            "http://[::1]:9000",
            "plain http is for localhost, 127.0.0.0/8 and ::1",
            "\"users:alice\" names nobody",
            "unix:/run/x//y",
        ] {
            assert_eq!(hushed(plain), plain);
        }
    }
}
