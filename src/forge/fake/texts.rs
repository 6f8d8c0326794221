//! Texts that Forgejo makes up: codes, secrets, tokens, ids.

use super::server::Forge;
use crate::base::entropy::random_bytes;

impl Forge {
    /// `gto_` and 52 signs.
    pub(super) fn client_secret_text(&self) -> String {
        format!("gto_{}", self.base32())
    }

    /// `gta_` and 52 signs.
    pub(super) fn code_text(&self) -> String {
        format!("gta_{}", self.base32())
    }

    /// 40 hexadecimal digits.
    pub(super) fn personal_token_text(&self) -> String {
        hex(&random_bytes::<20>(&*self.settings.entropy))
    }

    /// A random UUID (RFC 9562 §5.4).
    pub(super) fn uuid(&self) -> String {
        let mut number = u128::from_be_bytes(random_bytes(&*self.settings.entropy));
        number = number & !(0xf << 76) | 0x4 << 76;
        number = number & !(0x3 << 62) | 0x2 << 62;
        let part = |shift: u32, bits: u32| number >> shift & ((1 << bits) - 1);
        format!(
            "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
            part(96, 32),
            part(80, 16),
            part(64, 16),
            part(48, 16),
            part(0, 48)
        )
    }

    /// 52 signs of lower-case base32 over 32 bytes.
    fn base32(&self) -> String {
        const SIGNS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
        let bytes = random_bytes::<32>(&*self.settings.entropy);
        let bit = |index: usize| bytes.get(index / 8).map_or(0, |byte| byte >> (7 - index % 8) & 1);
        let sign = |place: usize| (0..5).fold(0_u8, |sum, offset| sum << 1 | bit(place * 5 + offset));
        (0..52)
            .map(|place| char::from(SIGNS.get(usize::from(sign(place))).copied().unwrap_or(b'a')))
            .collect()
    }
}

/// Lower-case hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |half: u8| DIGITS.get(usize::from(half)).copied().map_or('0', char::from);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 0x0f)]).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crate::base::entropy::SeededEntropy;
    use crate::forge::fake::{FakeForge, FakeSettings};

    #[test]
    fn made_up_texts_have_forgejos_shapes() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
        runtime.block_on(async {
            let settings =
                FakeSettings { entropy: Arc::new(SeededEntropy::new(7)), ..FakeSettings::default() };
            let forge = FakeForge::start(settings).await.unwrap();
            let (code, secret, token) = (
                forge.forge.code_text(),
                forge.forge.client_secret_text(),
                forge.forge.personal_token_text(),
            );
            assert!(code.starts_with("gta_") && code.len() == 56, "{code}");
            assert!(secret.starts_with("gto_") && secret.len() == 56, "{secret}");
            assert!(token.len() == 40 && token.bytes().all(|byte| byte.is_ascii_hexdigit()));
            let uuid = forge.forge.uuid();
            let parts: Vec<usize> = uuid.split('-').map(str::len).collect();
            assert_eq!(parts, [8, 4, 4, 4, 12], "{uuid}");
            assert_eq!(uuid.as_bytes()[14], b'4', "{uuid}");
        });
    }
}
