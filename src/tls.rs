//! What the HTTP clients have in common: TLS with the system's root certificates.
//!
//! Each client of its own would read and parse them again, hundreds of files, and keep them.

use std::sync::{Arc, OnceLock};

use reqwest::{Client, ClientBuilder};
use rustls::{ClientConfig, Error, crypto::aws_lc_rs};
use rustls_platform_verifier::Verifier;

/// Begins a client that speaks HTTP/2 where the other side does.
pub fn client() -> ClientBuilder {
    begin(&[b"h2", b"http/1.1"])
}

/// Begins a client that speaks HTTP/1.1 alone.
pub fn http1_client() -> ClientBuilder {
    begin(&[b"http/1.1"]).http1_only()
}

/// Where the certificates cannot be read, the client is begun without them, and fails for the same reason when it is built.
fn begin(protocols: &[&[u8]]) -> ClientBuilder {
    match config(protocols) {
        Ok(config) => Client::builder().tls_backend_preconfigured(config),
        Err(error) => {
            tracing::debug!(%error, "The root certificates cannot be read");
            Client::builder()
        }
    }
}

fn config(protocols: &[&[u8]]) -> Result<ClientConfig, Error> {
    static VERIFIER: OnceLock<Arc<Verifier>> = OnceLock::new();
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier = if let Some(verifier) = VERIFIER.get() {
        Arc::clone(verifier)
    } else {
        let read = Arc::new(Verifier::new(Arc::clone(&provider))?);
        Arc::clone(VERIFIER.get_or_init(|| read))
    };
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    Ok(config)
}
