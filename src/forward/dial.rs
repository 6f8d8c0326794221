//! How a connection to an upstream is made: TCP, TLS or a Unix socket, all under one time limit.

use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_rustls::{ConfigBuilderExt as _, HttpsConnector, HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::client::legacy::connect::{Connected, Connection, HttpConnector};
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use tokio::net::{TcpStream, UnixStream};
use tower_service::Service;

use crate::forward::pools::BadUpstream;
use crate::forward::settings::Upstream;

type BoxError = Box<dyn std::error::Error + Send + Sync>;
type Dialling<T> = Pin<Box<dyn Future<Output = Result<T, BoxError>> + Send>>;

/// Makes connections to one upstream.
#[derive(Clone, Debug)]
pub(super) struct Connector {
    inner: HttpsConnector<Dial>,
    limit: Duration,
}

impl Connector {
    /// A connector for this upstream; `limit` covers name, connection and handshake.
    pub(super) fn to(upstream: &Upstream, limit: Duration) -> Result<Self, BadUpstream> {
        let (dial, tls) = match upstream {
            Upstream::Http { .. } => (Dial::tcp(), unused_tls()?),
            Upstream::Https { ca_pem, .. } => (Dial::tcp(), tls(ca_pem.as_deref())?),
            Upstream::Unix { path } => (Dial::Unix(path.as_path().into()), unused_tls()?),
        };
        let inner = HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_or_http()
            .enable_http1()
            .wrap_connector(dial);
        Ok(Self { inner, limit })
    }
}

impl Service<Uri> for Connector {
    type Response = MaybeHttpsStream<Wire>;
    type Error = BoxError;
    type Future = Dialling<Self::Response>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let dialling = tokio::time::timeout(self.limit, self.inner.call(uri));
        Box::pin(async move { dialling.await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))? })
    }
}

/// The system's certificates or the operator's own; names and dates are always checked.
fn tls(ca_pem: Option<&[u8]>) -> Result<ClientConfig, BadUpstream> {
    let builder = versions()?;
    let Some(pem) = ca_pem else {
        return Ok(builder.try_with_platform_verifier().map_err(BadUpstream::Tls)?.with_no_client_auth());
    };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        roots.add(certificate.map_err(BadUpstream::Pem)?).map_err(BadUpstream::Tls)?;
    }
    if roots.is_empty() {
        return Err(BadUpstream::NoCertificate);
    }
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

/// For upstreams without TLS: trusts nobody.
fn unused_tls() -> Result<ClientConfig, BadUpstream> {
    Ok(versions()?.with_root_certificates(RootCertStore::empty()).with_no_client_auth())
}

fn versions() -> Result<rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier>, BadUpstream> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(BadUpstream::Tls)
}

#[derive(Clone, Debug)]
enum Dial {
    Tcp(HttpConnector),
    Unix(Arc<Path>),
}

impl Dial {
    fn tcp() -> Self {
        let mut connector = HttpConnector::new();
        connector.enforce_http(false);
        connector.set_nodelay(true);
        Self::Tcp(connector)
    }
}

impl Service<Uri> for Dial {
    type Response = Wire;
    type Error = BoxError;
    type Future = Dialling<Wire>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        match self {
            Self::Tcp(connector) => connector.poll_ready(cx).map_err(Into::into),
            Self::Unix(_) => Poll::Ready(Ok(())),
        }
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        match self {
            Self::Tcp(connector) => {
                let dialling = connector.call(uri);
                Box::pin(async move { Ok(Wire::Tcp(dialling.await?)) })
            }
            Self::Unix(path) => {
                let path = Arc::clone(path);
                Box::pin(async move { Ok(Wire::Unix(TokioIo::new(UnixStream::connect(path).await?))) })
            }
        }
    }
}

/// A connection under TLS or HTTP.
#[derive(Debug)]
pub(super) enum Wire {
    Tcp(TokioIo<TcpStream>),
    Unix(TokioIo<UnixStream>),
}

macro_rules! either {
    ($wire:expr, $io:ident => $act:expr) => {
        match $wire.get_mut() {
            Wire::Tcp($io) => {
                let $io = Pin::new($io);
                $act
            }
            Wire::Unix($io) => {
                let $io = Pin::new($io);
                $act
            }
        }
    };
}

impl Connection for Wire {
    fn connected(&self) -> Connected {
        match self {
            Self::Tcp(io) => io.connected(),
            Self::Unix(io) => io.connected(),
        }
    }
}

impl Read for Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        either!(self, io => io.poll_read(cx, into))
    }
}

impl Write for Wire {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        either!(self, io => io.poll_write(cx, bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, io => io.poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, io => io.poll_shutdown(cx))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        either!(self, io => io.poll_write_vectored(cx, parts))
    }
}
