//! The extractors on a real Unix socket.

use std::path::Path;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};

async fn ask(path: &Path, headers: &str) -> String {
    let mut stream = UnixStream::connect(path).await.unwrap();
    let request = format!("GET / HTTP/1.1\r\nHost: app.test\r\nConnection: close\r\n{headers}\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer.rsplit("\r\n").next().unwrap().to_owned()
}

#[tokio::test]
async fn headers_from_the_socket_become_a_visitor_and_a_credential() {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("axum-{}.sock", std::process::id()));
    let listener = UnixListener::bind(&path).unwrap();
    let server = tokio::spawn(consumer_axum::serve(listener));
    let alice = "X-Hero-User: zo%C3%AB\r\nX-Hero-User-Id: 42\r\n";
    assert_eq!(ask(&path, "").await, "nobody, token: None");
    assert_eq!(ask(&path, alice).await, "zoë, token: None");
    assert_eq!(ask(&path, &format!("{alice}X-Hero-Forge-Token: t\r\n")).await, "zoë, token: PassThrough");
    server.abort();
    std::fs::remove_file(path).unwrap();
}
