//! Words for whoever typed the command. A reader who has gone away (`| head`) is no failure.

use std::io::{self, ErrorKind, Write};

/// Writes to the standard output.
pub(crate) fn out(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        done => done,
    }
}

/// Writes to the standard error. When that fails there is nobody left to tell.
pub(crate) fn error(text: &str) {
    drop(io::stderr().lock().write_all(text.as_bytes()));
}
