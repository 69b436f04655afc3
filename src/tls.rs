//! What the HTTP clients have in common: TLS with the system's root certificates, and their name.
//!
//! Each client of its own would read and parse them again, hundreds of files, and keep them.

use std::sync::{Arc, OnceLock};

use reqwest::{Client, ClientBuilder, Url};
use rustls::{ClientConfig, Error, crypto::aws_lc_rs};
use rustls_platform_verifier::Verifier;
use url::Host;

/// What those whom we call see us as.
pub const USER_AGENT: &str = concat!("gladia-gateway/", env!("CARGO_PKG_VERSION"));

/// Reads the root certificates, unless that was done. It blocks, for the tens of milliseconds that a client which needs them
/// would otherwise wait.
pub fn read_roots() {
    // Of a failure whoever needs them is told.
    drop(verifier());
}

/// Begins a client. It speaks HTTP/1.1 alone, one request a connection at a time.
///
/// With HTTP/2 all that goes to a host would share one connection. Whoever uploads slowly takes the streams that it may have, and
/// whoever reads slowly the window that it has, from all others; and what ends that connection ends everything on it.
///
/// Where the certificates cannot be read, the client is begun without them, and fails for the same reason when it is built.
pub fn client() -> ClientBuilder {
    let client = match config() {
        Ok(config) => Client::builder().tls_backend_preconfigured(config),
        Err(error) => {
            tracing::debug!(%error, "The root certificates cannot be read");
            Client::builder()
        }
    };
    client.http1_only()
}

/// Begins a client for a base address. What this machine itself serves is behind no proxy, whatever the environment says.
pub fn client_for(base: &Url) -> ClientBuilder {
    if is_loopback(base) {
        return client().no_proxy();
    }
    client()
}

/// Whether this machine itself serves it.
#[must_use]
pub fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

fn config() -> Result<ClientConfig, Error> {
    let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(verifier()?)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// Waits where somebody is just reading the certificates.
fn verifier() -> Result<Arc<Verifier>, Error> {
    static VERIFIER: OnceLock<Result<Arc<Verifier>, Error>> = OnceLock::new();
    let read = || Verifier::new(Arc::new(aws_lc_rs::default_provider())).map(Arc::new);
    VERIFIER.get_or_init(read).clone()
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpListener, TcpStream};

    use rustls::server::Acceptor;

    use super::*;

    /// The protocols that whoever calls here offers.
    fn offered_by(mut caller: TcpStream) -> Vec<Vec<u8>> {
        let mut acceptor = Acceptor::default();
        loop {
            assert_ne!(acceptor.read_tls(&mut caller).unwrap(), 0, "it hung up");
            if let Some(accepted) = acceptor.accept().unwrap() {
                let hello = accepted.client_hello();
                let offered = hello.alpn().into_iter().flatten();
                return offered.map(<[u8]>::to_vec).collect();
            }
        }
    }

    #[test]
    fn this_machine_is_told_from_others() {
        for here in [
            "http://127.0.0.1:8090",
            "http://[::1]/",
            "https://localhost:1/a/",
        ] {
            assert!(is_loopback(&here.parse().unwrap()), "{here}");
        }
        for elsewhere in [
            "https://api.gladia.io",
            "http://10.0.0.1",
            "http://localhost.example",
        ] {
            assert!(!is_loopback(&elsewhere.parse().unwrap()), "{elsewhere}");
        }
    }

    #[tokio::test]
    async fn no_two_requests_share_a_connection_at_a_time() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let url = format!("https://{}", listener.local_addr().unwrap());
        let offered = tokio::task::spawn_blocking(move || offered_by(listener.accept().unwrap().0));
        let called = client().no_proxy().build().unwrap().get(url).send().await;
        assert!(called.is_err(), "nobody answered the greeting");
        assert_eq!(offered.await.unwrap(), [b"http/1.1"]);
    }
}
