//! The forwarding room alone: the right upstream, the bytes as they came, and an answer to whatever goes wrong.

use std::time::Duration;

use bytes::Bytes;
use hero_proxy::base::entropy::OsEntropy;
use hero_proxy::base::fault::Fault;
use hero_proxy::forward::Pools;
use hero_proxy::forward::settings::Upstream;
use http::Request;
use http_body_util::{BodyExt as _, Empty};
use tower::ServiceExt as _;

use crate::support::bare::{Bare, http, settings};
use crate::support::echo::{Echo, Gate, Step, canned, ok};

#[tokio::test]
async fn path_query_and_host_arrive_byte_for_byte() {
    let echo = Echo::tcp(|_| ok("")).await;
    let bare = Bare::to(&echo).await;
    let targets = ["/", "/?", "/a?", "/%2e/%41?b=%2F;c+d&e", "//x/../y", "/%e2%82%AC/a;b=c", "/a%20b?q=%00"];
    for target in targets {
        let head = format!("GET {target} HTTP/1.1\r\nHost: vm1.Example.org:8443\r\nX-Odd: \u{e9}\r\n\r\n");
        assert_eq!(bare.ask(head).await.status, 200);
        let seen = echo.seen().pop().unwrap();
        assert_eq!(seen.target(), target);
        assert_eq!(seen.values("host"), ["vm1.Example.org:8443"]);
        assert_eq!(seen.names(), ["host", "x-odd", "via"]);
    }
}

/// Holds: P5.
#[tokio::test]
async fn a_request_says_that_it_came_through_here_and_never_comes_twice() {
    let echo = Echo::tcp(|_| ok("")).await;
    let bare = Bare::to(&echo).await;
    bare.ask("GET / HTTP/1.1\r\nHost: x\r\nVia: 1.0 front\r\n\r\n").await;
    let seen = echo.only();
    let [before, ours] = seen.values("via")[..] else { panic!("{seen:?}") };
    assert_eq!(before, "1.0 front");
    assert!(ours.starts_with("1.1 hero_proxy-"), "{ours}");
    let looped = bare.ask(format!("GET / HTTP/1.1\r\nHost: x\r\nVia: {ours}, 1.1 other\r\n\r\n")).await;
    assert_eq!(looped.status, 508);
    assert_eq!(echo.seen().len(), 1);
}

/// Holds: P4 (OPTIONS with Max-Forwards).
#[tokio::test]
async fn an_options_request_comes_as_far_as_it_says() {
    let echo = Echo::tcp(|_| ok("app")).await;
    let bare = Bare::to(&echo).await;
    let ask = |method: &str, left: &str| {
        let request = format!("{method} /x HTTP/1.1\r\nHost: x\r\n{left}\r\n");
        let bare = &bare;
        async move { bare.ask(request).await }
    };
    let here = ask("OPTIONS", "Max-Forwards: 0\r\n").await;
    assert_eq!((here.status, here.text().as_str()), (204, ""));
    assert!(here.value("allow").unwrap().contains("OPTIONS"));
    assert!(echo.is_untouched());
    let there = ask("OPTIONS", "Max-Forwards: 2\r\n").await;
    assert_eq!((there.status, there.text().as_str()), (200, "app"));
    assert_eq!(echo.only().values("max-forwards"), ["1"]);
    assert_eq!(ask("OPTIONS", "").await.status, 200);
    assert_eq!(echo.seen().pop().unwrap().values("max-forwards"), [""; 0]);
    // To other methods it says nothing.
    assert_eq!(ask("GET", "Max-Forwards: 0\r\n").await.status, 200);
    assert_eq!(echo.seen().pop().unwrap().values("max-forwards"), ["0"]);
}

#[tokio::test]
async fn http_1_0_goes_on_as_1_1_with_a_host() {
    let echo = Echo::tcp(|_| ok("hi")).await;
    let answer = Bare::to(&echo).await.ask("GET / HTTP/1.0\r\n\r\n").await;
    assert_eq!((answer.status, answer.text().as_str()), (200, "hi"));
    assert_eq!(echo.only().line(), "GET / HTTP/1.1");
    assert_eq!(echo.only().values("host"), [echo.authority()]);
    assert!(echo.only().values("via")[0].starts_with("1.0 hero_proxy-"));
}

/// Holds: H10.
#[tokio::test]
async fn redirects_are_passed_on_and_each_route_has_its_own_upstream() {
    let other = Echo::tcp(|_| ok("other")).await;
    let elsewhere = format!("http://{}/taken", other.authority());
    let redirect = format!("HTTP/1.1 302 Found\r\nLocation: {elsewhere}\r\nContent-Length: 0\r\n\r\n");
    let main = Echo::tcp(move |_| canned(&redirect)).await;
    let bare = Bare::with(&settings([("/", http(&main)), ("/other", http(&other))])).await;

    let answer = bare.ask("GET / HTTP/1.1\r\nHost: x\r\nX-Hero-Forge-Token: secret\r\n\r\n").await;
    assert_eq!((answer.status, answer.value("location")), (302, Some(elsewhere.as_str())));
    assert!(other.is_untouched());
    assert_eq!(bare.ask("GET /other/x HTTP/1.1\r\nHost: x\r\n\r\n").await.text(), "other");
    assert_eq!(bare.ask("GET /otherwise HTTP/1.1\r\nHost: x\r\n\r\n").await.status, 302);
    assert_eq!(other.only().target(), "/other/x");
}

#[tokio::test]
async fn a_path_without_a_route_is_404() {
    let echo = Echo::tcp(|_| ok("")).await;
    let bare = Bare::with(&settings([("/app", http(&echo))])).await;
    assert_eq!(bare.ask("GET /apple HTTP/1.1\r\nHost: x\r\n\r\n").await.status, 404);
    assert!(echo.is_untouched());
}

#[tokio::test]
async fn a_unix_socket_is_an_upstream_too() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cockpit.sock");
    let echo = Echo::unix(&path, |seen| ok(seen.target()));
    let bare = Bare::with(&settings([("/", Upstream::Unix { path })])).await;
    for target in ["/a", "/b"] {
        let answer = bare.ask(format!("GET {target} HTTP/1.1\r\nHost: x\r\n\r\n")).await;
        assert_eq!(answer.text(), target);
    }
    assert_eq!(echo.connections(), 1);
}

/// Holds: P7.
#[tokio::test]
async fn fields_of_the_hop_end_here_and_the_rest_of_an_answer_is_unchanged() {
    let echo = Echo::tcp(|_| {
        canned(
            "HTTP/1.1 203 Somehow\r\nConnection: X-Hop, keep-alive\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\n\
             Proxy-Authenticate: Basic\r\nUpgrade: h2c\r\nSet-Cookie: a=1; Path=/\r\nX-Kept: 1\r\nX-Kept: 2\r\n\
             Set-Cookie: b=2\r\nContent-Length: 2\r\n\r\nhi",
        )
    })
    .await;
    let answer = Bare::to(&echo).await.ask("GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert_eq!((answer.status, answer.text().as_str()), (203, "hi"));
    for gone in ["connection", "x-hop", "keep-alive", "proxy-authenticate", "upgrade"] {
        assert_eq!(answer.value(gone), None, "{gone}");
    }
    assert_eq!(answer.values("set-cookie"), ["a=1; Path=/", "b=2"]);
    assert_eq!(answer.values("x-kept"), ["1", "2"]);
}

/// Holds: H7.
#[tokio::test]
async fn trailers_end_here_both_ways() {
    let echo = Echo::tcp(|_| {
        canned(
            "HTTP/1.1 200 OK\r\nTrailer: X-Hero-Forge-Token\r\nTransfer-Encoding: chunked\r\n\r\n\
             2\r\nhi\r\n0\r\nX-Hero-Forge-Token: planted\r\n\r\n",
        )
    })
    .await;
    let bare = Bare::to(&echo).await;
    let answer = bare
        .ask(
            "POST / HTTP/1.1\r\nHost: x\r\nTE: trailers\r\nTransfer-Encoding: chunked\r\n\
             Trailer: X-Hero-Forge-Token\r\n\r\n3\r\nabc\r\n0\r\nX-Hero-Forge-Token: mine\r\n\r\n",
        )
        .await;
    assert_eq!((answer.text().as_str(), answer.whole), ("hi", true));
    assert_eq!(answer.trailers, [""; 0]);
    assert_eq!(answer.value("trailer"), None);
    assert_eq!(echo.only().body, b"3\r\nabc\r\n0\r\n\r\n");
}

#[tokio::test]
async fn answers_without_a_body_stay_without() {
    let echo = Echo::tcp(|seen| match seen.target() {
        "/204" => canned("HTTP/1.1 204 No Content\r\n\r\n"),
        "/304" => canned("HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\n\r\n"),
        "/103" => canned(
            "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
        ),
        _ => canned("HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n"),
    })
    .await;
    let mut client = Bare::to(&echo).await.client().await;
    let head = client.ask("HEAD / HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert_eq!((head.status, head.value("content-length")), (200, Some("99")));
    assert_eq!(client.ask("GET /204 HTTP/1.1\r\nHost: x\r\n\r\n").await.status, 204);
    assert_eq!(client.ask("GET /304 HTTP/1.1\r\nHost: x\r\n\r\n").await.value("etag"), Some("\"x\""));
    assert_eq!(client.ask("GET /103 HTTP/1.1\r\nHost: x\r\n\r\n").await.text(), "hi");
    assert_eq!(echo.connections(), 1);
}

#[tokio::test]
async fn an_upstream_that_leaves_http_unasked_is_refused() {
    let echo = Echo::tcp(|_| {
        canned("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\nraw")
    })
    .await;
    let bare = Bare::to(&echo).await;
    let answer = bare.ask("GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert_eq!((answer.status, answer.text().as_str()), (502, ""));
    echo.ended(0).await;
}

/// Holds: P13.
#[tokio::test]
async fn a_backend_that_is_down_silent_or_forbidding_harms_no_other_route() {
    let good = Echo::tcp(|_| ok("good")).await;
    let down = Echo::tcp(|_| ok("")).await;
    let nobody = Upstream::Http { authority: down.authority() };
    drop(down);
    let silent = Echo::tcp(|_| vec![]).await;
    let strict = Echo::tcp(|seen| match seen.target() {
        "/strict/401" => {
            canned("HTTP/1.1 401 No\r\nWWW-Authenticate: Basic realm=\"x\"\r\nContent-Length: 2\r\n\r\nno")
        }
        _ => canned("HTTP/1.1 403 No\r\nContent-Length: 5\r\n\r\nnever"),
    })
    .await;
    let routes =
        [("/", http(&good)), ("/down", nobody), ("/silent", http(&silent)), ("/strict", http(&strict))];
    let mut settings = settings(routes);
    settings.response_timeout = Duration::from_secs(1);
    let bare = Bare::with(&settings).await;
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n");

    assert_eq!(bare.ask(get("/down")).await.status, 502);
    assert_eq!(bare.ask(get("/silent")).await.status, 504);
    silent.ended(0).await;
    let unauthorized = bare.ask(get("/strict/401")).await;
    assert_eq!((unauthorized.status, unauthorized.text().as_str()), (401, "no"));
    assert_eq!(unauthorized.value("www-authenticate"), Some("Basic realm=\"x\""));
    let forbidden = bare.ask(get("/strict/403")).await;
    assert_eq!((forbidden.status, forbidden.text().as_str()), (403, "never"));
    assert_eq!(bare.ask(get("/good")).await.text(), "good");
}

#[tokio::test]
async fn a_full_upstream_answers_503_and_the_others_do_not_notice() {
    let gate = Gate::closed();
    let held = gate.clone();
    let slow = Echo::tcp(move |_| [vec![Step::Wait(held.clone())], ok("slow")].concat()).await;
    let quick = Echo::tcp(|_| ok("quick")).await;
    let mut settings = settings([("/", http(&slow)), ("/quick", http(&quick))]);
    settings.max_requests_per_upstream = 1;
    let bare = Bare::with(&settings).await;

    let mut first = bare.client().await;
    first.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
    slow.until("the first request arrives", |echo| echo.seen().len() == 1).await;
    let refused = bare.ask("GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert_eq!((refused.status, refused.value("retry-after")), (503, Some("1")));
    assert_eq!(bare.ask("GET /quick HTTP/1.1\r\nHost: x\r\n\r\n").await.text(), "quick");
    gate.open();
    assert_eq!(first.answer().await.text(), "slow");
    assert_eq!(bare.ask("GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.text(), "slow");
}

#[tokio::test]
async fn an_answer_that_stands_still_is_cut_and_never_looks_whole() {
    let echo = Echo::tcp(|seen| {
        let head = match seen.target() {
            "/chunked" => "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n",
            _ => "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhi",
        };
        vec![Step::send(head)]
    })
    .await;
    let mut settings = settings([("/", http(&echo))]);
    settings.idle_timeout = Duration::from_millis(200);
    let bare = Bare::with(&settings).await;
    for path in ["/chunked", "/length"] {
        let answer = bare.ask(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n")).await;
        assert_eq!((answer.status, answer.text().as_str(), answer.whole), (200, "hi", false), "{path}");
    }
    echo.ended(0).await;
    echo.ended(1).await;
}

#[tokio::test]
async fn time_spent_waiting_for_the_client_is_not_the_upstreams() {
    let echo = Echo::tcp(|_| ok("thanks")).await;
    let silent = Echo::tcp(|_| vec![]).await;
    let mut settings = settings([("/", http(&echo)), ("/silent", http(&silent))]);
    settings.response_timeout = Duration::from_millis(700);
    let bare = Bare::with(&settings).await;
    let mut client = bare.client().await;
    client.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\na").await;
    echo.until("half of the body arrives", |echo| echo.bytes(0).ends_with("\r\n\r\na")).await;
    // Three of these last longer than an upstream's patience allows.
    for _ in 0..3 {
        assert_eq!(bare.ask("GET /silent HTTP/1.1\r\nHost: x\r\n\r\n").await.status, 504);
    }
    client.send("b").await;
    assert_eq!(client.answer().await.text(), "thanks");
}

#[tokio::test]
async fn a_client_that_goes_away_takes_its_request_along() {
    let echo = Echo::tcp(|_| vec![]).await;
    let bare = Bare::to(&echo).await;
    let mut client = bare.client().await;
    client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
    echo.until("the request arrives", |echo| echo.seen().len() == 1).await;
    drop(client);
    echo.ended(0).await;
}

#[tokio::test]
async fn an_unchanged_upstream_keeps_its_connections_over_a_reload() {
    let echo = Echo::tcp(|_| ok("")).await;
    let pools = Pools::<Empty<Bytes>>::new(&OsEntropy);
    for prefix in ["/", "/x"] {
        let forward = pools.forward(&settings([(prefix, http(&echo))])).unwrap();
        let request = Request::get("/x").header("host", "x").body(Empty::new()).unwrap();
        let answer = forward.oneshot(request).await.unwrap();
        answer.into_body().collect().await.unwrap();
    }
    assert_eq!((echo.seen().len(), echo.connections()), (2, 1));
}

#[tokio::test]
async fn a_failure_names_its_reason_for_the_gate() {
    let forward = Pools::new(&OsEntropy).forward(&settings([])).unwrap();
    let request = Request::get("/x").body(Empty::<Bytes>::new()).unwrap();
    let answer = forward.oneshot(request).await.unwrap();
    let fault = answer.extensions().get::<Fault>().unwrap();
    assert_eq!((fault.status, fault.reason), (answer.status(), "no_route"));
}
