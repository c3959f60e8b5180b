//! How do I serve over TLS?
//!
//! `Serve::tls`, of the feature `tls`, takes a configuration of rustls. The policies are the same as without TLS: a write is
//! durable, and a client that closes its connection is noticed. HTTP/2 and HTTP/1.1 are offered by ALPN.

use std::error::Error;
use std::io;
use std::path::Path;

use axum::http::StatusCode;
use followthrough::routing::get;
use followthrough::{Lifecycle, Router, ShutdownReport, cancellable, durable_write, serve};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use tokio::net::TcpListener;

#[cancellable(read)]
async fn show() -> &'static str {
    "tea"
}

#[durable_write]
async fn order() -> StatusCode {
    StatusCode::CREATED
}

/// Returns the routes.
pub fn app() -> Router {
    Router::new().route("/tea", get(show).post(order))
}

/// Reads a chain of certificates and its key, each from a PEM file.
///
/// # Errors
///
/// Returns an error if a file cannot be read, or if the key is not that of the certificate.
pub fn config(certificates: &Path, key: &Path) -> Result<ServerConfig, Box<dyn Error>> {
    let certificates = CertificateDer::pem_file_iter(certificates)?.collect::<Result<_, _>>()?;
    let key = PrivateKeyDer::from_pem_file(key)?;
    Ok(ServerConfig::builder().with_no_client_auth().with_single_cert(certificates, key)?)
}

/// Serves over TLS until the end of the lifecycle.
///
/// # Errors
///
/// Returns an error if the listener has no address.
pub async fn run(
    listener: TcpListener,
    config: ServerConfig,
    lifecycle: Lifecycle,
) -> io::Result<ShutdownReport> {
    serve(listener, app()).tls(config).lifecycle(lifecycle).await
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use followthrough_tests::{lifecycle, soon};
    use rustls::pki_types::ServerName;
    use rustls::{ClientConfig, RootCertStore};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;
    use tokio_rustls::TlsConnector;

    use super::*;

    #[tokio::test]
    async fn a_client_that_trusts_the_certificate_is_served() {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let (certificate, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
        std::fs::write(&certificate, made.cert.pem()).unwrap();
        std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let lifecycle = lifecycle().build().unwrap();
        let config = config(&certificate, &key).unwrap();
        let running = tokio::spawn(run(listener, config, lifecycle.clone()));

        let mut roots = RootCertStore::empty();
        roots.add(made.cert.der().clone()).unwrap();
        let trusting = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        let name = ServerName::try_from("localhost").unwrap();
        let tcp = TcpStream::connect(at).await.unwrap();
        let connector = TlsConnector::from(Arc::new(trusting));
        let mut tls = soon("the handshake", connector.connect(name, tcp)).await.unwrap();
        let request = b"POST /tea HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\
                        content-length: 0\r\n\r\n";
        tls.write_all(request).await.unwrap();
        let mut answer = String::new();
        soon("the answer", tls.read_to_string(&mut answer)).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 201 "), "{answer}");

        lifecycle.shutdown();
        let report = soon("the end", running).await.unwrap().unwrap();
        assert_eq!((report.durable.completed, report.exit_code()), (1, 0), "{report}");
    }

    #[test]
    fn a_missing_file_is_an_error() {
        let missing = Path::new("/nowhere/cert.pem");
        assert!(config(missing, missing).is_err());
    }
}
