//! Whom outgoing webhooks may reach.

use clap::Args;
use ipnet::IpNet;

use super::values::{network, whole};

/// Whom the gateway may call when callers want to be told.
#[derive(Args, Debug, Clone)]
#[command(next_help_heading = "Outgoing webhooks")]
pub struct WebhookSettings {
    /// The networks that webhooks and callbacks may reach besides public addresses, separated by commas.
    ///
    /// Callers choose where they are called, so everything else that is not public is refused: private networks, the
    /// machine itself, a cloud's metadata. In these networks any port may be called. They need no entry for public
    /// addresses.
    ///
    /// Example: WEBHOOK_ALLOWED_NETWORKS=10.1.0.0/16,fd12:3456:789a::/48
    #[arg(long, env, value_name = "NETWORKS", value_delimiter = ',', value_parser = network)]
    pub webhook_allowed_networks: Vec<IpNet>,

    /// The ports that webhooks and callbacks may reach at public addresses, separated by commas.
    ///
    /// Example: WEBHOOK_ALLOWED_PORTS=443,8443
    #[arg(
        long,
        env,
        value_name = "PORTS",
        value_delimiter = ',',
        default_value = "80,443,8080,8443",
        value_parser = whole(1_u16..=65_535),
    )]
    pub webhook_allowed_ports: Vec<u16>,
}
