//! First passwords: 32 characters that nobody can foretell.

use secrecy::zeroize::Zeroizing;

use crate::base::entropy::{Entropy, random_bytes};
use crate::base::secret::InitialPassword;

/// How many characters a first password has: 190 bits of chance.
pub const LENGTH: usize = 32;

const LOWER: &[u8] = b"abcdefghijklmnopqrstuvwxyz";
const UPPER: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ";
const DIGITS: &[u8] = b"0123456789";
/// What Forgejo counts as special characters and people can read to each other.
const SYMBOLS: &[u8] = b"!#%*+-.=?@_";

/// Which characters first passwords are made of. At least one of each kind is in every password.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PasswordKind {
    /// Letters and digits: easy to hand over.
    #[default]
    Alphanumeric,
    /// Symbols too, for a forge whose `PASSWORD_COMPLEXITY` has `spec`.
    WithSymbols,
}

impl PasswordKind {
    fn classes(self) -> &'static [&'static [u8]] {
        match self {
            Self::Alphanumeric => &[LOWER, UPPER, DIGITS],
            Self::WithSymbols => &[LOWER, UPPER, DIGITS, SYMBOLS],
        }
    }
}

/// Makes a password. Each that has all kinds of characters is as likely as any other.
#[expect(
    clippy::expect_used,
    reason = "a thousand failures in a row mean that there is no chance here: better no account than a guessable one"
)]
pub(super) fn make(kind: PasswordKind, entropy: &dyn Entropy) -> InitialPassword {
    let classes = kind.classes();
    let alphabet = classes.concat();
    (0..1000).find_map(|_| draw(classes, &alphabet, entropy)).expect("the source of chance is none")
}

/// One draw; none if it came out short, or without one of the classes.
fn draw(classes: &[&[u8]], alphabet: &[u8], entropy: &dyn Entropy) -> Option<InitialPassword> {
    let bytes = Zeroizing::new(random_bytes::<{ LENGTH * 2 }>(entropy));
    // Bytes above the last whole multiple of the alphabet would make its first characters likelier.
    let fair = 256 - 256 % alphabet.len();
    let drawn = bytes.iter().map(|byte| usize::from(*byte)).filter(|byte| *byte < fair);
    let text: Zeroizing<Vec<u8>> = Zeroizing::new(
        drawn.filter_map(|byte| alphabet.get(byte % alphabet.len()).copied()).take(LENGTH).collect(),
    );
    let whole =
        text.len() == LENGTH && classes.iter().all(|class| text.iter().any(|byte| class.contains(byte)));
    let text = str::from_utf8(&text).ok().filter(|_| whole)?;
    Some(InitialPassword::new(text))
}

#[cfg(test)]
mod tests {
    use std::collections::{HashMap, HashSet};

    use super::*;
    use crate::base::entropy::{OsEntropy, SeededEntropy};

    /// Holds: A13.
    #[test]
    fn a_first_password_has_32_characters_of_each_kind_and_never_comes_twice() {
        for (kind, classes) in [(PasswordKind::Alphanumeric, 3), (PasswordKind::WithSymbols, 4)] {
            let mut made = HashSet::new();
            for _ in 0..2000 {
                let password = make(kind, &OsEntropy);
                let text = password.expose();
                assert_eq!(text.len(), 32);
                assert!(kind.classes().len() == classes);
                assert!(kind.classes().iter().all(|class| text.bytes().any(|byte| class.contains(&byte))));
                assert!(text.bytes().all(|byte| kind.classes().concat().contains(&byte)));
                assert!(made.insert(text.to_owned()));
                assert!(!format!("{password:?}").contains(text));
            }
        }
    }

    /// Holds: A13.
    #[test]
    fn no_character_is_likelier_than_another() {
        let entropy = SeededEntropy::new(7);
        for kind in [PasswordKind::Alphanumeric, PasswordKind::WithSymbols] {
            let alphabet = kind.classes().concat();
            let mut counts: HashMap<u8, f64> = HashMap::new();
            let rounds = 20_000;
            for _ in 0..rounds {
                make(kind, &entropy)
                    .expose()
                    .bytes()
                    .for_each(|byte| *counts.entry(byte).or_default() += 1.0);
            }
            // That each kind must be there lifts the small ones a little: by less than a hundredth for digits.
            let mean = f64::from(rounds) * 32.0 / f64::from(u8::try_from(alphabet.len()).unwrap());
            for byte in alphabet {
                let ratio = counts[&byte] / mean;
                assert!((0.95..1.05).contains(&ratio), "{} {ratio}", char::from(byte));
            }
        }
    }
}
