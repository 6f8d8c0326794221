//! The records of the operator's part, under the real program. On a disk that takes nothing any more nothing is lost, nothing
//! is done twice, and the next call works when there is room: its files are kept from growing by a limit of the system's.
//! And a backup is made and restored as docs/USERS.md says.

use std::path::{Path, PathBuf};

use hero_proxy::forge::fake::{Endpoint, FakeForge, FakeSettings, Fault, Gate, NewUser};
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::browser::Browser;
use crate::support::desk::Desk;
use crate::support::echo::{Echo, ok};
use crate::support::house::password;
use crate::support::program::Program;
use crate::support::raw::RawClient;
use crate::support::soon;

struct Stage {
    forge: FakeForge,
    desk: Desk,
    socket: PathBuf,
}

impl Stage {
    async fn new() -> Self {
        let forge = FakeForge::start(FakeSettings::default()).await.unwrap();
        forge.add_user(NewUser { site_admin: true, ..NewUser::new("root1", &password("root1")) });
        let token = forge.add_personal_token("root1", &["write:admin", "read:user"]).unwrap();
        let echo = Echo::tcp(|_| ok("app")).await;
        let mut desk = Desk::new(&forge, &echo.authority());
        let socket = desk.add_admin("{ file = \"admin_token\" }");
        private(&desk.path("admin_token"), token.expose());
        Self { forge, desk, socket }
    }

    async fn start(&self) -> Program {
        let config = self.desk.write();
        let program = Program::start_on_a_small_disk(&["run", "--config", config.to_str().unwrap()]);
        program.address().await;
        // Until then the forge is asked by ourselves, too.
        program.says("the admin token has the scopes that it needs", 1).await;
        program
    }

    async fn rpc(&self, method: &str, params: Value) -> Value {
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }).to_string();
        let head = format!(
            "POST /_hero/admin/rpc HTTP/1.1\r\nHost: admin\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let answer = RawClient::unix(&self.socket).await.ask(head).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        serde_json::from_slice(&answer.body).unwrap()
    }

    async fn create(&self, name: &str) -> Value {
        self.rpc("deployer.create_user", json!([name])).await
    }

    /// How often the forge was asked to make an account or to change one.
    fn deeds(&self) -> usize {
        self.forge.count(Endpoint::AdminUsers)
    }

    /// Does something at the forge, and fills the disk while the forge is at it.
    async fn full_at_the_end(&self, program: &Program, method: &str, params: Value) -> Value {
        let gate = Gate::closed();
        self.forge.break_next(Endpoint::AdminUsers, Fault::Wait(gate.clone()), 1);
        let filling = async {
            soon("the forge is asked", gate.reached(1)).await;
            program.fill_disk(true);
            gate.open();
        };
        tokio::join!(self.rpc(method, params), filling).0
    }

    async fn opens(&self, login: &str, password: &str) -> bool {
        let mut browser = Browser::default();
        let page = browser.visit(&self.forge.url().join("/user/login").unwrap()).await;
        let form = page.form("/user/login").unwrap().with("user_name", login).with("password", password);
        browser.submit(&form).await.location().is_some()
    }
}

fn private(path: &Path, text: &str) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

fn initial(answer: &Value) -> &str {
    answer["result"]["initial_password"].as_str().unwrap_or_else(|| panic!("no password: {answer}"))
}

fn reason(answer: &Value) -> &str {
    answer["error"]["data"]["reason"].as_str().unwrap_or_else(|| panic!("no refusal: {answer}"))
}

/// Holds: A9.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_a_full_disk_nothing_is_begun_nothing_is_lost_and_the_next_call_works_when_there_is_room() {
    let stage = Stage::new().await;
    let program = stage.start().await;
    let alice = stage.create("alice").await;
    let id = alice["result"]["user_id"].clone();

    // Full at the beginning: a clear answer, and the forge hears nothing of it.
    program.fill_disk(true);
    let deeds = stage.deeds();
    assert_eq!(reason(&stage.create("bob").await), "records_unavailable");
    assert_eq!(reason(&stage.rpc("deployer.reset_password", json!([id])).await), "records_unavailable");
    assert_eq!(reason(&stage.rpc("deployer.assign_vm", json!([id, "vm-1"])).await), "records_unavailable");
    assert_eq!(stage.deeds(), deeds, "nothing was begun");
    assert!(stage.opens("alice", initial(&alice)).await);
    // Looking goes on.
    let user = stage.rpc("deployer.get_user", json!([id])).await;
    assert_eq!(
        (&user["result"]["forge_username"], &user["result"]["vm_count"]),
        (&json!("alice"), &json!(0)),
        "{user}"
    );
    let list = stage.rpc("deployer.list_users", json!({})).await;
    assert_eq!(list["result"].as_array().map(Vec::len), Some(1), "{list}");
    program.fill_disk(false);
    let bob = stage.create("bob").await;
    assert!(stage.opens("bob", initial(&bob)).await);
    assert_eq!(stage.deeds(), deeds + 1, "made once");

    // Full at the end: it is done, so the password reaches whoever asked; the record is held.
    let carol = stage.full_at_the_end(&program, "deployer.create_user", json!(["carol"])).await;
    assert!(stage.opens("carol", initial(&carol)).await);
    program
        .says("something was done for a user and could not be put on record; it is held and tried again", 1)
        .await;
    assert_eq!(reason(&stage.create("dave").await), "records_unavailable");
    program.fill_disk(false);
    let second = stage.full_at_the_end(&program, "deployer.reset_password", json!([id])).await;
    assert!(stage.opens("alice", initial(&second)).await && !stage.opens("alice", initial(&alice)).await);
    program.fill_disk(false);
    let deeds = stage.deeds();
    let again = stage.create("carol").await;
    assert_eq!(
        (&again["result"]["user_id"], &again["result"]["initial_password"]),
        (&carol["result"]["user_id"], &Value::Null)
    );
    assert_eq!(stage.deeds(), deeds, "not made again");

    // What was held is on record at the latest when the process ends, and there is still one of each.
    program.tell(Signal::TERM);
    assert_eq!(program.ended().await, Ok(0), "{}", program.text());
    let program = stage.start().await;
    let list = stage.rpc("deployer.list_users", json!({})).await;
    let names: Vec<_> =
        list["result"].as_array().unwrap().iter().map(|user| user["forge_username"].clone()).collect();
    assert_eq!(names, ["alice", "bob", "carol"]);
    assert!(list["result"].as_array().unwrap().iter().all(|user| user["state"] == "active"), "{list}");
    let config = stage.desk.path("proxy.toml");
    let config = config.to_str().unwrap();
    for (name, last, deed) in [("carol", 0, "create_user created"), ("alice", 0, "reset_password done")] {
        let shown = Program::start(&["user", "show", name, "--config", config], &[]);
        assert_eq!(shown.ended().await, Ok(0), "{}", shown.text());
        let deed = deed.replace(' ', "  ");
        assert_eq!(shown.lines(&deed).len(), last + 1, "{}", shown.text());
    }
    program.tell(Signal::TERM);
    assert_eq!(program.ended().await, Ok(0));
}

/// Holds: A9.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_on_a_full_disk_says_so_and_does_nothing() {
    let stage = Stage::new().await;
    let config = stage.desk.write();
    let config = config.to_str().unwrap();
    let made = Program::start(&["user", "create", "alice", "--config", config], &[]);
    assert_eq!(made.ended().await, Ok(0), "{}", made.text());
    let deeds = stage.deeds();
    for arguments in [["user", "create", "bob"], ["user", "reset-password", "alice"]] {
        let refused = Program::start_on_a_full_disk(&[&arguments[..], &["--config", config]].concat());
        assert!(matches!(refused.ended().await, Ok(3 | 4)), "{}", refused.text());
        assert!(
            refused.text().contains("admin.path") || refused.text().contains("records_unavailable"),
            "{}",
            refused.text()
        );
    }
    assert_eq!(stage.deeds(), deeds, "the forge was not asked");
    let made = Program::start(&["user", "create", "bob", "--config", config], &[]);
    assert_eq!(made.ended().await, Ok(0), "{}", made.text());
}

/// What docs/USERS.md says of backups, word by word, but for the program that says `VACUUM INTO`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_that_was_made_while_it_ran_is_restored() {
    let paper = include_str!("../../docs/USERS.md");
    for words in
        ["\"VACUUM INTO 'hero_admin.backup.db'\"", "`hero_admin.db-wal`", "`hero_admin.db-shm`", "mode 0600"]
    {
        assert!(paper.contains(words), "{words}");
    }
    let stage = Stage::new().await;
    let program = stage.start().await;
    let id = |answer: &Value| answer["result"]["user_id"].as_str().unwrap().to_owned();
    let alice = id(&stage.create("alice").await);
    stage.rpc("deployer.assign_vm", json!([alice, "vm-1"])).await;
    let [records, backup] = ["admin.db", "backup.db"].map(|name| stage.desk.path(name));
    let beside = rusqlite::Connection::open(&records).unwrap();
    beside.execute("VACUUM INTO ?1", [backup.to_str().unwrap()]).unwrap();
    drop(beside);
    let bob = stage.create("bob").await;
    let before = id(&bob);
    program.tell(Signal::TERM);
    assert_eq!(program.ended().await, Ok(0));

    for suffix in ["", "-wal", "-shm"] {
        std::fs::remove_file(stage.desk.path(&format!("admin.db{suffix}"))).ok();
    }
    let copy = std::fs::read(&backup).unwrap();
    assert!(!copy.windows(32).any(|part| part == initial(&bob).as_bytes()), "no password is in it");
    std::fs::write(&records, copy).unwrap();
    let config = stage.desk.path("proxy.toml");
    let refused = Program::start(&["run", "--config", config.to_str().unwrap()], &[]);
    assert_eq!(refused.ended().await, Ok(1), "{}", refused.text());
    assert!(
        refused.text().contains("admin.path") && refused.text().contains("chmod 600"),
        "{}",
        refused.text()
    );
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(&records, std::fs::Permissions::from_mode(0o600)).unwrap();

    let program = stage.start().await;
    let user = stage.rpc("deployer.get_user", json!([alice])).await;
    assert_eq!(
        (&user["result"]["vm_count"], &user["result"]["state"]),
        (&json!(1), &json!("active")),
        "{user}"
    );
    let again = stage.create("bob").await;
    assert_eq!(again["result"]["initial_password"], Value::Null, "{again}");
    assert_ne!(id(&again), before);
    assert!(stage.opens("bob", initial(&bob)).await, "nothing of the account was changed");
    program.tell(Signal::TERM);
    assert_eq!(program.ended().await, Ok(0));
}
