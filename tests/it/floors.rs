//! The house: a room imports rooms of lower floors only, rules are pure, and features cut between items.

use crate::support::sources::{self, Source};

/// The rooms by floor; rooms of one floor are strangers to each other. `main` and `cli` lie outside the library.
const FLOORS: [&[&str]; 7] = [
    &["wire"],
    &["base"],
    &["session", "forge"],
    &["gate", "forward", "serve", "admin", "demo"],
    &["config"],
    &["log"],
    &["app"],
];

/// Files that decide and do not act: they may not name whatever waits, connects or keeps.
const PURE: [&str; 39] = [
    "src/base/account.rs",
    "src/base/fault.rs",
    "src/base/path.rs",
    "src/base/peer.rs",
    "src/base/seal.rs",
    "src/base/secret.rs",
    "src/base/url.rs",
    "src/config/check/",
    "src/config/complaint.rs",
    "src/config/raw.rs",
    "src/config/unit.rs",
    "src/forge/admin/error.rs",
    "src/forge/admin/new_user.rs",
    "src/forge/admin/reading.rs",
    "src/forge/discovery.rs",
    "src/forge/id_token.rs",
    "src/forge/scope.rs",
    "src/forward/hop.rs",
    "src/forward/settings.rs",
    "src/gate/challenge.rs",
    "src/gate/flow.rs",
    "src/gate/judge.rs",
    "src/gate/reader.rs",
    "src/gate/reason.rs",
    "src/gate/recheck.rs",
    "src/gate/return_path.rs",
    "src/gate/rules.rs",
    "src/gate/settings.rs",
    "src/serve/admit.rs",
    "src/session/cookie.rs",
    "src/session/format.rs",
    "src/session/id.rs",
    "src/session/record.rs",
    "src/wire/consume.rs",
    "src/wire/credential.rs",
    "src/wire/encode.rs",
    "src/wire/inject.rs",
    "src/wire/scrub.rs",
    "src/wire/trust.rs",
];

const IMPURE_CRATES: [&str; 9] =
    ["tokio", "tokio_util", "reqwest", "hyper", "hyper_util", "hyper_rustls", "moka", "rusqlite", "socket2"];

fn floor(room: &str) -> Option<usize> {
    FLOORS.iter().position(|rooms| rooms.contains(&room))
}

/// The room that a file belongs to; none for what stands above all rooms.
fn room(path: &str) -> Option<&str> {
    let room = path.strip_prefix("src/")?.split('/').next()?.trim_end_matches(".rs");
    (!matches!(room, "lib" | "main" | "cli")).then_some(room)
}

/// The name that a path begins with behind each `crate::` of a line.
fn imported(line: &str) -> impl Iterator<Item = &str> {
    let name = |rest: &str| rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
    line.split("crate::").skip(1).map(move |rest| rest.get(..name(rest)).unwrap_or_default())
}

/// What is wrong with the imports of a file, each with its place.
fn wrong_imports(source: &Source) -> Vec<String> {
    let Some(here) = room(&source.path) else { return Vec::new() };
    let Some(level) = floor(here) else { return vec![format!("{}: room {here} has no floor", source.path)] };
    let mut wrong = Vec::new();
    for (at, line) in source.text.lines().map(sources::without_comment).enumerate() {
        for there in imported(line) {
            let fits = there == here || floor(there).is_some_and(|other| other < level);
            if !fits {
                wrong.push(format!("{}:{}: {here} imports {there}", source.path, at + 1));
            }
        }
    }
    wrong
}

#[test]
fn a_room_imports_rooms_of_lower_floors_only() {
    let sources = sources::files("src", &[".rs"]);
    assert!(sources.len() > 100, "the sources are found");
    let wrong: Vec<String> = sources.iter().flat_map(wrong_imports).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn an_upward_and_a_sideways_import_are_told_with_their_place() {
    let text = "use crate::wire::name;\n//! [`x`](crate::app::x)\nfn f() { crate::gate::f() }\nuse crate::forward::x;\n";
    let source = |path: &str| Source { path: path.to_owned(), text: text.to_owned() };
    assert_eq!(
        wrong_imports(&source("src/session/x.rs")),
        ["src/session/x.rs:3: session imports gate", "src/session/x.rs:4: session imports forward"]
    );
    assert_eq!(wrong_imports(&source("src/gate/deep/x.rs")), ["src/gate/deep/x.rs:4: gate imports forward"]);
    assert!(wrong_imports(&source("src/app/house.rs")).is_empty());
    assert_eq!(wrong_imports(&source("src/attic.rs")), ["src/attic.rs: room attic has no floor"]);
}

#[test]
fn what_decides_does_not_wait_connect_or_keep() {
    let sources = sources::files("src", &[".rs"]);
    let mut wrong = Vec::new();
    for pure in PURE {
        let mut of_it = sources.iter().filter(|source| source.path.starts_with(pure)).peekable();
        assert!(of_it.peek().is_some(), "{pure} is on the list and not in the house");
        for source in of_it.filter(|source| !source.path.ends_with("tests.rs")) {
            for (at, line) in source.code() {
                let words = line.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
                for word in words.filter(|word| IMPURE_CRATES.contains(word)) {
                    wrong.push(format!("{}:{at}: names {word}", source.path));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn features_cut_between_items_and_never_inside_a_function() {
    let mut wrong = Vec::new();
    for source in sources::files("src", &[".rs"]) {
        let lines: Vec<&str> = source.text.lines().map(sources::without_comment).collect();
        for (at, line) in lines.iter().enumerate() {
            // A constant may say what was built in; a function asks the constant.
            if line.contains("cfg!(") && !line.starts_with("const ") {
                wrong.push(format!("{}:{}: cfg!", source.path, at + 1));
            }
            if line.trim_start().starts_with("#[cfg(") {
                let next = lines.iter().skip(at + 1).map(|line| line.trim_start());
                let item =
                    next.clone().find(|line| !line.is_empty() && !line.starts_with('#')).unwrap_or_default();
                if !is_item(item) {
                    wrong.push(format!("{}:{}: cfg on {item:?}", source.path, at + 1));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Whether a line begins an item, or a variant of an enum.
fn is_item(line: &str) -> bool {
    const BEGINNINGS: [&str; 13] = [
        "pub",
        "mod",
        "use",
        "fn",
        "async",
        "struct",
        "enum",
        "impl",
        "trait",
        "const",
        "static",
        "type",
        "macro_rules!",
    ];
    let first = line.split([' ', '(', '<']).next().unwrap_or_default();
    BEGINNINGS.contains(&first) || first.starts_with(|c: char| c.is_ascii_uppercase())
}

#[test]
fn nothing_is_imported_by_a_star() {
    let mut wrong = Vec::new();
    for source in sources::files("src", &[".rs"]) {
        for (at, line) in source.code() {
            let glob = line.trim_start().starts_with("use ") && line.contains("::*");
            if glob && !source.path.ends_with("tests.rs") {
                wrong.push(format!("{}:{at}: {}", source.path, line.trim()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// This does not compile once one of these types can be compared by `==`: then there are two ways to read the line.
macro_rules! has_no_equality {
    ($($secret:ty),* $(,)?) => {
        $({
            trait Unclear<Which> {
                fn is_told() {}
            }
            struct Comparable;
            impl<T: ?Sized> Unclear<()> for T {}
            impl<T: ?Sized + PartialEq> Unclear<Comparable> for T {}
            <$secret as Unclear<_>>::is_told();
        })*
    };
}

/// Secrets cannot be compared but by `same`, whose time is measured beside it: their types have no equality, and nothing
/// compares what they expose. MACs are compared by the crate that makes them. Holds: X1.
#[test]
fn secrets_have_no_equality_and_nothing_compares_what_they_expose() {
    use hero_proxy::base::seal::{KeyRing, SealKey};
    use hero_proxy::base::secret;
    has_no_equality!(
        secret::SecretText,
        secret::RefreshToken,
        secret::ClientSecret,
        secret::AdminToken,
        secret::InitialPassword,
        secret::AuthCode,
        secret::PkceVerifier,
        secret::State,
        secret::Nonce,
        secret::IdToken,
        hero_proxy::session::id::SessionId,
        hero_proxy::wire::ForgeToken,
        hero_proxy::wire::scrub::ShortText,
        SealKey,
        KeyRing,
    );
    let mut wrong = Vec::new();
    for source in sources::files("src", &[".rs"]).iter().filter(|source| !source.path.ends_with("tests.rs")) {
        for (at, line) in source.code() {
            let exposes = line.contains("expose()") || line.contains("expose_secret()");
            if exposes && [" == ", " != ", ".eq(", ".cmp("].iter().any(|compares| line.contains(compares)) {
                wrong.push(format!("{}:{at}: {}", source.path, line.trim()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
