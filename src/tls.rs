//! What the HTTP clients have in common: TLS with the system's root certificates.
//!
//! Each client of its own would read and parse them again, hundreds of files, and keep them.

use std::sync::{Arc, OnceLock};

use reqwest::{Client, ClientBuilder};
use rustls::{ClientConfig, Error, crypto::aws_lc_rs};
use rustls_platform_verifier::Verifier;

/// Reads the root certificates, unless that was done. It blocks, for the tens of milliseconds that a client which needs them
/// would otherwise wait.
pub fn read_roots() {
    // Of a failure whoever needs them is told.
    drop(verifier());
}

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
    let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(verifier()?)
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    Ok(config)
}

/// Waits where somebody is just reading the certificates.
fn verifier() -> Result<Arc<Verifier>, Error> {
    static VERIFIER: OnceLock<Result<Arc<Verifier>, Error>> = OnceLock::new();
    let read = || Verifier::new(Arc::new(aws_lc_rs::default_provider())).map(Arc::new);
    VERIFIER.get_or_init(read).clone()
}
