//! TLS under `axum::serve`, and the certificate of a run.

use std::{fs, net::SocketAddr, path::Path, sync::Arc, time::Duration};

use axum::serve::Listener;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::mpsc,
};
use tokio_rustls::{
    TlsAcceptor, TlsConnector,
    rustls::{
        ClientConfig, RootCertStore, ServerConfig,
        crypto::{CryptoProvider, ring},
        pki_types::{CertificateDer, PrivateKeyDer},
        version::TLS13,
    },
    server::TlsStream,
};

/// The name in the certificate.
pub(crate) const NAME: &str = "localhost";
/// Longer than a handshake takes.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// Makes a certificate in `folder`, for the servers and the load generator of a run.
pub(crate) fn make(folder: &Path) -> Result<(), String> {
    let made = rcgen::generate_simple_self_signed([NAME.to_owned()])
        .map_err(|error| format!("no certificate: {error}"))?;
    fs::create_dir_all(folder)
        .and_then(|()| fs::write(folder.join("certificate.der"), made.cert.der()))
        .and_then(|()| fs::write(folder.join("key.der"), made.signing_key.serialize_der()))
        .map_err(|error| format!("cannot write the certificate: {error}"))
}

fn certificate(folder: &Path) -> Result<CertificateDer<'static>, String> {
    let read = fs::read(folder.join("certificate.der"));
    read.map(CertificateDer::from).map_err(|error| format!("no certificate: {error}"))
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

/// Returns the configuration of every server.
pub(super) fn server(folder: &Path) -> Result<ServerConfig, String> {
    let key = fs::read(folder.join("key.der")).map_err(|error| format!("no key: {error}"))?;
    let key = PrivateKeyDer::try_from(key).map_err(|error| format!("no key: {error}"))?;
    let chain = vec![certificate(folder)?];
    let config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])
        .and_then(|config| config.with_no_client_auth().with_single_cert(chain, key));
    let mut config = config.map_err(|error| format!("no TLS: {error}"))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// Returns the connector of the load generator, which trusts that certificate alone.
pub(crate) fn client(folder: &Path) -> Result<TlsConnector, String> {
    let mut roots = RootCertStore::empty();
    roots.add(certificate(folder)?).map_err(|error| format!("no root: {error}"))?;
    let config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])
        .map_err(|error| format!("no TLS: {error}"))?;
    let mut config = config.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsConnector::from(Arc::new(config)))
}

/// Accepts TLS connections, each in a task of its own, because a handshake takes several turns.
pub(super) struct Handshakes {
    done: mpsc::Receiver<(TlsStream<TcpStream>, SocketAddr)>,
    address: SocketAddr,
}

impl Handshakes {
    pub(super) fn new(
        listener: TcpListener,
        config: ServerConfig,
        nodelay: bool,
    ) -> std::io::Result<Self> {
        let address = listener.local_addr()?;
        let (sender, done) = mpsc::channel(64);
        let acceptor = TlsAcceptor::from(Arc::new(config));
        tokio::spawn(async move {
            // A failed accept ends the server's accepting, and the load generator reports it.
            while let Ok((stream, peer)) = listener.accept().await {
                let (acceptor, sender) = (acceptor.clone(), sender.clone());
                tokio::spawn(async move {
                    if nodelay && stream.set_nodelay(true).is_err() {
                        return;
                    }
                    let handshake = tokio::time::timeout(HANDSHAKE, acceptor.accept(stream));
                    if let Ok(Ok(stream)) = handshake.await {
                        let _ = sender.send((stream, peer)).await;
                    }
                });
            }
        });
        Ok(Self { done, address })
    }
}

impl Listener for Handshakes {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        match self.done.recv().await {
            Some(connection) => connection,
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> std::io::Result<SocketAddr> {
        Ok(self.address)
    }
}
