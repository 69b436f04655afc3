//! The HTTP clients that fetch audio and send callbacks and webhooks, kept away from private addresses unless they are allowed.

use std::{
    net::{IpAddr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use reqwest::{
    Client, ClientBuilder,
    dns::{Addrs, Name, Resolve, Resolving},
    redirect::Policy,
};
use url::{Host, Url};

/// What Gladia's own HTTP client calls itself.
pub(super) const CALLBACK_USER_AGENT: &str = "axios/1.18.1";

/// How long whoever is called may take to answer.
const TIMEOUT: Duration = Duration::from_mins(1);

/// The same of whoever gets the account's webhooks: Svix's bound.
pub(super) const WEBHOOK_TIMEOUT: Duration = Duration::from_secs(15);

/// Builds the client for audio. Names are checked where they are resolved, literal addresses by [`refuses`].
pub(super) fn fetcher(allow_private: bool) -> reqwest::Result<Client> {
    let builder = builder(allow_private);
    if allow_private {
        return builder.build();
    }
    builder
        .redirect(Policy::custom(|attempt| {
            if attempt.previous().len() > 5 || refuses(attempt.url()) {
                attempt.error("the redirect leads to an address that is not public")
            } else {
                attempt.follow()
            }
        }))
        .build()
}

/// Builds the client for callbacks and webhooks. Whoever is called has to answer with 2xx, and not with another address.
pub(super) fn sender(allow_private: bool) -> reqwest::Result<Client> {
    builder(allow_private).redirect(Policy::none()).build()
}

fn builder(allow_private: bool) -> ClientBuilder {
    let builder = Client::builder()
        .no_proxy()
        .connect_timeout(Duration::from_secs(5))
        .timeout(TIMEOUT)
        .pool_max_idle_per_host(64);
    if allow_private {
        builder
    } else {
        builder.dns_resolver(PublicOnly)
    }
}

/// Whether the URL names a private address outright.
pub(super) fn refuses(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(ip)) => is_private(IpAddr::V4(ip)),
        Some(Host::Ipv6(ip)) => is_private(IpAddr::V6(ip)),
        Some(Host::Domain(_)) => false,
        None => true,
    }
}

fn is_private(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => {
            ip.is_private()
                || ip.is_loopback()
                || ip.is_link_local()
                || ip.is_unspecified()
                || ip.is_broadcast()
                || ip.is_multicast()
        }
        IpAddr::V6(ip) => mapped(ip).map_or_else(
            || {
                ip.is_loopback()
                    || ip.is_unspecified()
                    || ip.is_unique_local()
                    || ip.is_unicast_link_local()
                    || ip.is_multicast()
            },
            |ip| is_private(IpAddr::V4(ip)),
        ),
    }
}

fn mapped(ip: Ipv6Addr) -> Option<std::net::Ipv4Addr> {
    ip.to_ipv4_mapped()
}

struct PublicOnly;

impl Resolve for PublicOnly {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0))
                .await?
                .filter(|address| !is_private(address.ip()))
                .collect();
            if found.is_empty() {
                return Err("the host has no public address".into());
            }
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}
