//! No address that is not public is called, whatever it is written like and whatever it is embedded in.

use ipnet::{Ipv4Net, Ipv6Net};
use proptest::{prelude::*, sample::select};

use super::{
    networks::{GLOBAL_UNICAST, SPECIAL_V4, SPECIAL_V6},
    *,
};

const PORTS: [u16; 2] = [80, 443];

fn strict() -> Guard {
    Guard::new(&[], &PORTS)
}

fn allowing(networks: &[&str]) -> Guard {
    let networks: Vec<IpNet> = networks.iter().map(|text| text.parse().unwrap()).collect();
    Guard::new(&networks, &PORTS)
}

fn judge(guard: &Guard, address: impl Into<IpAddr>) -> Result<(), Refusal> {
    guard.judge(&[address.into()], 443)
}

fn judge_url(guard: &Guard, url: &str) -> Result<(), Refusal> {
    guard.judge_url(&url.parse().unwrap())
}

/// What an address is, by the standard library's own notions and the plain numbers of the registry: another way to say what
/// the tables say.
fn is_special(address: Ipv4Addr) -> bool {
    let known = address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_multicast()
        || address.is_broadcast()
        || address.is_documentation()
        || address.is_unspecified();
    known
        || matches!(
            address.octets(),
            [0 | 240.., ..]
                | [100, 64..=127, ..]
                | [192, 0, 0, _]
                | [192, 31, 196, _]
                | [192, 52, 193, _]
                | [192, 88, 99, _]
                | [192, 175, 48, _]
                | [198, 18 | 19, ..]
                | [168, 63, 129, 16]
        )
}

/// Every way to write an IPv4 address as one of IPv6 that there is a standard for.
fn embeddings(address: Ipv4Addr, random: [u16; 4]) -> Vec<Ipv6Addr> {
    let bits = address.to_bits();
    let (high, low) = ((bits >> 16) as u16, (bits & 0xffff) as u16);
    let [a, b, c, d] = random;
    vec![
        // Mapped, compatible, translated.
        address.to_ipv6_mapped(),
        Ipv6Addr::new(0, 0, 0, 0, 0, 0, high, low),
        Ipv6Addr::new(0, 0, 0, 0, 0xffff, 0, high, low),
        // NAT64: well known, local.
        Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, high, low),
        Ipv6Addr::new(0x64, 0xff9b, 1, a, b, c, high, low),
        // 6to4.
        Ipv6Addr::new(0x2002, high, low, a, b, c, d, a),
        // Teredo, as the server and as the client.
        Ipv6Addr::new(0x2001, 0, high, low, a, b, c, d),
        Ipv6Addr::new(0x2001, 0, a, b, c, d, !high, !low),
        // ISATAP below a public prefix.
        Ipv6Addr::new(0x2a00, a, b, c, 0, 0x5efe, high, low),
        Ipv6Addr::new(0x2a00, a, b, c, 0x200, 0x5efe, high, low),
    ]
}

/// An address in one of the networks.
fn in_any_v4(networks: &'static [Ipv4Net]) -> impl Strategy<Value = Ipv4Addr> {
    (select(networks), any::<u32>()).prop_map(|(network, random)| {
        let host = random & network.hostmask().to_bits();
        Ipv4Addr::from_bits(network.network().to_bits() | host)
    })
}

fn in_v6(network: Ipv6Net, random: u128) -> Ipv6Addr {
    Ipv6Addr::from_bits(network.network().to_bits() | random & network.hostmask().to_bits())
}

/// A number as C's `inet_aton` reads it.
fn spelled(number: u32, base: u8) -> String {
    match base {
        0 => number.to_string(),
        1 => format!("0{number:o}"),
        2 => format!("0x{number:x}"),
        _ => format!("0X000{number:X}"),
    }
}

proptest! {
    #[test]
    fn a_special_address_is_refused_in_every_embedding(
        address in in_any_v4(&SPECIAL_V4),
        random in any::<[u16; 4]>(),
    ) {
        prop_assert_eq!(judge(&strict(), address), Err(Refusal::Address));
        for embedding in embeddings(address, random) {
            prop_assert_eq!(judge(&strict(), embedding), Err(Refusal::Address), "{}", embedding);
            let url = format!("http://[{embedding}]/");
            prop_assert_eq!(judge_url(&strict(), &url), Err(Refusal::Address), "{}", url);
        }
    }

    #[test]
    fn every_other_ipv4_address_is_called(bits in any::<u32>()) {
        let address = Ipv4Addr::from_bits(bits);
        let verdict = judge(&strict(), address);
        prop_assert_eq!(verdict.is_ok(), !is_special(address), "{}", address);
    }

    #[test]
    fn only_mapped_nat64_6to4_and_isatap_forms_of_public_addresses_are_called(
        bits in any::<u32>(),
        random in any::<[u16; 4]>(),
    ) {
        let address = Ipv4Addr::from_bits(bits);
        prop_assume!(!is_special(address));
        let called = embeddings(address, random).into_iter().map(|form| judge(&strict(), form).is_ok());
        let called: Vec<_> = called.collect();
        let yes_no = [true, false, false, true, false, true, false, false, true, true];
        prop_assert_eq!(called, yes_no);
    }

    #[test]
    fn ipv6_is_called_in_global_unicast_alone(random in any::<u128>()) {
        let anywhere = Ipv6Addr::from_bits(random);
        prop_assume!(!GLOBAL_UNICAST.contains(&anywhere));
        prop_assert_eq!(judge(&strict(), anywhere), Err(Refusal::Address));

        // The registries give out nothing of 2d00::/8 to 2fff::/8 for special purposes.
        let public = in_v6("2d00::/8".parse().unwrap(), random);
        prop_assume!(public.segments()[5] != 0x5efe);
        prop_assert_eq!(judge(&strict(), public), Ok(()));
    }

    #[test]
    fn special_ipv6_networks_are_refused_whole(network in select(&SPECIAL_V6), random in any::<u128>()) {
        prop_assert_eq!(judge(&strict(), in_v6(network, random)), Err(Refusal::Address));
    }

    #[test]
    fn one_refused_address_among_public_ones_refuses_them_all(
        special in in_any_v4(&SPECIAL_V4),
        at in 0_usize..4,
    ) {
        let mut addresses = vec![IpAddr::from([9, 9, 9, 9]), [1, 1, 1, 1].into(), [8, 8, 8, 8].into()];
        prop_assert_eq!(strict().judge(&addresses, 443), Ok(()));
        addresses.insert(at, special.into());
        prop_assert_eq!(strict().judge(&addresses, 443), Err(Refusal::Address));
    }

    #[test]
    fn every_spelling_of_an_ipv4_address_is_that_address(
        octets in any::<[u8; 4]>(),
        parts in 1_usize..=4,
        bases in any::<[u8; 4]>(),
        dot in any::<bool>(),
    ) {
        // All parts are octets but for the last, which holds the rest.
        let address = Ipv4Addr::from(octets);
        let rest = address.to_bits() & (u32::MAX >> (8 * (parts - 1)));
        let mut texts: Vec<String> = (0..parts - 1)
            .map(|index| spelled(octets[index].into(), bases[index] % 4))
            .collect();
        texts.push(spelled(rest, bases[3] % 4));
        let url = format!("http://{}{}/", texts.join("."), if dot { "." } else { "" });
        let parsed: Url = url.parse().unwrap();
        prop_assert_eq!(parsed.host(), Some(Host::Ipv4(address)), "{}", url);
        prop_assert_eq!(strict().judge_url(&parsed).is_ok(), !is_special(address), "{}", url);
    }
}

#[test]
fn networks_end_where_they_should() {
    for network in SPECIAL_V4 {
        let (first, last) = (network.network(), network.broadcast());
        assert!(is_special(first) && is_special(last), "{network}");
        assert_eq!(judge(&strict(), first), Err(Refusal::Address), "{first}");
        assert_eq!(judge(&strict(), last), Err(Refusal::Address), "{last}");
        let beside = [
            first.to_bits().checked_sub(1),
            last.to_bits().checked_add(1),
        ];
        for address in beside.into_iter().flatten().map(Ipv4Addr::from_bits) {
            let verdict = judge(&strict(), address);
            assert_eq!(verdict.is_ok(), !is_special(address), "{address}");
        }
    }
    for (last, first) in [
        ("2000:ffff:ffff::1", "2001:200::"),
        ("2001:db7:ffff::1", "2001:db9::"),
        ("2620:4f:7fff::1", "2620:4f:8001::"),
        ("3ffe:ffff::1", "3fff:1000::"),
    ] {
        for address in [last, first] {
            let address: Ipv6Addr = address.parse().unwrap();
            assert_eq!(judge(&strict(), address), Ok(()), "{address}");
        }
    }
}

#[test]
fn well_known_targets_of_attacks_are_refused_in_whatever_way_they_are_written() {
    for url in [
        "http://127.0.0.1/",
        "http://127.1/",
        "http://127.0.1/",
        "http://2130706433/",
        "http://0x7f000001/",
        "http://0x7f.1/",
        "http://0177.0.0.01/",
        "http://017700000001/",
        "http://127.0.0.1./",
        "http://%31%32%37.0.0.1/",
        "http://１２７.０.０.１/",
        "http://127。0。0。1/",
        "http://①②⑦.0.0.1/",
        "http:127.0.0.1/",
        "http:\\\\127.0.0.1\\",
        "http://\t127.0.0.\n1/",
        "http://8.8.8.8@127.0.0.1/",
        "http://127.0.0.1#@8.8.8.8/",
        "http://127.0.0.1:443/",
        "http://0/",
        "http://0.0.0.0/",
        "http://255.255.255.255/",
        "http://[::]/",
        "http://[::1]/",
        "http://[0:0:0:0:0:0:0:1]/",
        "http://[::127.0.0.1]/",
        "http://[::ffff:127.0.0.1]/",
        "http://[::ffff:7f00:1]/",
        "http://[0:0:0:0:0:ffff:127.0.0.1]/",
        "http://[64:ff9b::127.0.0.1]/",
        "http://[64:ff9b:1::8.8.8.8]/",
        "http://[2002:7f00:1::]/",
        "http://[2001:0:808:808::1]/",
        "http://[fe80::1]/",
        "http://[fec0::1]/",
        "http://[fc00::1]/",
        "http://[ff02::1]/",
        "http://[100::1]/",
        "http://[5f00::1]/",
        "http://[2a00:1450::5efe:10.0.0.1]/",
        // Metadata: AWS and most others, ECS, Alibaba, Oracle, Azure, AWS and Google by IPv6.
        "http://169.254.169.254/latest/meta-data/",
        "http://[::ffff:a9fe:a9fe]/",
        "http://169.254.170.2/",
        "http://100.100.100.200/",
        "http://192.0.0.192/",
        "http://168.63.129.16/",
        "http://[fd00:ec2::254]/",
        "http://[fd20:ce::254]/",
        "http://localhost/",
        "http://LocalHost./",
        "http://metrics.localhost/",
    ] {
        assert_eq!(judge_url(&strict(), url), Err(Refusal::Address), "{url}");
    }
}

#[test]
fn what_is_no_address_is_no_url() {
    for text in [
        "http://[fe80::1%25eth0]/",
        "http://[fe80::1%eth0]/",
        "http://256.0.0.1/",
        "http://1.2.3.4.5/",
        "http://4294967296/",
        "http://0x100000000/",
        "http://127.0.0.0x/x",
        "http://[::1",
        "http://[::ffff:127.1]/",
        "http:///",
    ] {
        let parsed = Url::parse(text);
        let called = parsed.is_ok_and(|url| strict().judge_url(&url).is_ok());
        assert!(!called, "{text}");
    }
}

#[test]
fn other_schemes_are_refused() {
    for url in [
        "ftp://example.com/",
        "file:///etc/passwd",
        "gopher://127.0.0.1:6379/",
        "data:text/plain,a",
        "ws://example.com/",
    ] {
        assert_eq!(judge_url(&strict(), url), Err(Refusal::Scheme), "{url}");
    }
}

#[test]
fn names_are_judged_by_their_addresses_when_they_are_called() {
    for url in [
        "https://example.com/hook?x=1",
        "http://gateway.internal/",
        "https://localhost.example.com/",
        "https://notlocalhost/",
    ] {
        assert_eq!(judge_url(&strict(), url), Ok(()), "{url}");
    }
}

#[test]
fn an_allowed_network_is_called_and_nothing_beside_it() {
    let guard = allowing(&["10.1.0.0/16", "fd12:3456:789a::/48"]);
    for (address, is_called) in [
        ("10.1.2.3", true),
        ("10.2.0.1", false),
        ("127.0.0.1", false),
        ("fd12:3456:789a::1", true),
        ("fd12:3456:789b::1", false),
        ("8.8.8.8", true),
        // Embedded forms of an allowed network are not in it.
        ("::ffff:10.1.2.3", false),
        ("64:ff9b::10.1.2.3", false),
        ("2002:a01:203::1", false),
    ] {
        let address: IpAddr = address.parse().unwrap();
        assert_eq!(judge(&guard, address).is_ok(), is_called, "{address}");
    }
    let mapped = allowing(&["::ffff:10.1.0.0/112"]);
    assert_eq!(judge_url(&mapped, "http://[::ffff:10.1.2.3]/"), Ok(()));
    assert!(judge_url(&mapped, "http://10.1.2.3/").is_err());
}

#[test]
fn localhost_is_not_refused_early_where_either_of_its_addresses_is_allowed() {
    for network in ["127.0.0.0/8", "::1/128"] {
        let guard = allowing(&[network]);
        assert_eq!(judge_url(&guard, "http://localhost:9000/"), Ok(()));
    }
    let elsewhere = allowing(&["10.1.0.0/16"]);
    let verdict = judge_url(&elsewhere, "http://localhost:9000/");
    assert_eq!(verdict, Err(Refusal::Address));
}

#[test]
fn ports_are_limited_but_in_allowed_networks() {
    let port_refused = |verdict: Result<(), Refusal>| matches!(verdict, Err(Refusal::Port(_)));
    for url in ["https://8.8.8.8/", "http://8.8.8.8/", "http://8.8.8.8:443/"] {
        assert_eq!(judge_url(&strict(), url), Ok(()), "{url}");
    }
    for url in [
        "http://8.8.8.8:22/",
        "https://[2a00:1450::1]:6379/",
        "https://example.com:25/",
    ] {
        assert!(port_refused(judge_url(&strict(), url)), "{url}");
    }
    let message = judge_url(&strict(), "http://8.8.8.8:22/").unwrap_err();
    assert_eq!(message.to_string(), "must have one of the ports 80, 443");

    let guard = allowing(&["10.1.0.0/16"]);
    assert_eq!(judge_url(&guard, "http://10.1.2.3:9000/"), Ok(()));
    assert!(port_refused(judge_url(&guard, "http://8.8.8.8:9000/")));
    // A name may lead there, which shows when it is called.
    assert_eq!(judge_url(&guard, "http://hooks.internal:9000/"), Ok(()));
    let inside = IpAddr::from([10, 1, 2, 3]);
    let outside = IpAddr::from([8, 8, 8, 8]);
    assert_eq!(guard.judge(&[inside, inside], 9000), Ok(()));
    assert!(port_refused(guard.judge(&[inside, outside], 9000)));
    assert_eq!(guard.judge(&[inside, outside], 443), Ok(()));
}
