//! The guard against private networks: callers name the addresses that the gateway calls, and the gateway stands inside its
//! company's network.
//!
//! An address may be called if it is public, or in a network that the operator allows. Forms that embed an IPv4 address are
//! judged by it where their standard says where it is, and are refused otherwise; an allowed network covers the forms that
//! it names itself, no others. Where a name has several addresses, one that is refused makes the whole refused: which one
//! is dialled depends on who answers first, and a mixture is what an attack looks like. The ports are limited, too, except
//! in allowed networks.
//!
//! [`Guard::judge_url`] tells callers early what is certain to be refused. What protects is [`Guard::judge`]: it is asked at
//! each try about the addresses that the host's name has right then, and those very addresses are dialled.

mod networks;
#[cfg(test)]
mod tests;

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::Arc,
};

use ipnet::IpNet;
use url::{Host, Url};

use self::networks::is_public;

/// What `localhost` stands for (RFC 6761).
const LOOPBACK: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::LOCALHOST),
    IpAddr::V6(Ipv6Addr::LOCALHOST),
];

/// Tells which addresses may be called. Clones share what they know.
#[derive(Debug, Clone)]
pub struct Guard {
    networks: Arc<[IpNet]>,
    ports: Ports,
}

/// The ports that may be called, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ports(Arc<[u16]>);

/// Why an address is not called. Reads on after what names it: "must …".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It is no address of HTTP.
    #[error("must be an absolute http or https URL")]
    Scheme,
    /// It leads, or may lead, into a network that is not called. Does not say where it leads: names inside of a company
    /// are none of its callers' business.
    #[error(
        "must lead to public addresses only; others are called where WEBHOOK_ALLOWED_NETWORKS holds them"
    )]
    Address,
    /// Its port is not called.
    #[error("must have one of the ports {0}")]
    Port(Ports),
}

impl fmt::Display for Ports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, port) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { ", " };
            write!(f, "{separator}{port}")?;
        }
        Ok(())
    }
}

impl Guard {
    /// Makes one that also allows these networks, with any port, and these ports elsewhere.
    #[must_use]
    pub fn new(networks: &[IpNet], ports: &[u16]) -> Self {
        let mut ports = ports.to_vec();
        ports.sort_unstable();
        ports.dedup();
        Self {
            networks: networks.into(),
            ports: Ports(ports.into()),
        }
    }

    /// Judges what a URL says by itself, so that callers learn of it at once. A name is judged when it is called.
    ///
    /// # Errors
    /// Where it is certain to be refused.
    pub fn judge_url(&self, url: &Url) -> Result<(), Refusal> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(Refusal::Scheme);
        }
        let (Some(host), Some(port)) = (url.host(), url.port_or_known_default()) else {
            return Err(Refusal::Scheme);
        };
        match host {
            Host::Ipv4(address) => self.judge(&[address.into()], port),
            Host::Ipv6(address) => self.judge(&[address.into()], port),
            Host::Domain(name) if is_localhost(name) => {
                let either = LOOPBACK.map(|address| self.judge(&[address], port));
                either.into_iter().reduce(Result::or).unwrap_or(Ok(()))
            }
            // It may be in an allowed network.
            Host::Domain(_) if !self.networks.is_empty() => Ok(()),
            Host::Domain(_) => self.judge_port(port),
        }
    }

    /// Judges the addresses of a host, all of them.
    ///
    /// # Errors
    /// Where they, or the port there, must not be called.
    pub fn judge(&self, addresses: &[IpAddr], port: u16) -> Result<(), Refusal> {
        let is_allowed = |address| {
            let mut networks = self.networks.iter();
            networks.any(|network| network.contains(address))
        };
        if addresses.iter().all(is_allowed) {
            return Ok(());
        }
        if !addresses
            .iter()
            .all(|address| is_allowed(address) || is_public(*address))
        {
            return Err(Refusal::Address);
        }
        self.judge_port(port)
    }

    fn judge_port(&self, port: u16) -> Result<(), Refusal> {
        if self.ports.0.contains(&port) {
            Ok(())
        } else {
            Err(Refusal::Port(self.ports.clone()))
        }
    }
}

fn is_localhost(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    name == "localhost" || name.ends_with(".localhost")
}
