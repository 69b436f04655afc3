//! Audio that Gladia is to fetch, of which its URL is all that is known.

use std::net::IpAddr;

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use url::{Host, Url};

use super::{format_warning, in_words, other_plan};
use crate::domain::{
    audio_url::AudioUrl,
    host_doubt::doubt_of_host,
    options::{Warning, WarningCode},
    plan::Plan,
    presigned_url,
};

/// How long after its acceptance a job may still need its URL, if it waits as long as one that is next in line can.
///
/// A slot is held for two hours and a quarter at most, so the next job has one by then; and Gladia works on what it has
/// accepted for up to two hours (docs.gladia.io, retries), in which it may fetch the audio again. A longer line takes longer,
/// for which there is no bound: warnings advise [`ADVISED_VALIDITY`].
const LONGEST_WAIT: TimeDelta = TimeDelta::minutes((2 * 60 + 15) + 2 * 60);

/// How long a URL should be valid.
const ADVISED_VALIDITY: &str = "a day or longer";

/// How long class-validator's `isURL` lets a URL be, unless it is told otherwise.
const MOST_CHARACTERS: usize = 2084;

/// Judges audio that Gladia is to fetch. `field` is where its URL stands in the request.
#[must_use]
pub fn review_link(
    field: &str,
    audio_url: &AudioUrl,
    plan: Plan,
    now: DateTime<Utc>,
) -> Vec<Warning> {
    let url = audio_url.url();
    [
        is_out_of_reach(url)
            .then(|| reach_warning(field))
            .or_else(|| host_warning(field, url)),
        (audio_url.as_str().encode_utf16().count() > MOST_CHARACTERS)
            .then(|| length_warning(field)),
        expiry_warning(field, url, now),
        is_youtube(&audio_url.host()).then(|| youtube_warning(field, plan)),
        extension(url).and_then(|extension| format_warning(field, &extension)),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Whether the host is an address from which Gladia is known to fetch nothing (observed 2026-09-16: loopback, link-local and
/// private addresses are filtered), or a name of one. Where other names lead is not looked up.
fn is_out_of_reach(url: &Url) -> bool {
    let address = match url.host() {
        Some(Host::Domain(name)) => {
            let name = name.trim_end_matches('.');
            return name == "localhost" || name.ends_with(".localhost");
        }
        Some(Host::Ipv4(address)) => IpAddr::V4(address),
        Some(Host::Ipv6(address)) => IpAddr::V6(address),
        None => return false,
    };
    // An IPv4 address may be written as an IPv6 address.
    match address.to_canonical() {
        IpAddr::V4(address) => {
            address.is_loopback()
                || address.is_private()
                || address.is_link_local()
                || address.is_unspecified()
        }
        IpAddr::V6(address) => {
            address.is_loopback()
                || address.is_unique_local()
                || address.is_unicast_link_local()
                || address.is_unspecified()
        }
    }
}

fn reach_warning(field: &str) -> Warning {
    Warning::at(
        &[field],
        WarningCode::UrlOutOfReach,
        "Gladia fetches nothing from private, link-local and loopback addresses, so it is not likely to get the audio. Give a \
         URL that the internet reaches, or send the file.",
    )
}

fn host_warning(field: &str, url: &Url) -> Option<Warning> {
    let doubt = doubt_of_host(url)?;
    let message = format!(
        "The host {doubt}, so Gladia may refuse the URL. Give one whose host is a full public name, or send the file."
    );
    Some(Warning::at(&[field], WarningCode::NotDocumented, message))
}

fn length_warning(field: &str) -> Warning {
    let message = format!(
        "The URL has more than {MOST_CHARACTERS} characters, so Gladia may refuse it. Give a shorter one, or send the file."
    );
    Warning::at(&[field], WarningCode::NotDocumented, message)
}

/// The query carries a signature, so the instant is all that the message repeats of it.
fn expiry_warning(field: &str, url: &Url, now: DateTime<Utc>) -> Option<Warning> {
    let expires_at = presigned_url::expires_at(url)?;
    let instant = expires_at.to_rfc3339_opts(SecondsFormat::Secs, true);
    let message = if expires_at <= now {
        format!(
            "The URL expired at {instant}, so Gladia is not likely to get the audio. Sign one that stays valid for \
             {ADVISED_VALIDITY}."
        )
    } else if expires_at - now < LONGEST_WAIT {
        format!(
            "The URL expires at {instant}, and Gladia may fetch the audio later than that, after a wait in the queue. Sign \
             one that stays valid for {ADVISED_VALIDITY}."
        )
    } else {
        return None;
    };
    Some(Warning::at(&[field], WarningCode::UrlExpires, message))
}

/// `YouTube`'s own hosts, from which Gladia takes videos by their page's address.
fn is_youtube(host: &str) -> bool {
    ["youtube.com", "youtube-nocookie.com", "youtu.be"]
        .iter()
        .any(|domain| {
            host.strip_suffix(domain)
                .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
        })
}

fn youtube_warning(field: &str, plan: Plan) -> Warning {
    let message = format!(
        "Gladia transcribes {} of a YouTube video at most on the plan `{}`, and the gateway does not know how long this one \
         is. A longer one ends in an error: send it in parts, as files.{}",
        in_words(plan.longest_youtube_video()),
        plan.as_str(),
        other_plan(plan),
    );
    Warning::at(&[field], WarningCode::MayBeTooLong, message)
}

/// What follows the last dot of the last part of the path, in lower case.
fn extension(url: &Url) -> Option<String> {
    let (_, extension) = url.path_segments()?.next_back()?.rsplit_once('.')?;
    Some(extension.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(url: &str) -> Vec<Warning> {
        let now = "2026-11-26T12:00:00Z".parse().unwrap();
        review_link("audio_url", &AudioUrl::parse(url).unwrap(), Plan::Paid, now)
    }

    #[test]
    fn a_url_that_expires_before_it_may_be_needed_is_warned_of() {
        for (seconds, told) in [
            (0, Some("expires at 2026-11-26T12:00:00Z")),
            (1, Some("expires at 2026-11-26T12:00:01Z")),
            (4 * 3600, Some("expires at 2026-11-26T16:00:00Z")),
            (5 * 3600, None),
        ] {
            let warnings = link(&format!(
                "https://bucket.example/a.mp3?X-Amz-Date=20261126T120000Z&X-Amz-Expires={seconds}&X-Amz-Signature=secret"
            ));
            let Some(told) = told else {
                assert_eq!(warnings, []);
                continue;
            };
            let told = if seconds == 0 {
                told.replace("expires", "expired")
            } else {
                told.to_owned()
            };
            let [warning] = warnings.as_slice() else {
                panic!("{warnings:?}")
            };
            assert_eq!(warning.pointer, "/audio_url");
            assert_eq!(warning.code, WarningCode::UrlExpires);
            assert!(warning.message.contains(&told), "{warning:?}");
            for secret in ["secret", "Amz", "?"] {
                assert!(!warning.message.contains(secret), "{warning:?}");
            }
        }
    }

    #[test]
    fn an_address_that_gladia_cannot_reach_is_warned_of() {
        for host in [
            "localhost:9000",
            "Minio.LocalHost.",
            "127.0.0.1",
            "127.1",
            "10.0.0.7",
            "172.16.0.1",
            "192.168.1.20:8080",
            "169.254.169.254",
            "0.0.0.0",
            "[::1]",
            "[fd00::1]",
            "[fe80::1]",
            "[::ffff:10.0.0.7]",
        ] {
            let warnings = link(&format!("http://{host}/a.mp3"));
            assert_eq!(warnings.len(), 1, "{host}: {warnings:?}");
            assert_eq!(warnings[0].pointer, "/audio_url");
            assert_eq!(warnings[0].code, WarningCode::UrlOutOfReach);
        }
        for host in [
            "localhost.example",
            "notlocalhost.example",
            "172.32.0.1",
            "203.0.113.7",
            "[2001:db8::1]",
        ] {
            assert_eq!(link(&format!("http://{host}/a.mp3")), [], "{host}");
        }
    }

    #[test]
    fn a_host_or_a_length_that_gladia_may_refuse_is_warned_of() {
        let long = format!("https://a.example/{}", "a".repeat(MOST_CHARACTERS));
        for url in [
            "https://recordings/a.mp3",
            "https://my_bucket.example/a.mp3",
            "https://recordings.example./a.mp3",
            &long,
        ] {
            let warnings = link(url);
            assert_eq!(warnings.len(), 1, "{url}: {warnings:?}");
            assert_eq!(warnings[0].code, WarningCode::NotDocumented);
            assert!(warnings[0].message.contains("may refuse"), "{warnings:?}");
        }
        let (longest, _) = long.split_at(MOST_CHARACTERS);
        assert_eq!(link(longest), []);
    }

    #[test]
    fn a_youtube_link_may_be_too_long() {
        for url in [
            "https://www.youtube.com/watch?v=abc",
            "https://m.youtube.com/watch?v=abc",
            "https://youtu.be/abc",
        ] {
            let warnings = link(url);
            assert_eq!(warnings.len(), 1, "{url}: {warnings:?}");
            assert_eq!(warnings[0].code, WarningCode::MayBeTooLong);
            assert!(warnings[0].message.contains("2 h of a YouTube video"));
        }
        for url in [
            "https://notyoutube.com/watch?v=abc",
            "https://example.com/youtube.com",
            "https://vimeo.com/1",
        ] {
            assert_eq!(link(url), [], "{url}");
        }
    }

    #[test]
    fn a_format_that_gladia_does_not_list_is_warned_of() {
        for url in [
            "https://example.com/a.webm",
            "https://example.com/b/a.b.WEBM?x=a.mp3#y.mp3",
        ] {
            let warnings = link(url);
            assert_eq!(warnings.len(), 1, "{url}: {warnings:?}");
            assert_eq!(warnings[0].code, WarningCode::NotDocumented);
            assert!(warnings[0].message.contains("`webm`"));
        }
        for url in [
            "https://example.com/a.mp3",
            "https://example.com/a.mkv",
            "https://example.com/download.php?file=a.webm",
            "https://example.com/webm",
            "https://example.com",
        ] {
            assert_eq!(link(url), [], "{url}");
        }
    }

    #[test]
    fn everything_is_told_at_once() {
        let codes: Vec<_> =
            link("https://youtu.be/a.webm?Expires=1795705170&Signature=a&Key-Pair-Id=b")
                .iter()
                .map(|warning| warning.code)
                .collect();
        assert_eq!(
            codes,
            [
                WarningCode::UrlExpires,
                WarningCode::MayBeTooLong,
                WarningCode::NotDocumented
            ]
        );
    }
}
