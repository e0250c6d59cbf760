//! TLS on the server's own socket, for who has no proxy before it that does it.
//!
//! A connection over TLS is hyper's to its end: a stream is written through the same layer that
//! encrypts, and what `takeover` saves is small beside that.

use std::path::PathBuf;
use std::sync::Arc;

use rustls_pki_types::pem::{self, PemObject as _};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::{self, ServerConfig};
use tokio_rustls::server::TlsStream;

use crate::config::TlsConfig;

/// Why TLS cannot be offered.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file has no certificate or key.
    #[error("tls.{key}: {} cannot be read as PEM", path.display())]
    File {
        /// `certificate` or `key`.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: pem::Error,
    },
    /// They do not go together.
    #[error("tls: the certificate and the key do not go together")]
    Pair(#[source] rustls::Error),
}

/// Takes connections over TLS.
#[derive(Clone)]
pub struct Tls(TlsAcceptor);

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tls(..)")
    }
}

impl Tls {
    /// Reads the certificate and its key.
    ///
    /// # Errors
    ///
    /// [`TlsError`], every variant.
    pub fn load(config: &TlsConfig) -> Result<Tls, TlsError> {
        let unreadable = |key, path: &PathBuf| {
            let path = path.clone();
            move |source| TlsError::File { key, path, source }
        };
        let chain = CertificateDer::pem_file_iter(&config.certificate)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(unreadable("certificate", &config.certificate))?;
        let key =
            PrivateKeyDer::from_pem_file(&config.key).map_err(unreadable("key", &config.key))?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut server = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Pair)?
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .map_err(TlsError::Pair)?;
        server.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Tls(TlsAcceptor::from(Arc::new(server))))
    }

    /// Greets a client.
    pub(super) async fn accept(&self, socket: TcpStream) -> std::io::Result<TlsStream<TcpStream>> {
        self.0.accept(socket).await
    }
}
