use super::*;
use crate::base::entropy::{OsEntropy, SeededEntropy};
use base64::Engine as _;

fn key() -> SealKey {
    SealKey::random(&OsEntropy)
}

fn ring(lines: &[&SealKey]) -> KeyRing {
    let text: String = lines.iter().map(|key| key.line().expose().to_owned()).collect();
    KeyRing::from_text(&text).unwrap()
}

fn sealer(ring: &KeyRing, kind: &'static str) -> Sealer {
    Sealer::new(ring, kind, Arc::new(OsEntropy))
}

#[test]
fn what_was_sealed_opens_at_its_place() {
    let grants = sealer(&KeyRing::of(key()), "grant");
    for plain in [&b""[..], b"x", &[7; 9000]] {
        let sealed = grants.seal(b"alice", plain);
        assert_eq!(sealed.len(), plain.len() + OVERHEAD_BYTES);
        assert_eq!(&**grants.open(b"alice", &sealed).unwrap(), plain);
    }
}

/// Holds: X2.
#[test]
fn a_moved_value_does_not_open() {
    let ring = KeyRing::of(key());
    let (grants, sessions) = (sealer(&ring, "grant"), sealer(&ring, "session"));
    let sealed = grants.seal(b"alice", b"token");
    assert_eq!(grants.open(b"bob", &sealed), Err(Unsealable), "another user");
    assert_eq!(grants.open(b"alic", &sealed), Err(Unsealable), "a shorter owner");
    assert_eq!(sessions.open(b"alice", &sealed), Err(Unsealable), "another kind");
    // Kind and owner do not run into each other.
    assert_eq!(sealer(&ring, "gran").open(b"talice", &sealed), Err(Unsealable));
}

/// Holds: X2.
#[test]
fn every_byte_of_a_sealed_value_counts() {
    let grants = sealer(&KeyRing::of(key()), "grant");
    let sealed = grants.seal(b"alice", b"token");
    for at in 0..sealed.len() {
        let mut bent = sealed.clone();
        bent[at] ^= 1;
        assert_eq!(grants.open(b"alice", &bent), Err(Unsealable), "byte {at}");
        assert_eq!(grants.open(b"alice", &sealed[..at]), Err(Unsealable), "cut at {at}");
    }
    let mut longer = sealed;
    longer.push(0);
    assert_eq!(grants.open(b"alice", &longer), Err(Unsealable));
}

/// Holds: X2.
#[test]
fn many_seals_under_one_key_never_share_a_nonce() {
    let sealer = sealer(&KeyRing::of(key()), "grant");
    let nonces: std::collections::HashSet<Vec<u8>> =
        (0..20_000).map(|_| sealer.seal(b"alice", b"token")[1 + KEY_ID_BYTES..HEAD_BYTES].to_vec()).collect();
    assert_eq!(nonces.len(), 20_000);
}

/// Two machines resumed from one snapshot draw the same bytes: under GCM the sum of two ciphertexts
/// would then be the sum of the plaintexts.
///
/// Holds: X2, X4.
#[test]
fn chance_that_repeats_itself_gives_nothing_away() {
    let key = key();
    let seal = |plain: &[u8]| {
        Sealer::new(&ring(&[&key]), "grant", Arc::new(SeededEntropy::new(1))).seal(b"alice", plain)
    };
    let (left, right) = (seal(b"aaaaaaaaaaaaaaaa"), seal(b"bbbbbbbbbbbbbbbb"));
    assert_eq!(left[..HEAD_BYTES], right[..HEAD_BYTES], "the same nonce");
    let sum: Vec<u8> =
        left[HEAD_BYTES..].iter().zip(&right[HEAD_BYTES..]).take(16).map(|(a, b)| a ^ b).collect();
    assert_ne!(sum, vec![b'a' ^ b'b'; 16]);
}

/// Holds: X3.
#[test]
fn a_rotated_key_opens_until_it_leaves_the_ring() {
    let (oldest, old, new) = (key(), key(), key());
    let sealed_oldest = sealer(&ring(&[&oldest]), "grant").seal(b"alice", b"1");
    let once = sealer(&ring(&[&old, &oldest]), "grant");
    assert_eq!(&**once.open(b"alice", &sealed_oldest).unwrap(), b"1");
    let sealed_old = once.seal(b"alice", b"2");
    let twice = sealer(&ring(&[&new, &old]), "grant");
    assert_eq!(&**twice.open(b"alice", &sealed_old).unwrap(), b"2", "the previous key opens");
    assert_eq!(twice.open(b"alice", &sealed_oldest), Err(Unsealable), "the one before does not");
    assert_eq!(once.open(b"alice", &twice.seal(b"alice", b"3")), Err(Unsealable), "the first key seals");
    assert_eq!(
        sealer(&KeyRing::of(key()), "grant").open(b"alice", &sealed_old),
        Err(Unsealable),
        "a wrong key"
    );
}

/// Holds: X5.
#[test]
fn a_short_sample_or_typed_key_is_refused() {
    fn check(bytes: &[u8], expected: Result<(), BadKey>) {
        use base64::engine::general_purpose::STANDARD;
        let outcome = KeyRing::from_text(&STANDARD.encode(bytes)).map(drop);
        assert_eq!(outcome, expected, "{bytes:?}");
    }
    let sequence: Vec<u8> = (0..32).collect();
    let falling: Vec<u8> = (100..132).rev().collect();
    check(&key().derive::<32>(&["a good one"]), Ok(()));
    check(&[0; 16], Err(BadKey::Length { line: 1, bytes: 16 }));
    check(&[0; 33], Err(BadKey::Length { line: 1, bytes: 33 }));
    check(&[0; 32], Err(BadKey::Guessable { line: 1 }));
    check(&[0xff; 32], Err(BadKey::Guessable { line: 1 }));
    check(&sequence, Err(BadKey::Guessable { line: 1 }));
    check(&falling, Err(BadKey::Guessable { line: 1 }));
    check(b"change me before you go live now", Err(BadKey::Guessable { line: 1 }));
    check(&b"0123456789abcdef".repeat(2), Err(BadKey::Guessable { line: 1 }));
    assert_eq!(KeyRing::from_text("").map(drop), Err(BadKey::Empty));
    assert_eq!(KeyRing::from_text("\n# none yet\n").map(drop), Err(BadKey::Empty));
    assert_eq!(KeyRing::from_text("hunter2 hunter2!").map(drop), Err(BadKey::NotBase64 { line: 1 }));
}

#[test]
fn a_ring_names_the_line_that_is_wrong() {
    let (one, two) = (key().line(), key().line());
    let (one, two) = (one.expose().trim_end(), two.expose().trim_end());
    assert!(
        KeyRing::from_text(&format!("# newest\r\n{one}\r\n\n# old\n{}", two.trim_end_matches('='))).is_ok()
    );
    assert_eq!(
        KeyRing::from_text(&format!("{one}\n{two}\n{one}\n")).map(drop),
        Err(BadKey::Twice { line: 3 })
    );
    assert_eq!(
        KeyRing::from_text(&format!("{one}\n\nc2hvcnQ=")).map(drop),
        Err(BadKey::Length { line: 3, bytes: 5 })
    );
    let many: String = (0..=MAX_RING_KEYS).map(|_| key().line().expose().to_owned()).collect();
    assert_eq!(KeyRing::from_text(&many).map(drop), Err(BadKey::TooMany));
}

/// Holds: X7.
#[test]
fn no_key_prints_itself() {
    let key = key();
    let line = key.line();
    let ring = ring(&[&key]);
    let shown = format!("{key:?} {ring:?} {:?}", sealer(&ring, "grant"));
    assert_eq!(shown, "SealKey([redacted]) KeyRing(1 keys, [redacted]) Sealer(grant, 1 keys, [redacted])");
    assert!(!shown.contains(line.expose().trim_end()));
}
