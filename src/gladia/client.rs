//! The HTTP client for Gladia's API.

use std::time::Duration;

use reqwest::{
    Client, ClientBuilder,
    header::{HeaderMap, HeaderValue},
    redirect,
};
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use crate::tls;

/// How long a TCP and TLS connection may take to open.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long an answer may stay silent between two of its parts.
const READ_TIMEOUT: Duration = Duration::from_mins(1);

/// How Gladia is reached.
#[derive(Debug, Clone)]
pub struct GladiaSettings {
    /// The base of its API.
    pub api_url: Url,
    /// The account's key.
    pub api_key: SecretString,
    /// How long a create may take in all. Below the lease of an attempt.
    pub create_timeout: Duration,
    /// How long an upload may take in all.
    pub upload_timeout: Duration,
}

/// Gladia's API.
#[derive(Debug, Clone)]
pub struct GladiaClient {
    pub(super) base: Url,
    /// Left out wherever Gladia repeats it.
    pub(super) api_key: SecretString,
    /// For creates: every one has a connection of its own, so that none can be lost to a connection that the other side
    /// has just closed; nothing retries and nothing follows redirects.
    pub(super) create: Client,
    /// For everything else that carries our key. Follows no redirects, so the key stays with Gladia.
    pub(super) keyed: Client,
    /// For uploads: its answer comes only after the whole file, so silence until then means nothing.
    pub(super) upload: Client,
    /// For files on other hosts: carries no key.
    pub(super) keyless: Client,
    /// The same for those on this machine, which is behind no proxy.
    pub(super) keyless_here: Client,
    pub(super) create_timeout: Duration,
    pub(super) upload_timeout: Duration,
}

/// A setting that no client can be built from.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The key cannot stand in a header.
    #[error("GLADIA_API_KEY holds characters that an HTTP header cannot carry")]
    Key,
    /// TLS or the resolver failed to start.
    #[error("the HTTP client could not be built: {0}")]
    Build(#[from] reqwest::Error),
}

impl GladiaClient {
    /// Builds the clients.
    ///
    /// # Errors
    /// Where the key is unusable or the TLS stack does not start.
    pub fn new(settings: &GladiaSettings) -> Result<Self, ClientError> {
        let mut key = HeaderValue::from_str(settings.api_key.expose_secret())
            .map_err(|_| ClientError::Key)?;
        key.set_sensitive(true);
        let keyed_headers = HeaderMap::from_iter([(
            reqwest::header::HeaderName::from_static("x-gladia-key"),
            key,
        )]);
        let calls_once = |client: ClientBuilder| {
            client
                .user_agent(tls::USER_AGENT)
                .connect_timeout(CONNECT_TIMEOUT)
                .retry(reqwest::retry::never())
                .redirect(redirect::Policy::none())
        };
        let builder = || calls_once(tls::client_for(&settings.api_url));
        let of_files = |client| calls_once(client).read_timeout(READ_TIMEOUT).build();
        let create = builder()
            .default_headers(keyed_headers.clone())
            .pool_max_idle_per_host(0)
            .timeout(settings.create_timeout);
        // The kernel goes on delivering what was handed to it after we have hung up, for many minutes: a job that counts as
        // not sent by then must not arrive after all.
        #[cfg(any(target_os = "android", target_os = "fuchsia", target_os = "linux"))]
        let create = create.tcp_user_timeout(settings.create_timeout);
        Ok(Self {
            base: settings.api_url.clone(),
            api_key: settings.api_key.clone(),
            create: create.build()?,
            upload: builder().default_headers(keyed_headers.clone()).build()?,
            keyed: builder()
                .default_headers(keyed_headers)
                .read_timeout(READ_TIMEOUT)
                .build()?,
            keyless: of_files(tls::client())?,
            keyless_here: of_files(tls::client().no_proxy())?,
            create_timeout: settings.create_timeout,
            upload_timeout: settings.upload_timeout,
        })
    }

    /// How long a create may take in all.
    #[must_use]
    pub fn create_timeout(&self) -> Duration {
        self.create_timeout
    }

    /// The base of the API.
    #[must_use]
    pub fn base(&self) -> &Url {
        &self.base
    }

    /// An address below the base.
    pub(super) fn url(&self, segments: &[&str]) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            // Segments are encoded, so an id from a row cannot leave its place in the path.
            path.pop_if_empty().extend(segments);
        }
        url
    }
}
