//! Secrets are types that cannot print themselves. `expose` is the word to search for: it stands beside the wire
//! or the sealer, nowhere else.

use std::fmt;

use secrecy::{ExposeSecret, SecretString};

macro_rules! secret {
    ($(#[$doc:meta])* $name:ident $(, $derive:ident)*) => {
        $(#[$doc])*
        $(#[derive($derive)])*
        pub struct $name(SecretString);

        impl $name {
            /// Takes a secret in.
            pub fn new(value: impl Into<String>) -> Self {
                Self(SecretString::from(value.into()))
            }

            /// The secret itself.
            ///
            /// # Security
            /// For the wire and the sealer only; never into a log, a URL of ours, an error or a page.
            pub fn expose(&self) -> &str {
                self.0.expose_secret()
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "([redacted])"))
            }
        }
    };
}

secret!(
    /// A secret of whatever kind, as it stands in a file or in a place of secrets.
    SecretText, Clone
);
secret!(
    /// An OAuth refresh token (RFC 6749 §1.5).
    RefreshToken, Clone
);
secret!(
    /// The OAuth client's secret (RFC 6749 §2.3.1).
    ClientSecret, Clone
);
secret!(
    /// A site admin's personal token of the forge: what makes accounts there (docs/FORGEJO.md 4). Never a visitor's
    /// token, which is another type.
    AdminToken, Clone
);
secret!(
    /// The first password of an account, to be handed over once; so it is not `Clone`.
    InitialPassword
);
secret!(
    /// An authorization code (RFC 6749 §4.1.2); used once, so not `Clone`.
    AuthCode
);
secret!(
    /// A PKCE code verifier (RFC 7636 §4.1); used once, so not `Clone`.
    PkceVerifier
);
secret!(
    /// The `state` of an authorization request (RFC 6749 §10.12).
    State, Clone
);
secret!(
    /// The `nonce` of an authorization request (OpenID Connect Core §3.1.2.1).
    Nonce, Clone
);
secret!(
    /// An id_token as it came, a signed JWT (OpenID Connect Core §2).
    IdToken
);

/// Whether two secrets are equal, in time that does not tell where they differ.
#[cfg(feature = "gate")]
pub fn same(left: &str, right: &str) -> bool {
    aws_lc_rs::constant_time::verify_slices_are_equal(left.as_bytes(), right.as_bytes()).is_ok()
}

#[cfg(test)]
mod tests {
    use std::hint::black_box;
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn equal_is_equal_in_every_byte_and_in_length() {
        assert!(same("", "") && same("abc", "abc"));
        for other in ["", "ab", "abcd", "xbc", "axc", "abx", "ABC"] {
            assert!(!same("abc", other), "{other}");
        }
    }

    /// Whoever stops at the first difference is some thousand times quicker with one at the start than with one at the
    /// end. The quickest of many tries is what the work costs, whatever else the machine does.
    ///
    /// Holds: X1.
    #[test]
    fn a_difference_at_the_start_takes_as_long_as_one_at_the_end() {
        const LENGTH: usize = 1 << 20;
        let secret = "s".repeat(LENGTH);
        let quickest = |guess: &str| -> Duration {
            let tries = (0..200).map(|_| {
                let begun = Instant::now();
                assert!(!same(black_box(&secret), black_box(guess)));
                begun.elapsed()
            });
            tries.min().unwrap()
        };
        let at_the_start = quickest(&format!("x{}", "s".repeat(LENGTH - 1)));
        let at_the_end = quickest(&format!("{}x", "s".repeat(LENGTH - 1)));
        assert!(at_the_start * 4 > at_the_end, "{at_the_start:?} against {at_the_end:?}");
    }
}
