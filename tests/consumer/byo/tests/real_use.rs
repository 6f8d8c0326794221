//! The slot on a real disk.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use consumer_byo::{credential, slot};
use hero_proxy::base::byo::{ByoError, ByoState};
use hero_proxy::wire::ForgeToken;
use hero_proxy::wire::consume::Visitor;
use hero_proxy::wire::credential::{Asker, Source};

fn of(id: &str) -> http::Extensions {
    let mut extensions = http::Extensions::new();
    extensions.insert(Visitor { id: id.into(), login: "somebody".into(), email: None, groups: Vec::new() });
    extensions
}

#[test]
fn a_pasted_token_is_kept_in_a_private_file_and_used_for_its_owner() {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("byo-{}", std::process::id()));
    let slot = slot(&folder);
    assert_eq!(credential(&of("42"), &slot).unwrap().source(), Source::None);

    let token = ForgeToken::new("0123456789abcdef0123456789abcdef01234567").unwrap();
    slot.paste(Asker::Known("42"), &token).unwrap();
    assert_eq!(slot.state(Asker::Known("42")).unwrap(), ByoState::Yours { ends_in: Some("4567".into()) });
    assert_eq!(credential(&of("42"), &slot).unwrap().source(), Source::Byo);
    assert_eq!(credential(&of("43"), &slot).unwrap().source(), Source::None);
    assert_eq!(credential(&http::Extensions::new(), &slot).unwrap().source(), Source::None);
    assert!(matches!(slot.remove(Asker::Known("43")), Err(ByoError::NotYours)));

    let file = folder.join("cockpit/USER_FORGE_TOKEN");
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).unwrap();
    assert!(matches!(credential(&of("42"), &slot), Err(ByoError::Unavailable(_))));
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();

    slot.remove(Asker::Known("42")).unwrap();
    assert_eq!(slot.state(Asker::Known("43")).unwrap(), ByoState::Empty);
    std::fs::remove_dir_all(folder).unwrap();
}
