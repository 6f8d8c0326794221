//! TLS to an upstream: its certificate must bear the name that was dialled, be in date, and come from a trusted hand.

use bytes::Bytes;
use hero_proxy::base::entropy::OsEntropy;
use hero_proxy::base::fault::Fault;
use hero_proxy::forward::settings::Upstream;
use hero_proxy::forward::{BadUpstream, Pools};
use http::Request;
use http_body_util::Empty;
use rcgen::{CertificateParams, date_time_ymd};
use tokio::task::JoinSet;
use tower::ServiceExt as _;

use crate::support::bare::{Bare, settings};
use crate::support::echo::{Echo, ok};
use crate::support::tls::{Authority, TlsFront, certificate};

const REFUSED: &str = "upstream_untrusted";

/// TLS in front of an ECHO; what it decrypts goes on to the ECHO.
struct TlsEcho {
    port: u16,
    echo: Echo,
    _server: JoinSet<()>,
}

impl TlsEcho {
    async fn start(params: CertificateParams, signed_by: Option<&Authority>) -> Self {
        let front = TlsFront::bind(params, signed_by).await;
        let echo = Echo::tcp(|seen| ok(seen.target())).await;
        Self { port: front.port(), _server: front.before(echo.address.unwrap()), echo }
    }

    /// What becomes of a request to it by a name, with these certificates trusted; none: the system's.
    async fn outcome(&self, host: &str, ca_pem: Option<Vec<u8>>) -> &'static str {
        let authority = format!("{host}:{}", self.port);
        let settings = settings([("/", Upstream::Https { authority, ca_pem })]);
        let request =
            Request::get("/x").header("host", "public.example").body(Empty::<Bytes>::new()).unwrap();
        // A system without a certificate of its own trusts nobody either, and says so at once.
        let Ok(forward) = Pools::new(&OsEntropy).forward(&settings) else {
            return REFUSED;
        };
        let answer = forward.oneshot(request).await.unwrap();
        answer.extensions().get::<Fault>().map_or("answered", |fault| fault.reason)
    }
}

/// Holds: X6 (upstream).
#[tokio::test]
async fn a_certificate_of_the_operators_own_authority_is_trusted_for_its_name() {
    let authority = Authority::new();
    let named = TlsEcho::start(certificate("localhost"), Some(&authority)).await;
    assert_eq!(named.outcome("localhost", Some(authority.pem())).await, "answered");
    assert_eq!(named.echo.only().values("host"), ["public.example"]);
    let numbered = TlsEcho::start(certificate("127.0.0.1"), Some(&authority)).await;
    assert_eq!(numbered.outcome("127.0.0.1", Some(authority.pem())).await, "answered");
}

/// Holds: X6 (upstream).
#[tokio::test]
async fn a_wrong_name_an_old_date_and_a_stranger_are_refused() {
    let authority = Authority::new();
    let good = TlsEcho::start(certificate("localhost"), Some(&authority)).await;
    assert_eq!(good.outcome("127.0.0.1", Some(authority.pem())).await, REFUSED, "another name");
    assert_eq!(good.outcome("localhost", Some(Authority::new().pem())).await, REFUSED, "another authority");
    assert_eq!(good.outcome("localhost", None).await, REFUSED, "unknown to the system");
    assert!(good.echo.is_untouched());

    let mut expired = certificate("localhost");
    (expired.not_before, expired.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2021, 1, 1));
    let expired = TlsEcho::start(expired, Some(&authority)).await;
    assert_eq!(expired.outcome("localhost", Some(authority.pem())).await, REFUSED, "expired");
    assert!(expired.echo.is_untouched());

    let own = TlsEcho::start(certificate("localhost"), None).await;
    assert_eq!(own.outcome("localhost", Some(authority.pem())).await, REFUSED, "self-signed");
    assert!(own.echo.is_untouched());
}

/// Holds: X6 (upstream).
#[tokio::test]
async fn an_upstream_that_speaks_no_tls_is_not_spoken_to_in_clear() {
    let echo = Echo::tcp(|_| ok("")).await;
    let upstream = Upstream::Https { authority: echo.authority(), ca_pem: Some(Authority::new().pem()) };
    let bare = Bare::with(&settings([("/", upstream)])).await;
    let mut client = bare.client().await;
    client.send("GET / HTTP/1.1\r\nHost: x\r\nX-Hero-Forge-Token: secret\r\n\r\n").await;
    echo.until("the handshake begins", |echo| !echo.bytes(0).is_empty()).await;
    assert!(!echo.bytes(0).contains("secret"));
    drop(echo);
    assert_eq!(client.answer().await.status, 502);
}

#[test]
fn a_ca_without_a_certificate_is_refused_at_once() {
    let refused = |ca_pem: &[u8]| {
        let authority = "localhost:1".to_owned();
        let upstream = Upstream::Https { authority, ca_pem: Some(ca_pem.to_vec()) };
        let pools = Pools::<Empty<Bytes>>::new(&OsEntropy);
        pools.forward(&settings([("/", upstream)])).unwrap_err()
    };
    assert!(matches!(refused(b""), BadUpstream::NoCertificate));
    assert!(matches!(refused(b"no PEM"), BadUpstream::NoCertificate));
    let broken = b"-----BEGIN CERTIFICATE-----\n!!\n-----END CERTIFICATE-----\n";
    assert!(matches!(refused(broken), BadUpstream::Pem(_)));
}
