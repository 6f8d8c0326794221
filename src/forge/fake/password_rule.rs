//! Which passwords are taken (`[security]` of Forgejo's configuration; `docs/FORGEJO.md` 4.1, 4.2).

/// What this forge wants of passwords.
#[derive(Clone, Debug)]
pub struct PasswordPolicy {
    /// `MIN_PASSWORD_LENGTH`, in bytes.
    pub shortest: usize,
    /// `PASSWORD_COMPLEXITY = lower,upper,digit,spec` instead of `off`.
    pub complex: bool,
    /// `PASSWORD_CHECK_PWN = true`, and the service that knows leaked passwords cannot be reached.
    pub leak_check_fails: bool,
}

impl Default for PasswordPolicy {
    fn default() -> Self {
        Self { shortest: 8, complex: false, leak_check_fails: false }
    }
}

/// What a password lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lack {
    Length,
    Complexity,
    LeakCheck,
}

impl PasswordPolicy {
    /// The first thing that a password lacks.
    pub(super) fn lack(&self, password: &str) -> Option<Lack> {
        let has = |test: fn(&u8) -> bool| password.bytes().any(|byte| test(&byte));
        let complex = has(u8::is_ascii_lowercase)
            && has(u8::is_ascii_uppercase)
            && has(u8::is_ascii_digit)
            && has(|byte| byte.is_ascii_punctuation() || *byte == b' ');
        if password.len() < self.shortest {
            Some(Lack::Length)
        } else if self.complex && !complex {
            Some(Lack::Complexity)
        } else {
            self.leak_check_fails.then_some(Lack::LeakCheck)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_password_lacks_is_told_in_order() {
        let policy = PasswordPolicy { complex: true, leak_check_fails: true, ..PasswordPolicy::default() };
        assert_eq!(policy.lack("Aa1!"), Some(Lack::Length));
        assert_eq!(policy.lack("Aaaaaaa1"), Some(Lack::Complexity));
        assert_eq!(policy.lack("Aaaaaaa1!"), Some(Lack::LeakCheck));
        assert_eq!(PasswordPolicy::default().lack("aaaaaaaa"), None);
    }
}
