//! Who asks. A [`Caller`] is made by whoever has looked, so that nothing is done for anybody who was not let in.

use std::fmt;

/// Who asks, and under which request id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    pub(super) who: Who,
    pub(super) request_id: String,
}

/// Who somebody is. It prints as it stands in the trail.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Who {
    /// A person, through the front door's session.
    Person {
        /// The forge's id.
        id: String,
        /// The name of the moment.
        login: String,
    },
    /// A program with an API key.
    Key {
        /// The key's public id.
        key_id: String,
        /// What it is for.
        name: String,
    },
    /// A program on this machine, through the Unix socket.
    Process {
        /// As whom it runs.
        uid: u32,
        /// Its group.
        gid: u32,
        /// Its process id, where the system says it.
        pid: Option<i32>,
    },
    /// This program, tidying up.
    Ourselves,
    /// Somebody at a terminal of this machine who may read the configuration and its secrets.
    Shell {
        /// As whom.
        uid: u32,
    },
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Person { id, login } => write!(f, "user:{login} ({id})"),
            Self::Key { key_id, name } => write!(f, "key:{key_id} ({name})"),
            Self::Process { uid, gid, pid: Some(pid) } => write!(f, "socket:uid={uid} gid={gid} pid={pid}"),
            Self::Process { uid, gid, pid: None } => write!(f, "socket:uid={uid} gid={gid}"),
            Self::Ourselves => f.write_str("hero_proxy"),
            Self::Shell { uid } => write!(f, "shell:uid={uid}"),
        }
    }
}

impl Caller {
    /// Somebody at the command line: whoever may read the configuration's secrets may do all of this anyway.
    pub fn shell(uid: u32, request_id: impl Into<String>) -> Self {
        Self { who: Who::Shell { uid }, request_id: request_id.into() }
    }

    pub(super) fn ourselves() -> Self {
        Self { who: Who::Ourselves, request_id: "-".to_owned() }
    }

    /// Who it is.
    pub fn who(&self) -> &Who {
        &self.who
    }

    /// Under which request id.
    pub fn request_id(&self) -> &str {
        &self.request_id
    }
}
