//! The stand-in for `http2.rs` without the feature `http2`: HTTP/2 has no settings and is not spoken.

#![expect(
    clippy::unnecessary_wraps,
    clippy::unused_self,
    reason = "the items are called as those of `http2.rs`"
)]

use hyper_util::server::conn::auto;

use super::executor::Executor;

/// The protocols that a TLS handshake offers.
#[cfg(feature = "tls")]
pub(super) const ALPN: &[&[u8]] = &[b"http/1.1"];

/// Whether a connection may begin with the preface of HTTP/2.
pub(super) const SPOKEN: bool = false;

/// An empty stand-in for the settings of HTTP/2.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Http2 {}

impl Http2 {
    pub(super) const fn check(self) -> Result<(), &'static str> {
        Ok(())
    }

    pub(super) const fn apply(self, _: &mut auto::Builder<Executor>) {}
}

#[cfg(all(test, feature = "tls"))]
mod tests {
    use std::sync::Arc;

    use rustls::{ServerConfig, crypto::ring, server::ResolvesServerCertUsingSni};

    #[tokio::test]
    async fn tls_offers_http1_only() {
        for listed in [vec![], vec![b"h2".to_vec()], vec![b"h2".to_vec(), b"http/1.1".to_vec()]] {
            let mut config =
                ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
                    .with_safe_default_protocol_versions()
                    .expect("ring has them")
                    .with_no_client_auth()
                    .with_cert_resolver(Arc::new(ResolvesServerCertUsingSni::new()));
            config.alpn_protocols = listed;
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
            let serve = crate::serve(listener, axum::Router::new()).tls(config);
            let tls = serve.options.tls.expect("it was set");
            assert_eq!(tls.alpn_protocols, [b"http/1.1"]);
        }
    }
}
