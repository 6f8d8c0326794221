//! TLS in front of something that speaks plain HTTP, with certificates of the test's own.

use std::net::SocketAddr;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

/// A certificate authority of the test's own.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub fn pem(&self) -> Vec<u8> {
        self.0.pem().into_bytes()
    }
}

/// A server's certificate for a name; in date unless said otherwise.
pub fn certificate(name: &str) -> CertificateParams {
    CertificateParams::new(vec![name.to_owned()]).unwrap()
}

/// A TLS server; what it decrypts goes on to what stands behind it. It ends when dropped.
pub struct TlsFront {
    listener: TcpListener,
    acceptor: TlsAcceptor,
}

impl TlsFront {
    /// Binds a port; nothing is served yet. Without an authority the certificate signs itself.
    pub async fn bind(params: CertificateParams, signed_by: Option<&Authority>) -> Self {
        let key = KeyPair::generate().unwrap();
        let certificate = match signed_by {
            Some(authority) => params.signed_by(&key, &authority.0).unwrap(),
            None => params.self_signed(&key).unwrap(),
        };
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![certificate.der().clone()],
                PrivateKeyDer::Pkcs8(key.serialize_der().into()),
            )
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self { listener, acceptor: TlsAcceptor::from(Arc::new(config)) }
    }

    pub fn port(&self) -> u16 {
        self.listener.local_addr().unwrap().port()
    }

    /// Serves in front of an address.
    pub fn before(self, behind: SocketAddr) -> JoinSet<()> {
        let Self { listener, acceptor } = self;
        let mut server = JoinSet::new();
        server.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (socket, _) = listener.accept().await.unwrap();
                let acceptor = acceptor.clone();
                connections.spawn(async move {
                    // A client that refuses our certificate ends the handshake: then nothing reaches what is behind.
                    if let Ok(mut front) = acceptor.accept(socket).await {
                        let mut back = TcpStream::connect(behind).await.unwrap();
                        tokio::io::copy_bidirectional(&mut front, &mut back).await.ok();
                    }
                });
            }
        });
        server
    }
}
