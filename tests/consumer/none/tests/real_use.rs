//! The layer without any feature, as a backend uses it.

use consumer_none::{Backend, app};
use hero_proxy::wire::ForgeToken;
use hero_proxy::wire::credential::{ByoToken, Owner};
use hero_proxy::wire::trust::PeerAddress;
use http::Request;
use tower_service::Service;

fn ask(peer: Option<[u8; 4]>, headers: &[(&str, &str)]) -> String {
    let token = ForgeToken::new("pasted").unwrap();
    let byo = ByoToken { token, owner: Owner::User("42".into()) };
    let mut request = Request::builder();
    if let Some(peer) = peer {
        request = request.extension(PeerAddress::Ip(peer.into()));
    }
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let answer = app(Backend { byo: Some(byo) }).call(request.body(()).unwrap());
    answer.into_inner().unwrap().into_body()
}

const ALICE: [(&str, &str); 2] = [("x-hero-user", "alice"), ("x-hero-user-id", "42")];
const BOB: [(&str, &str); 2] = [("x-hero-user", "bob"), ("x-hero-user-id", "43")];
const TOKEN: (&str, &str) = ("x-hero-forge-token", "passed");

#[test]
fn pass_through_else_the_pasted_token_of_the_same_visitor_else_none() {
    let proxy = Some([127, 0, 0, 1]);
    assert_eq!(ask(proxy, &[ALICE[0], ALICE[1], TOKEN]), "alice: PassThrough");
    assert_eq!(ask(proxy, &ALICE), "alice: Byo");
    assert_eq!(ask(proxy, &[ALICE[0], ALICE[1], TOKEN, TOKEN]), "alice: Byo");
    assert_eq!(ask(proxy, &BOB), "bob: None");
    assert_eq!(ask(Some([192, 0, 2, 1]), &[ALICE[0], ALICE[1], TOKEN]), "nobody: None");
    assert_eq!(ask(None, &[ALICE[0], ALICE[1], TOKEN]), "nobody: None");
}
