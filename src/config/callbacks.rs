//! How Gladia's callbacks are recognised, bounded and kept.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::values::{RANDOM, own_secret, whole};
use crate::gladia::{callback_keys::CallbackKeys, webhook_secrets::WebhookSecrets};

/// How Gladia's callbacks are recognised and bounded.
#[derive(Args, Debug, Clone)]
#[command(next_help_heading = "Callbacks")]
pub struct CallbackSettings {
    /// The secrets that sign the callback addresses given to Gladia: `name:secret`, separated by commas. Secret.
    ///
    /// The first signs, all verify. To rotate: add a new key everywhere, put it first everywhere, and remove the old one a day
    /// after `callbacks keys` has stopped listing it, since what was given up may still call back. Each secret has at least 32
    /// characters, for example those of `openssl rand -hex 32`, and no comma.
    ///
    /// The secrets that outgoing webhooks are signed with are encrypted with the first as well, and decrypted with all. Each
    /// start encrypts those of older keys anew with the first; a start without a key that is still needed fails, and names
    /// it. `callbacks keys` shows which are needed.
    ///
    /// Example: CALLBACK_KEYS=2026-01:$(openssl rand -hex 32)
    #[arg(long, env, hide_env_values = true, value_parser = own_secret::<CallbackKeys>(RANDOM))]
    pub callback_keys: CallbackKeys,

    /// The largest callback that is read, in bytes (1000 to 1000000000). A transcript of many hours should fit.
    ///
    /// Of a larger one it is noted that it came, and its result is fetched from Gladia. With zero data retention, where nothing
    /// can be fetched, callbacks of any size are kept, in CALLBACK_SPOOL_DIR first.
    ///
    /// Example: MAX_CALLBACK_BYTES=64000000
    #[arg(long, env, value_name = "BYTES", default_value = "64000000", value_parser = whole(1000_u64..=1_000_000_000))]
    pub max_callback_bytes: u64,

    /// What proves that a result is Gladia's: `address` or `fetch`.
    ///
    /// `address`: the callback came to the address that only Gladia was given. `fetch`: Gladia says the same when it is
    /// asked, which costs one request for each result; the result that is served is the fetched one. Failures are believed
    /// either way, since a success that comes later still counts.
    ///
    /// Example: VERIFY_CALLBACKS=fetch
    #[arg(long, env, value_enum, default_value = "address")]
    pub verify_callbacks: VerifyCallbacks,

    /// A directory on a disk that outlives the process, for callbacks that arrive while Postgres is away.
    ///
    /// They are kept there, answered, and carried out when Postgres is back. Without it such callbacks are refused with
    /// 503, and it is up to Gladia to send them again. Each replica needs a directory of its own.
    ///
    /// Example: CALLBACK_SPOOL_DIR=/var/lib/gladia-gateway/spool
    #[arg(long, env, value_name = "DIRECTORY")]
    pub callback_spool_dir: Option<PathBuf>,

    /// Whether the gateway calls its own PUBLIC_URL at start and every few minutes: `off`, `warn` or `pause`.
    ///
    /// `warn` logs a failure and shows it in gateway_public_url_reachable; `pause` also sends nothing to Gladia while callbacks
    /// could not come back. Each process looks and pauses for itself, so that pause is in that metric and in the log of the
    /// process alone, and not in `limits show`.
    ///
    /// Example: PUBLIC_URL_CHECK=pause
    #[arg(long, env, value_enum, default_value = "warn")]
    pub public_url_check: PublicUrlCheck,

    /// The secrets of account webhooks (`whsec_…`), separated by commas; a webhook that any of them signed is taken. Secret.
    ///
    /// Set up in Gladia's dashboard, which shows them, with the address PUBLIC_URL/webhooks/gladia. They are not needed, and tell of lost
    /// callbacks sooner.
    ///
    /// Example: GLADIA_WEBHOOK_SECRETS=whsec_…
    #[arg(long, env, hide_env_values = true, value_parser = own_secret::<WebhookSecrets>("Gladia's dashboard shows the right one"))]
    pub gladia_webhook_secrets: Option<WebhookSecrets>,
}

/// What proves that a result is Gladia's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum VerifyCallbacks {
    /// The signed address that it came to.
    Address,
    /// Gladia's answer when it is asked.
    Fetch,
}

/// What a failing look at the gateway's own public address leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum PublicUrlCheck {
    /// Nobody looks.
    Off,
    /// A log line and a metric.
    Warn,
    /// Nothing is sent to Gladia either.
    Pause,
}
