use std::os::unix::fs::PermissionsExt as _;

use super::*;

fn file(folder: &Path, name: &str, content: &[u8], mode: u32) -> PathBuf {
    let path = folder.join(name);
    fs::write(&path, content).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    path
}

fn names(folder: &Path) -> Vec<String> {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn one_line_end_is_not_part_of_a_secret() {
    fn check(content: &str, expected: &str) {
        let folder = tempfile::tempdir().unwrap();
        let path = file(folder.path(), "secret", content.as_bytes(), 0o600);
        assert_eq!(read(&path).unwrap().expose(), expected);
    }
    check("hunter2", "hunter2");
    check("hunter2\n", "hunter2");
    check("hunter2\r\n", "hunter2");
    check("hunter2\n\n", "hunter2\n");
    check(" hunter2 ", " hunter2 ");
    check("one\ntwo\n", "one\ntwo");
}

/// Holds: X5.
#[test]
fn a_secret_that_others_can_read_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    for mode in [0o644, 0o640, 0o604, 0o660, 0o601, 0o620] {
        let path = file(folder.path(), &format!("{mode:o}"), b"hunter2\n", mode);
        let error = read(&path).unwrap_err();
        assert!(matches!(error.reason, Reason::OpenToOthers { mode: found } if found == mode), "{error}");
        let said = format!("{error} {error:?}");
        assert!(
            said.contains(&format!("chmod 600 {}", path.display())) && !said.contains("hunter2"),
            "{said}"
        );
        assert!(check_private(&path).is_err());
    }
    for mode in [0o600, 0o400] {
        assert!(read(&file(folder.path(), &format!("{mode:o}"), b"hunter2\n", mode)).is_ok());
    }
    // A credential may show the mask of an access list in its group bits, and nothing more.
    assert!(read_credential(&folder.path().join("640")).is_ok());
    assert!(read_credential(&folder.path().join("604")).is_err());
}

/// Holds: X5.
#[test]
fn what_is_no_secret_file_is_refused_by_name() {
    fn check(path: &Path, expected: fn(&Reason) -> bool) {
        let error = read(path).unwrap_err();
        assert!(expected(&error.reason), "{error:?}");
        assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
    }
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    check(&at.join("missing"), |reason| matches!(reason, Reason::Missing));
    check(at, |reason| matches!(reason, Reason::NotAFile));
    check(&file(at, "empty", b"\n", 0o600), |reason| matches!(reason, Reason::Empty));
    check(&file(at, "binary", b"\xff\xfe", 0o600), |reason| matches!(reason, Reason::NotText));
    check(&file(at, "long", &vec![b'x'; 65_537], 0o600), |reason| matches!(reason, Reason::TooLong));
    assert!(read(&file(at, "limit", &vec![b'x'; 65_536], 0o600)).is_ok());
    let pipe = at.join("pipe");
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    check(&pipe, |reason| matches!(reason, Reason::NotAFile));
}

/// Holds: X5.
#[test]
fn somebody_elses_file_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(folder.path(), "secret", b"hunter2", 0o600);
    let stranger = rustix::process::getuid().as_raw() + 4321;
    if std::os::unix::fs::chown(&path, Some(stranger), None).is_err() {
        writeln!(io::stderr(), "SKIPPED: only root can make a file somebody else's").unwrap();
        return;
    }
    assert!(matches!(read(&path).unwrap_err().reason, Reason::SomebodyElses));
}

#[test]
fn we_know_who_we_are() {
    assert_eq!(effective_uid(), Some(rustix::process::geteuid().as_raw()));
}

#[test]
fn a_written_secret_is_private_whole_and_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("secret");
    for text in ["first", "second, longer"] {
        write(&path, &SecretText::new(text)).unwrap();
        assert_eq!(read(&path).unwrap().expose(), text);
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o600);
    }
    assert_eq!(names(folder.path()), ["secret"]);
    // An open file becomes a private one.
    let open = file(folder.path(), "open", b"old", 0o666);
    write(&open, &SecretText::new("new")).unwrap();
    assert_eq!(read(&open).unwrap().expose(), "new");
    assert!(matches!(write(&path, &SecretText::new("")).unwrap_err().reason, Reason::Empty));
    assert!(matches!(
        write(&folder.path().join("no/such"), &SecretText::new("x")).unwrap_err().reason,
        Reason::Missing
    ));
    assert_eq!(read(&path).unwrap().expose(), "second, longer");
}

#[test]
fn of_many_who_create_one_file_one_wins_and_nobody_reads_half_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    let wins: usize = std::thread::scope(|scope| {
        let tries: Vec<_> = (0..8)
            .map(|who: u8| {
                let path = &path;
                scope.spawn(move || {
                    let created =
                        create_new(path, &SecretText::new(char::from(b'a' + who).to_string().repeat(60_000)));
                    let content = read(path).unwrap();
                    let content = content.expose();
                    assert!(
                        content.len() == 60_000
                            && content.bytes().all(|byte| Some(&byte) == content.as_bytes().first())
                    );
                    match created {
                        Ok(()) => 1,
                        Err(error) => {
                            assert!(matches!(error.reason, Reason::Exists), "{error:?}");
                            0
                        }
                    }
                })
            })
            .collect();
        tries.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(wins, 1);
    assert_eq!(names(folder.path()), ["key"]);
}

#[test]
fn a_slot_is_a_file_in_a_private_folder() {
    let folder = tempfile::tempdir().unwrap();
    let secrets = SecretFolder::new(folder.path().join("secrets"));
    let slot: Slot = "cockpit/USER_FORGE_TOKEN".parse().unwrap();
    assert!(secrets.get(&slot).unwrap().is_none());
    assert!(!secrets.delete(&slot).unwrap());
    secrets.set(&slot, &SecretText::new("pasted")).unwrap();
    let path = folder.path().join("secrets/cockpit/USER_FORGE_TOKEN");
    assert_eq!(secrets.path(&slot), path);
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o600);
    assert_eq!(fs::metadata(path.parent().unwrap()).unwrap().mode() & 0o7777, 0o700);
    assert_eq!(secrets.get(&slot).unwrap().unwrap().expose(), "pasted");
    assert!(!format!("{secrets:?} {:?}", secrets.get(&slot)).contains("pasted"));
    // Open to others is an answer of its own, not "empty".
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    assert!(matches!(secrets.get(&slot), Err(SlotError::File(_))));
    assert!(secrets.delete(&slot).unwrap());
    assert!(secrets.get(&slot).unwrap().is_none());
}

#[test]
fn a_slots_name_is_never_a_path() {
    for bad in
        ["", "/", "a", "a/", "/a", "../a", "a/..", "./a", "a/.b", "a/b/c", "a/b\0", "a b/c", "a\\b/c", "é/a"]
    {
        assert!(bad.parse::<Slot>().is_err(), "{bad:?}");
    }
    assert!(Slot::new("a/b", "c").is_err());
    assert!(Slot::new(&"a".repeat(65), "c").is_err());
    assert_eq!("deployer/FORGE_TOKEN".parse::<Slot>().unwrap().to_string(), "deployer/FORGE_TOKEN");
}
