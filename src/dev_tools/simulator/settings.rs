//! What a simulator is started with.

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use url::Url;

use super::Script;

/// The account and the machine that the simulator pretends to be.
#[derive(Clone, Debug)]
pub struct SimulatorSettings {
    /// Where the API listens; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The keys accepted in `x-gladia-key`.
    pub api_keys: Vec<String>,
    /// How many seconds of audio are processed in one second.
    pub speed: f64,
    /// What is said in which audio; the bundled script stays behind it as a fallback.
    pub script: Option<Script>,
    /// The base of `result_url` and `audio_url`; its own address if none is given.
    pub public_url: Option<Url>,
    /// Jobs that run at the same time.
    pub max_running: usize,
    /// Jobs that may wait behind those that run; more are refused with 429.
    pub max_queued: usize,
    /// Whether loopback and private addresses are fetched from and called back.
    pub allow_private: bool,
    /// The account's webhook, told about every job.
    pub webhook: Option<WebhookSettings>,
    /// Whether unknown and discontinued options are refused rather than ignored.
    pub strict_options: bool,
    /// How often a callback is sent until it is answered with 2xx.
    pub callback_attempts: u32,
    /// The pause before the second attempt of a callback; it doubles from there.
    pub callback_backoff: Duration,
    /// The largest upload, in bytes.
    pub max_upload_bytes: u64,
    /// Whether nothing is kept: no uploads, no look at jobs, and a result exists until its callback was answered with 2xx.
    pub zero_data_retention: bool,
    /// Makes faults that happen now and then happen in the same places again; random if none is given.
    pub seed: Option<u64>,
}

/// Where account webhooks go, and how they are signed.
#[derive(Clone, Debug)]
pub struct WebhookSettings {
    /// The receiver.
    pub url: Url,
    /// The Svix secret, `whsec_` and base64.
    pub secret: String,
}

impl Default for SimulatorSettings {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            api_keys: vec!["simulated-key".to_owned()],
            speed: 20.0,
            script: None,
            public_url: None,
            max_running: 25,
            max_queued: 300,
            allow_private: true,
            webhook: None,
            strict_options: false,
            callback_attempts: 5,
            callback_backoff: Duration::from_millis(500),
            max_upload_bytes: 1_000_000_000,
            zero_data_retention: false,
            seed: None,
        }
    }
}
