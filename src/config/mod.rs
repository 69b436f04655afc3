//! Settings from the environment, one struct a concern. A field's doc comment is its text in `--help`.
//!
//! A setting comes from its flag, else its environment variable, else a file that the variable's name with `_FILE` at its
//! end names, else the same two names in `.env`, else its default ([`resolve`] does that). It is parsed into a type that
//! cannot be wrong, so nothing behind this module checks it again. What is missing or wrong is said in one message.

#![expect(
    clippy::doc_markdown,
    reason = "the doc comments are help texts, and backticks around an example would be pasted along with it"
)]

mod environment;
mod problems;
mod resolve;
#[cfg(test)]
mod tests;
mod values;

use std::{ffi::OsString, net::SocketAddr, time::Duration};

use clap::{Args, Command, FromArgMatches};
use secrecy::SecretString;
use url::Url;

use self::values::{base_url, header_secret, seconds, whole};
pub use self::{
    environment::{DotenvError, Environment},
    problems::SettingsError,
    resolve::{Stop, parse},
    values::{DatabaseUrl, max_in_flight},
};
use crate::{
    domain::access::ApiKey,
    gladia::{callback_keys::CallbackKeys, client::GladiaSettings},
    telemetry::{LogFilter, LogFormat},
};

/// What is logged, and how. Every command has these.
#[derive(Args, Debug, Clone)]
pub struct LogSettings {
    /// How log lines look: `text` for people, `json` for machines.
    ///
    /// Example: LOG_FORMAT=json
    #[arg(
        long,
        env,
        global = true,
        help_heading = "Logging",
        value_enum,
        default_value = "text"
    )]
    pub log_format: LogFormat,

    /// What is logged: a level, or levels by module. `info` unless given; `demo` keeps to errors. RUST_LOG works too.
    ///
    /// Example: LOG_LEVEL=info,gladia_gateway::workers=debug
    #[arg(long, env, global = true, help_heading = "Logging")]
    pub log_level: Option<LogFilter>,
}

/// Where everything is kept.
#[derive(Args, Debug, Clone)]
#[command(next_help_heading = "Database")]
pub struct DatabaseSettings {
    /// The Postgres database that keeps everything. Secret.
    ///
    /// Example: DATABASE_URL=postgres://gateway:password@db.internal:5432/gateway
    #[arg(long, env, hide_env_values = true)]
    pub database_url: DatabaseUrl,

    /// How many connections this process may hold open (2 to 1000). One of them listens for wake-ups.
    ///
    /// All replicas together must stay below Postgres's `max_connections`.
    ///
    /// Example: DATABASE_POOL_SIZE=20
    #[arg(long, env, value_name = "CONNECTIONS", default_value = "20", value_parser = whole(2_u32..=1000))]
    pub database_pool_size: u32,
}

/// How Gladia is reached.
#[derive(Args, Debug, Clone)]
#[command(next_help_heading = "Gladia")]
pub struct GladiaArgs {
    /// The key of the Gladia account that transcribes. Secret.
    ///
    /// Example: GLADIA_API_KEY=12345678-90ab-cdef-1234-567890abcdef
    #[arg(long, env, hide_env_values = true, value_parser = header_secret)]
    pub gladia_api_key: SecretString,

    /// The base address of Gladia's API, or of the simulator.
    ///
    /// Example: GLADIA_API_URL=https://api.gladia.io
    #[arg(long, env, default_value = "https://api.gladia.io", value_parser = base_url)]
    pub gladia_api_url: Url,

    /// How many seconds Gladia may take to accept a transcription (1 to 60).
    ///
    /// One that takes longer may or may not have been accepted, and waits for its callback.
    ///
    /// Example: GLADIA_CREATE_TIMEOUT_SECONDS=30
    #[arg(
        long = "gladia-create-timeout-seconds",
        env = "GLADIA_CREATE_TIMEOUT_SECONDS",
        value_name = "SECONDS",
        default_value = "30",
        value_parser = seconds(1..=60),
    )]
    pub gladia_create_timeout: Duration,

    /// How many seconds the upload of one file to Gladia may take in all (1 to 86400).
    ///
    /// Example: GLADIA_UPLOAD_TIMEOUT_SECONDS=3600
    #[arg(
        long = "gladia-upload-timeout-seconds",
        env = "GLADIA_UPLOAD_TIMEOUT_SECONDS",
        value_name = "SECONDS",
        default_value = "3600",
        value_parser = seconds(1..=86_400),
    )]
    pub gladia_upload_timeout: Duration,
}

impl GladiaArgs {
    /// What the client is built from.
    #[must_use]
    pub fn settings(&self) -> GladiaSettings {
        GladiaSettings {
            api_url: self.gladia_api_url.clone(),
            api_key: self.gladia_api_key.clone(),
            create_timeout: self.gladia_create_timeout,
            upload_timeout: self.gladia_upload_timeout,
        }
    }
}

/// Where the gateway listens, and under which addresses others know it.
#[derive(Args, Debug, Clone)]
#[command(next_help_heading = "Addresses")]
pub struct AddressSettings {
    /// The base address under which Gladia reaches this gateway. Its callbacks go there.
    ///
    /// It must lead, through whatever stands between, to the path `/callbacks/gladia/` of any replica.
    ///
    /// Example: PUBLIC_URL=https://gateway.example.com
    #[arg(long, env, value_parser = base_url)]
    pub public_url: Url,

    /// The base address of the links in responses. Where it is not set, links follow each request's own host.
    ///
    /// Example: API_URL=https://transcription.internal
    #[arg(long, env, value_parser = base_url)]
    pub api_url: Option<Url>,

    /// The IP address and port that serve everything which has no address of its own below.
    ///
    /// Example: LISTEN_ADDR=0.0.0.0:8080
    #[arg(long, env, default_value = "127.0.0.1:8080")]
    pub listen_addr: SocketAddr,

    /// The IP address and port for Gladia's callbacks alone, so that only they need to be public.
    ///
    /// Example: CALLBACK_LISTEN_ADDR=0.0.0.0:8081
    #[arg(long, env)]
    pub callback_listen_addr: Option<SocketAddr>,

    /// The IP address and port for probes and metrics alone.
    ///
    /// Example: OPS_LISTEN_ADDR=0.0.0.0:9090
    #[arg(long, env)]
    pub ops_listen_addr: Option<SocketAddr>,
}

/// How Gladia's callbacks are recognised and bounded.
#[derive(Args, Debug, Clone)]
#[command(next_help_heading = "Callbacks")]
pub struct CallbackSettings {
    /// The secrets that sign the callback addresses given to Gladia: `name:secret`, separated by commas. Secret.
    ///
    /// The first signs, all verify. To rotate: add a new key everywhere, put it first, and remove the old one once no
    /// transcription is in flight that was sent with it. Each secret has at least 32 characters, for example those of
    /// `openssl rand -hex 32`, and no comma.
    ///
    /// Example: CALLBACK_KEYS=2026-01:0f1e2d3c4b5a69788796a5b4c3d2e1f00f1e2d3c4b5a69788796a5b4c3d2e1f0
    #[arg(long, env, hide_env_values = true)]
    pub callback_keys: CallbackKeys,

    /// The largest callback that is read, in bytes (1000 to 1000000000). A transcript of many hours must fit.
    ///
    /// Example: MAX_CALLBACK_BYTES=64000000
    #[arg(long, env, value_name = "BYTES", default_value = "64000000", value_parser = whole(1000_u64..=1_000_000_000))]
    pub max_callback_bytes: u64,
}

/// How much is sent to Gladia at once.
#[derive(Args, Debug, Clone)]
#[command(next_help_heading = "Dispatch")]
pub struct DispatchSettings {
    /// How many transcriptions may be in flight at Gladia (1 to 10000). Written into a new database only.
    ///
    /// From then on the database holds the number for all replicas: `limits set max-in-flight` changes it. Gladia allows
    /// 25 on paid plans and 3 on the free one.
    ///
    /// Example: MAX_IN_FLIGHT=25
    #[arg(long, env, value_name = "JOBS", default_value = "25", value_parser = max_in_flight())]
    pub max_in_flight: i32,
}

/// What requests may cost.
#[derive(Args, Debug, Clone)]
#[command(next_help_heading = "Requests")]
pub struct RequestSettings {
    /// The largest audio file that is accepted, in bytes (1 to 1000000000, which is Gladia's own limit).
    ///
    /// Example: MAX_UPLOAD_BYTES=500000000
    #[arg(long, env, value_name = "BYTES", default_value = "1000000000", value_parser = whole(1_u64..=1_000_000_000))]
    pub max_upload_bytes: u64,

    /// The largest JSON body, and the largest `options` part of an upload, in bytes (1000 to 100000000).
    ///
    /// Example: MAX_REQUEST_BYTES=1000000
    #[arg(long, env, value_name = "BYTES", default_value = "1000000", value_parser = whole(1000_usize..=100_000_000))]
    pub max_request_bytes: usize,

    /// How many seconds the body of a request other than an upload may take to arrive (1 to 3600).
    ///
    /// Example: REQUEST_TIMEOUT_SECONDS=30
    #[arg(
        long = "request-timeout-seconds",
        env = "REQUEST_TIMEOUT_SECONDS",
        value_name = "SECONDS",
        default_value = "30",
        value_parser = seconds(1..=3600),
    )]
    pub request_timeout: Duration,

    /// After how many seconds in which nothing arrives an upload is ended (1 to 3600).
    ///
    /// Example: UPLOAD_IDLE_TIMEOUT_SECONDS=30
    #[arg(
        long = "upload-idle-timeout-seconds",
        env = "UPLOAD_IDLE_TIMEOUT_SECONDS",
        value_name = "SECONDS",
        default_value = "30",
        value_parser = seconds(1..=3600),
    )]
    pub upload_idle_timeout: Duration,

    /// How many seconds requests and work under way get to finish after SIGTERM or Ctrl-C (0 to 3600).
    ///
    /// Keep it below the time after which whatever stops the gateway kills it.
    ///
    /// Example: SHUTDOWN_TIMEOUT_SECONDS=45
    #[arg(
        long = "shutdown-timeout-seconds",
        env = "SHUTDOWN_TIMEOUT_SECONDS",
        value_name = "SECONDS",
        default_value = "45",
        value_parser = seconds(0..=3600),
    )]
    pub shutdown_timeout: Duration,
}

/// Who gets in first.
#[derive(Args, Debug, Clone)]
#[command(next_help_heading = "Access")]
pub struct AccessSettings {
    /// An API key with the scope `admin` for the tenant `default`, stored at start. Secret.
    ///
    /// At least 24 visible ASCII characters. Once revoked, it stays revoked.
    ///
    /// Example: BOOTSTRAP_API_KEY=5d41402abc4b2a76b9719d911017c592
    #[arg(long, env, hide_env_values = true)]
    pub bootstrap_api_key: Option<ApiKey>,
}

/// Everything that `serve` needs.
#[derive(Args, Debug, Clone)]
pub struct ServeSettings {
    /// Leave the database's migrations to `migrate`. Without this they are applied at start, by one replica at a time.
    #[arg(long)]
    pub no_migrate: bool,
    /// Where everything is kept.
    #[command(flatten)]
    pub database: DatabaseSettings,
    /// How Gladia is reached.
    #[command(flatten)]
    pub gladia: GladiaArgs,
    /// Where the gateway listens.
    #[command(flatten)]
    pub addresses: AddressSettings,
    /// How callbacks are recognised.
    #[command(flatten)]
    pub callbacks: CallbackSettings,
    /// How much is sent at once.
    #[command(flatten)]
    pub dispatch: DispatchSettings,
    /// What requests may cost.
    #[command(flatten)]
    pub requests: RequestSettings,
    /// Who gets in first.
    #[command(flatten)]
    pub access: AccessSettings,
}

impl ServeSettings {
    /// Settings by the names of their environment variables, with defaults for the rest. Reads nothing of the real
    /// environment.
    ///
    /// # Errors
    /// Where one is missing or wrong.
    pub fn from_values<'a>(
        values: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self, Stop> {
        let command = Self::augment_args(Command::new("serve")).no_binary_name(true);
        let environment = Environment::from_values(values);
        let matches = parse(command, std::iter::empty::<OsString>(), &environment)?;
        Ok(Self::from_arg_matches(&matches)?)
    }
}
