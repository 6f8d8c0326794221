//! The real binary as a child process: what it says, when it ends, and how.

use std::io::{BufRead as _, BufReader, Read};
use std::net::SocketAddr;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};

use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, prlimit};
use tokio::sync::watch;

use super::soon;

/// A running hero_proxy. It is killed when dropped.
pub struct Program {
    pid: u32,
    said: Said,
    ended: watch::Receiver<Option<ExitStatus>>,
}

/// Lines of both outputs, as they came.
#[derive(Clone)]
struct Said {
    lines: Arc<Mutex<Vec<String>>>,
    changed: watch::Sender<usize>,
}

impl Said {
    /// Reads an output to its end, on a thread of its own.
    fn listen(&self, output: impl Read + Send + 'static) -> std::thread::JoinHandle<()> {
        let said = self.clone();
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines() {
                said.lines.lock().unwrap().push(line.unwrap());
                said.changed.send_modify(|count| *count += 1);
            }
        })
    }
}

impl Program {
    /// Starts it with these arguments, and these variables beside the test's own.
    pub fn start(arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hero_proxy"));
        command.args(arguments).envs(variables.iter().copied());
        Self::of(&mut command)
    }

    /// Starts it so that a limit on the size of files is an error of the write, as a full disk is, and not its end.
    pub fn start_on_a_small_disk(arguments: &[&str]) -> Self {
        Self::by_shell("trap '' XFSZ; exec \"$0\" \"$@\"", arguments)
    }

    /// The same, and nothing can be written from the first.
    pub fn start_on_a_full_disk(arguments: &[&str]) -> Self {
        Self::by_shell("trap '' XFSZ; ulimit -S -f 0; exec \"$0\" \"$@\"", arguments)
    }

    fn by_shell(script: &str, arguments: &[&str]) -> Self {
        let mut command = Command::new("sh");
        command.args(["-c", script, env!("CARGO_BIN_EXE_hero_proxy")]).args(arguments);
        Self::of(&mut command)
    }

    /// Lets its files take nothing any more, or again as much as they like.
    pub fn fill_disk(&self, full: bool) {
        let pid = Pid::from_raw(self.pid.try_into().unwrap());
        let old = prlimit(pid, Resource::Fsize, getrlimit(Resource::Fsize)).unwrap();
        let current = if full { Some(0) } else { old.maximum };
        prlimit(pid, Resource::Fsize, Rlimit { current, maximum: old.maximum }).unwrap();
    }

    fn of(command: &mut Command) -> Self {
        let mut child = command
            .env_remove("CREDENTIALS_DIRECTORY")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let said = Said { lines: Arc::default(), changed: watch::Sender::new(0) };
        let outputs = [said.listen(child.stdout.take().unwrap()), said.listen(child.stderr.take().unwrap())];
        let (end, ended) = watch::channel(None);
        let pid = child.id();
        std::thread::spawn(move || {
            let status = Child::wait(&mut child).unwrap();
            // All that it said first, then that it is over.
            for output in outputs {
                output.join().unwrap();
            }
            end.send_replace(Some(status));
        });
        Self { pid, said, ended }
    }

    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Sends a signal.
    pub fn tell(&self, signal: Signal) {
        assert!(self.ended.borrow().is_none(), "it has ended: {}", self.text());
        kill_process(Pid::from_raw(self.pid.try_into().unwrap()).unwrap(), signal).unwrap();
    }

    /// All it has said so far.
    pub fn text(&self) -> String {
        self.said.lines.lock().unwrap().join("\n")
    }

    /// The lines with these words in them.
    pub fn lines(&self, words: &str) -> Vec<String> {
        self.said.lines.lock().unwrap().iter().filter(|line| line.contains(words)).cloned().collect()
    }

    /// Waits until it has said these words for the `times`th time; that line.
    pub async fn says(&self, words: &str, times: usize) -> String {
        let (mut changes, mut ended) = (self.said.changed.subscribe(), self.ended.clone());
        let said = async {
            loop {
                if let Some(line) = self.lines(words).into_iter().nth(times - 1) {
                    return line;
                }
                tokio::select! {
                    change = changes.changed() => change.unwrap(),
                    _ = ended.wait_for(Option::is_some) => {
                        let last = self.lines(words).into_iter().nth(times - 1);
                        return last.unwrap_or_else(|| panic!("it ended without saying {words:?}: {}", self.text()));
                    }
                }
            }
        };
        soon(words, said).await
    }

    /// Where it serves, once it does.
    pub async fn address(&self) -> SocketAddr {
        let line: serde_json::Value = serde_json::from_str(&self.says("\"serving\"", 1).await).unwrap();
        line["address"].as_str().unwrap().parse().unwrap()
    }

    pub fn has_ended(&self) -> bool {
        self.ended.borrow().is_some()
    }

    /// Waits for its end; the exit code, or the signal that killed it.
    pub async fn ended(&self) -> Result<i32, i32> {
        let mut ended = self.ended.clone();
        let status = soon("the end of the program", ended.wait_for(Option::is_some)).await.unwrap().unwrap();
        status.code().ok_or_else(|| status.signal().unwrap_or_default())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        if self.ended.borrow().is_none() {
            let pid = self.pid.try_into().ok().and_then(Pid::from_raw);
            // It may end by itself at this very moment.
            pid.map(|pid| kill_process(pid, Signal::KILL).ok());
        }
    }
}
