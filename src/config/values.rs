//! The types that settings are parsed into. What a parser refuses reads on after the setting's name: "must be …".

use std::{fmt::Display, net::IpAddr, ops::RangeInclusive, str::FromStr, time::Duration};

use ipnet::IpNet;
use secrecy::SecretString;
use url::Url;

use crate::domain::searchable::MOST_KEY_BYTES;

/// A base address of HTTP: paths are appended to it, so it carries nothing after its own.
///
/// # Errors
/// What is wrong with it.
pub fn base_url(text: &str) -> Result<Url, String> {
    let url: Url = text
        .parse()
        .map_err(|error| format!("must be an http:// or https:// address ({error})"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err("must begin with http:// or https://".into());
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("must have neither a query nor a fragment".into());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("must not hold a user name or a password".into());
    }
    Ok(url)
}

/// The base address of Gladia's API. Whatever is below it begins with `/v2`.
///
/// # Errors
/// What is wrong with it.
pub(super) fn gladia_url(text: &str) -> Result<Url, String> {
    let url = base_url(text)?;
    let last = url.path_segments().and_then(|parts| {
        let mut parts = parts.rev().skip_while(|part| part.is_empty());
        parts.next()
    });
    if last.is_some_and(|last| last.eq_ignore_ascii_case("v2")) {
        return Err("must be the address without /v2, which is added to it".into());
    }
    Ok(url)
}

/// A secret that travels in an HTTP header.
///
/// # Errors
/// What is wrong with it.
fn header_secret(text: &str) -> Result<SecretString, &'static str> {
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic()) {
        Ok(text.into())
    } else {
        Err("must be visible ASCII characters without spaces")
    }
}

/// What was ever published as an example of a secret, by this project or by those whose form it has: whoever knows the one knows
/// the other.
const PUBLISHED: [&str; 4] = [
    "0f1e2d3c4b5a69788796a5b4c3d2e1f0",
    "5d41402abc4b2a76b9719d911017c592",
    "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    "12345678-90ab-cdef-1234-567890abcdef",
];

/// A secret that is not one of the published examples. `source` says where one's own comes from.
pub(super) fn own_secret<T>(
    source: &'static str,
) -> impl Fn(&str) -> Result<T, String> + Clone + Send + Sync + 'static
where
    T: FromStr<Err: Display>,
{
    move |text| {
        refuse_published(text, source)?;
        text.parse().map_err(|error: T::Err| error.to_string())
    }
}

/// The key of a Gladia account, which is not the example of one either.
///
/// # Errors
/// What is wrong with it.
pub fn gladia_key(text: &str) -> Result<SecretString, String> {
    refuse_published(text, "Gladia's dashboard shows the right one")?;
    Ok(header_secret(text)?)
}

fn refuse_published(text: &str, source: &str) -> Result<(), String> {
    if PUBLISHED.iter().any(|published| text.contains(published)) {
        return Err(format!(
            "must not hold a secret that is published as an example, as it does: {source}"
        ));
    }
    Ok(())
}

/// Where random secrets come from.
pub(super) const RANDOM: &str = "`openssl rand -hex 32` makes one";

/// A key of `custom_metadata`.
///
/// # Errors
/// What is wrong with it.
pub(super) fn metadata_key(text: &str) -> Result<String, String> {
    let text = text.trim();
    if text.is_empty() || text.len() > MOST_KEY_BYTES {
        return Err(format!(
            "must be keys of 1 to {MOST_KEY_BYTES} bytes, separated by commas"
        ));
    }
    Ok(text.to_owned())
}

/// A network in CIDR notation, or a single address.
pub(super) fn network(text: &str) -> Result<IpNet, String> {
    let network: IpNet = match text.trim().parse() {
        Ok(network) => network,
        Err(_) => text.trim().parse().map(IpAddr::into).map_err(
            |_| "must be networks such as 10.1.0.0/16 or fd12:3456:789a::/48, separated by commas",
        )?,
    };
    // Either the address or the length is not what was meant.
    if network.addr() != network.network() {
        return Err(format!(
            "must be networks: {network} is an address in {}",
            network.trunc()
        ));
    }
    Ok(network)
}

/// A whole number within bounds.
pub(super) fn whole<T>(
    range: RangeInclusive<T>,
) -> impl Fn(&str) -> Result<T, String> + Clone + Send + Sync + 'static
where
    T: FromStr + PartialOrd + Display + Clone + Send + Sync + 'static,
{
    move |text| {
        text.parse()
            .ok()
            .filter(|number| range.contains(number))
            .ok_or_else(|| {
                format!(
                    "must be a whole number from {} to {}",
                    range.start(),
                    range.end()
                )
            })
    }
}

/// How many slots there may be: far more than any account has, and few enough that every one is a row.
const MOST_SLOTS: i32 = 10_000;

/// The cap of jobs in flight that a new database begins with.
pub(super) fn max_in_flight() -> impl Fn(&str) -> Result<i32, String> + Clone + Send + Sync + 'static
{
    whole(1..=MOST_SLOTS)
}

/// The cap as an operator sets it. 0 holds everything back.
pub fn cap() -> impl Fn(&str) -> Result<i32, String> + Clone + Send + Sync + 'static {
    whole(0..=MOST_SLOTS)
}

/// Whole seconds within bounds.
pub(super) fn seconds(
    range: RangeInclusive<u64>,
) -> impl Fn(&str) -> Result<Duration, String> + Clone + Send + Sync + 'static {
    let whole = whole(range);
    move |text| whole(text).map(Duration::from_secs)
}
