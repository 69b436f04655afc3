//! Which addresses are public.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{Ipv4Net, Ipv6Net};

/// What is not public: IANA's IPv4 Special-Purpose Address Registry, multicast, class E, and one address of a cloud.
pub(super) const SPECIAL_V4: [Ipv4Net; 20] = [
    v4([0, 0, 0, 0], 8),
    v4([10, 0, 0, 0], 8),
    // Carriers' NAT. Alibaba Cloud's metadata is in it.
    v4([100, 64, 0, 0], 10),
    v4([127, 0, 0, 0], 8),
    // Link-local. Most clouds' metadata is in it.
    v4([169, 254, 0, 0], 16),
    v4([172, 16, 0, 0], 12),
    // Azure's agent on every virtual machine: it looks public and is not.
    v4([168, 63, 129, 16], 32),
    // IETF protocols. Oracle Cloud's metadata is in it.
    v4([192, 0, 0, 0], 24),
    v4([192, 0, 2, 0], 24),
    v4([192, 31, 196, 0], 24),
    v4([192, 52, 193, 0], 24),
    v4([192, 88, 99, 0], 24),
    v4([192, 168, 0, 0], 16),
    v4([192, 175, 48, 0], 24),
    v4([198, 18, 0, 0], 15),
    v4([198, 51, 100, 0], 24),
    v4([203, 0, 113, 0], 24),
    v4([224, 0, 0, 0], 4),
    v4([240, 0, 0, 0], 4),
    // In class E, and named for those who look for it.
    v4([255, 255, 255, 255], 32),
];

/// Where public IPv6 addresses are. Outside of it are loopback, unique-local, link-local, site-local, multicast, discard and
/// whatever is not assigned yet.
pub(super) const GLOBAL_UNICAST: Ipv6Net = v6([0x2000, 0], 3);

/// What is not public in there: IANA's IPv6 Special-Purpose Address Registry.
pub(super) const SPECIAL_V6: [Ipv6Net; 4] = [
    // IETF protocols: Teredo, benchmarking, ORCHID and others.
    v6([0x2001, 0], 23),
    v6([0x2001, 0xdb8], 32),
    v6([0x3fff, 0], 20),
    // AS112, a sink for questions about private addresses.
    Ipv6Net::new_assert(Ipv6Addr::new(0x2620, 0x4f, 0x8000, 0, 0, 0, 0, 0), 48),
];

const fn v4([a, b, c, d]: [u8; 4], prefix_len: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), prefix_len)
}

const fn v6([a, b]: [u16; 2], prefix_len: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::new(a, b, 0, 0, 0, 0, 0, 0), prefix_len)
}

/// Whether an address is one of the public internet.
pub(super) fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    !SPECIAL_V4.iter().any(|network| network.contains(&address))
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    match address.segments() {
        // Mapped (RFC 4291) and NAT64 (RFC 6052) are IPv4 in another spelling.
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
            is_public_v4(join(high, low))
        }
        // The router of a 6to4 site (RFC 3056).
        [0x2002, high, low, ..] if !is_public_v4(join(high, low)) => false,
        // The host at the end of an ISATAP tunnel (RFC 5214); the first two bits that may differ tell how far it is known.
        [_, _, _, _, tag, 0x5efe, high, low]
            if tag & 0xfcff == 0 && !is_public_v4(join(high, low)) =>
        {
            false
        }
        _ => {
            GLOBAL_UNICAST.contains(&address)
                && !SPECIAL_V6.iter().any(|network| network.contains(&address))
        }
    }
}

/// The IPv4 address in two segments of an IPv6 address.
fn join(high: u16, low: u16) -> Ipv4Addr {
    Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low))
}
