//! The stories in a real browser. Here the house is started and looked at afterwards; what a person does is told in
//! `tests/browser/`, one file per story, which says too how to prepare: Chromium, and `npm ci --prefix tests/browser`.
//!
//! `HERO_TEST_BROWSER`: a path to Chromium (unset: Debian's), or `required`. Unset, a missing browser skips the stories
//! aloud; set, it fails them. `HERO_TEST_SCREENSHOTS`: a folder to put pictures of the pages in; `docs/users.png` is the
//! `users.png` of it.

use std::fs;
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use hero_proxy::admin::Caller;
use hero_proxy::admin::service::NewUserForm;
use hero_proxy::app::demo::{CLIENT_ID, Demo, DemoAccount, DemoSettings, REPOSITORY};
use hero_proxy::forge::fake::{Endpoint, Fault, NewUser};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::runtime::Handle;
use tokio::task::{block_in_place, spawn_blocking, yield_now};
use tokio::time::timeout;

/// The longest that a story may take. On an idle machine none takes ten seconds.
const DEADLINE: Duration = Duration::from_secs(240);
/// How long a story has to end its browser once it is told to.
const GRACE: Duration = Duration::from_secs(10);
/// One browser at a time: several would only wait for each other.
static TURN: Mutex<()> = Mutex::new(());

/// How often a house asks the forge at its start what its admin token may do, by a request for an account that names nobody.
const LOOKS: usize = 1;

/// What the stories need and this machine may lack.
struct Tools {
    chromium: PathBuf,
    folder: PathBuf,
}

impl Tools {
    fn find() -> Result<Self, String> {
        let named = std::env::var_os("HERO_TEST_BROWSER").filter(|named| named != "required");
        let chromium = named.map_or_else(|| PathBuf::from("/usr/bin/chromium"), PathBuf::from);
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser");
        if !chromium.exists() {
            return Err(format!("no browser at {}", chromium.display()));
        }
        if !folder.join("node_modules/playwright-core").exists() {
            return Err("tests/browser is not prepared: npm ci --prefix tests/browser".to_owned());
        }
        let node = Command::new("node").arg("--version").stdout(Stdio::null()).status();
        node.map_err(|_| "there is no node".to_owned())?;
        Ok(Self { chromium, folder })
    }
}

/// Starts a house, prepares it, tells the story, and looks at the house afterwards.
fn tell(
    story: &str,
    settings: &DemoSettings,
    prepare: impl FnOnce(&Demo) -> Value,
    look: impl FnOnce(&Demo),
) {
    let tools = match Tools::find() {
        Ok(tools) => tools,
        Err(lack) if std::env::var_os("HERO_TEST_BROWSER").is_some() => panic!("{lack}"),
        Err(lack) => {
            writeln!(std::io::stderr(), "SKIPPED browser story {story}: {lack}").unwrap();
            return;
        }
    };
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let demo = Demo::start(settings).await.unwrap();
        let [alice, nina] = &demo.accounts;
        let mut told = json!({
            "chromium": tools.chromium, "screenshots": std::env::var_os("HERO_TEST_SCREENSHOTS").map(PathBuf::from),
            "url": demo.url, "admin": demo.admin_url, "forge": demo.forge.url(),
            "alice": { "login": alice.login, "password": alice.password },
            "nina": { "login": nina.login, "password": nina.password },
            "olga": { "login": demo.operator.login, "password": demo.operator.password },
        });
        if let (Value::Object(told), Value::Object(more)) = (&mut told, prepare(&demo)) {
            told.extend(more);
        }
        run(&tools, story, &told).await;
        look(&demo);
        demo.stop().await;
    });
}

async fn run(tools: &Tools, story: &str, told: &Value) {
    let home = TempDir::new().unwrap();
    let mut node = Command::new("node")
        .arg(tools.folder.join(story).with_extension("mjs"))
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", home.path())
        .env("TMPDIR", home.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let pid = Pid::from_child(&node);
    // Standard input: what is told are passwords, and anybody may read a command line.
    node.stdin.take().unwrap().write_all(told.to_string().as_bytes()).unwrap();
    let mut ended = spawn_blocking(|| node.wait_with_output().unwrap());
    let mut output = timeout(DEADLINE, &mut ended).await;
    for signal in [Signal::TERM, Signal::KILL] {
        if output.is_err() {
            kill_process(pid, signal).ok();
            output = timeout(GRACE, &mut ended).await;
        }
    }
    let left = end_all_of(home.path());
    let output = output.expect("a killed process ends").unwrap();
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{story}: {}\n{}", output.status, String::from_utf8_lossy(&said));
    assert_eq!(left, 0, "{story} left processes of its browser behind");
}

/// Ends the browser's processes if any is left: their command lines name the story's own folder. Says how many there were.
fn end_all_of(home: &Path) -> usize {
    let home = home.as_os_str().as_bytes();
    let processes = fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| {
        let pid = entry.file_name().to_str()?.parse().ok().and_then(Pid::from_raw)?;
        let line = fs::read(entry.path().join("cmdline")).ok()?;
        line.windows(home.len()).any(|part| part == home).then_some(pid)
    });
    processes.filter(|pid| kill_process(*pid, Signal::KILL).is_ok()).count()
}

/// Ports that are free, and the flag.
fn house(pass_through: bool) -> DemoSettings {
    DemoSettings { pass_through, proxy_port: 0, admin_port: 0, forge_port: 0, ..DemoSettings::default() }
}

fn issues(demo: &Demo) -> Vec<(String, String)> {
    demo.forge.issues(REPOSITORY.0, REPOSITORY.1)
}

fn filed(title: &str) -> Vec<(String, String)> {
    vec![(title.to_owned(), "alice".to_owned())]
}

/// Holds: H1, S1, S4, K1.
#[test]
fn a_visitor_signs_in_at_the_forge_and_the_app_files_an_issue_as_them() {
    let title = "The lamp is dark";
    tell("story", &house(true), |_| json!({ "title": title }), |demo| assert_eq!(issues(demo), filed(title)));
}

/// Holds: H5.
#[test]
fn with_the_flag_off_the_app_uses_the_token_that_this_visitor_pasted_and_nobody_else_does() {
    let title = "Filed with my own token";
    let prepare = |demo: &Demo| {
        // The second who may enter, as an account that is no longer new.
        let [_, DemoAccount { login, password }] = &demo.accounts;
        demo.forge.set_must_change_password(login, false).unwrap();
        let token = demo.forge.add_personal_token("alice", &["write:issue"]).unwrap();
        let token = token.expose();
        json!({ "title": title, "token": token, "canaries": [token], "bob": { "login": login, "password": password } })
    };
    tell("own_token", &house(false), prepare, |demo| assert_eq!(issues(demo), filed(title)));
}

/// Holds: O14.
#[test]
fn a_token_of_an_old_wider_consent_is_withheld_and_the_visitor_is_told_once_how_to_revoke_it() {
    let old = "openid profile email groups write:user write:issue write:repository";
    let prepare = |demo: &Demo| {
        demo.forge.set_grant_scope("alice", CLIENT_ID, old).unwrap();
        json!({ "old": old })
    };
    tell("old_consent", &house(true), prepare, |_| {});
}

/// Holds: R15.
#[test]
fn whoever_revoked_the_app_signs_in_beside_what_was_typed_and_files_it() {
    let (title, second) = ("Written before I revoked it", "Sent without a session");
    tell(
        "revoked",
        &house(true),
        |_| json!({ "title": title, "second": second }),
        |demo| assert_eq!(issues(demo), [filed(title), filed(second)].concat()),
    );
}

#[test]
fn a_new_account_changes_its_password_first_and_then_lands_where_it_wanted() {
    tell("new_account", &house(true), |_| json!({}), |_| {});
}

/// Holds: O2, O5.
#[test]
fn tabs_that_sign_in_at_once_each_land_on_their_own_page() {
    tell("many_tabs", &house(true), |_| json!({}), |_| {});
}

#[test]
fn everything_is_within_reach_of_the_keyboard_and_the_focus_shows() {
    let title = "Typed without a mouse";
    tell(
        "keyboard",
        &house(true),
        |_| json!({ "title": title }),
        |demo| assert_eq!(issues(demo), filed(title)),
    );
}

/// Holds: O2, O8, G14, K1.
#[test]
fn whatever_is_refused_is_explained_with_a_way_out() {
    let prepare = |demo: &Demo| {
        // The app is gone before anybody comes.
        fs::remove_file(demo.folder().join("cockpit.sock")).unwrap();
        let (login, password) = ("mallory", "twelve-grey-lamps");
        demo.forge.add_user(NewUser::new(login, password));
        json!({ "mallory": { "login": login, "password": password } })
    };
    let allow = ["user:alice", "user:nina"].map(str::to_owned).to_vec();
    tell("refusals", &DemoSettings { allow, ..house(true) }, prepare, |_| {});
}

/// Holds: G1.
#[test]
fn a_script_of_a_page_whose_session_has_ended_is_told_so_and_begins_no_sign_in() {
    tell("background", &house(true), |_| json!({}), |_| {});
}

/// Holds: S13, K1.
#[test]
fn somebody_ends_his_other_sessions_from_a_page_without_scripts() {
    tell("sessions", &house(true), |_| json!({}), |_| {});
}

/// Holds: A9, A13, A15, A18.
#[test]
fn an_operator_makes_an_account_and_its_owner_is_in_the_app_a_minute_later() {
    let title = "The first thing that I saw";
    tell(
        "users",
        &house(true),
        |_| json!({ "title": title }),
        |demo| {
            assert_eq!(issues(demo), [(title.to_owned(), "nora".to_owned())]);
            assert_eq!(demo.forge.count(Endpoint::AdminUsers), LOOKS + 2, "one account, one reset");
        },
    );
}

#[test]
fn an_operator_who_stopped_the_browser_may_press_again_after_a_while() {
    tell(
        "users_stopped",
        &house(true),
        |_| json!({}),
        |demo| assert_eq!(demo.forge.count(Endpoint::AdminUsers), LOOKS + 1, "one account"),
    );
}

/// Holds: A8, A10, A13, A18.
#[test]
fn an_operator_needs_no_script() {
    const COUNT: usize = 30;
    let prepare = |demo: &Demo| {
        let admin = demo.house.admin().unwrap();
        let by = Caller::shell(0, "r");
        let people = async {
            for at in 1..=COUNT {
                let form = NewUserForm {
                    username: format!("guest{at:03}"),
                    // One of them is longer than any column.
                    display_name: Some(format!("Guest {at}{}", "x".repeat(usize::from(at == 8) * 90))),
                    email: None,
                };
                let made = admin.create_user(&by, form).await.unwrap();
                for vm in 0..usize::from(at == 7) * 2 {
                    admin.assign_vm(&by, &made.user_id, &format!("vm-{at}-{vm}"), None).await.unwrap();
                }
            }
            let all_seen = async {
                while demo.forge.count(Endpoint::AdminUsers) < LOOKS + COUNT {
                    yield_now().await;
                }
            };
            timeout(GRACE, all_seen).await.expect("the look at the token");
        };
        block_in_place(|| Handle::current().block_on(people));
        // The next account is asked for in vain.
        demo.forge.break_next(Endpoint::AdminUsers, Fault::Close, 1);
        json!({ "count": COUNT })
    };
    tell("users_plain", &house(true), prepare, |_| {});
}

/// Holds: A18.
#[test]
fn an_operator_needs_no_mouse() {
    tell("users_keyboard", &house(true), |_| json!({}), |_| {});
}

/// Holds: A1, A2, A16.
#[test]
fn nobody_does_an_operators_work_but_an_operator() {
    tell(
        "users_hostile",
        &house(true),
        |_| json!({}),
        |demo| {
            assert_eq!(demo.forge.count(Endpoint::AdminUsers), LOOKS, "the forge was asked for no account")
        },
    );
}
