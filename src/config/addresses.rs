//! Where the gateway listens, and under which addresses others know it.

use std::net::SocketAddr;

use clap::Args;
use url::Url;

use super::values::base_url;

/// Where the gateway listens, and under which addresses others know it.
#[derive(Args, Debug, Clone)]
#[command(next_help_heading = "Addresses")]
pub struct AddressSettings {
    /// The base address under which Gladia reaches this gateway. Its callbacks go there.
    ///
    /// It must lead, through whatever stands between, to the path `/callbacks/gladia/` of any replica. With COMPLETION=poll
    /// there are no callbacks, and it may be left out.
    ///
    /// Example: PUBLIC_URL=https://gateway.example.com
    #[arg(long, env, value_parser = base_url, required = true)]
    pub public_url: Option<Url>,

    /// The base address of links. Where it is not set, those of `/v1`, webhooks and streams are paths
    /// without a host, and those of `/v2` begin with the host that was asked.
    ///
    /// Example: API_URL=https://transcription.internal
    #[arg(long, env, value_parser = base_url)]
    pub api_url: Option<Url>,

    /// The IP address and port that serve everything which has no address of its own below.
    ///
    /// Example: LISTEN_ADDR=0.0.0.0:8080
    #[arg(long, env, default_value = "127.0.0.1:8080")]
    pub listen_addr: SocketAddr,

    /// The IP address and port for Gladia's callbacks and account webhooks alone, so that only they need to be public.
    /// `LISTEN_ADDR` then does not serve them.
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
