//! What can be said of audio before Gladia transcribes it: that it is too long for the plan, that its URL leads nowhere that
//! Gladia goes or may have expired by then, that no list of Gladia's has its format.
//!
//! Refused is only what is certain: a length that Gladia itself has measured, against the limit that it documents. The rest
//! looks into the future, or at somebody else's server, so it becomes a warning.

use std::{net::IpAddr, time::Duration};

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use url::{Host, Url};

use super::{
    audio_url::AudioUrl,
    options::{Violation, Warning, WarningCode},
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

/// Endings of audio and video files that are on no list of Gladia's (docs.gladia.io, supported files). Other spellings of
/// formats that are listed, such as `mkv` for `matroska` and `oga` for `ogg`, are not among them.
const NOT_LISTED: [&str; 30] = [
    "aif", "aifc", "aiff", "amr", "ape", "asf", "au", "awb", "caf", "dff", "dsf", "dts", "f4v",
    "m2ts", "mpeg", "mpg", "mts", "mxf", "ogv", "ra", "rm", "spx", "ts", "tta", "vob", "voc",
    "weba", "webm", "wma", "wv",
];

/// A file that Gladia has, as Gladia described it.
#[derive(Debug, Clone, Copy, Default)]
pub struct MeasuredFile<'a> {
    /// Its length.
    pub duration_seconds: Option<f64>,
    /// Its format.
    pub extension: Option<&'a str>,
}

/// Judges a file that Gladia has. `field` is where it stands in the request.
///
/// # Errors
/// Where it is longer than Gladia transcribes.
pub fn review_file(
    field: &str,
    file: MeasuredFile<'_>,
    plan: Plan,
) -> Result<Vec<Warning>, Violation> {
    let limit = plan.longest_audio();
    // A length that makes no sense says nothing.
    let length = file
        .duration_seconds
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    if let Some(length) = length.filter(|length| *length > limit) {
        let rule = format!(
            "must be {} long at most, which is what Gladia transcribes on the plan `{}`; it is {} long. Split it, and \
             transcribe the parts.{}",
            in_words(limit),
            plan.as_str(),
            in_words(length),
            other_plan(plan),
        );
        return Err(Violation::new(format!("/{field}"), rule));
    }
    let extension = file
        .extension
        .map(|extension| extension.trim_start_matches('.').to_ascii_lowercase());
    Ok(extension
        .and_then(|extension| format_warning(field, &extension))
        .into_iter()
        .collect())
}

/// Judges audio that Gladia is to fetch. `field` is where its URL stands in the request.
#[must_use]
pub fn review_link(
    field: &str,
    audio_url: &AudioUrl,
    plan: Plan,
    now: DateTime<Utc>,
) -> Vec<Warning> {
    let Some(url) = audio_url.parsed() else {
        return Vec::new();
    };
    [
        is_out_of_reach(&url).then(|| reach_warning(field)),
        expiry_warning(field, &url, now),
        is_youtube(&audio_url.host()).then(|| youtube_warning(field, plan)),
        extension(&url).and_then(|extension| format_warning(field, &extension)),
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

fn format_warning(field: &str, extension: &str) -> Option<Warning> {
    NOT_LISTED.contains(&extension).then(|| {
        let message = format!(
            "Gladia does not list `{extension}` among the formats that it takes, and may refuse it. If it does, convert the \
             audio: to flac, m4a, mp3, ogg, opus or wav, for example."
        );
        Warning::at(&[field], WarningCode::NotDocumented, message)
    })
}

/// What follows the last dot of the last part of the path, in lower case.
fn extension(url: &Url) -> Option<String> {
    let (_, extension) = url.path_segments()?.next_back()?.rsplit_once('.')?;
    Some(extension.to_ascii_lowercase())
}

/// The way out where it is the setting that is wrong.
fn other_plan(plan: Plan) -> &'static str {
    match plan {
        Plan::Free | Plan::Paid => {
            " If the account's plan is `enterprise`, whoever runs the gateway can set GLADIA_PLAN."
        }
        Plan::Enterprise => "",
    }
}

/// A length for people. Rounded up, so that what is a little too long does not read like the limit.
fn in_words(length: Duration) -> String {
    let seconds = length
        .as_secs()
        .saturating_add(u64::from(length.subsec_nanos() > 0));
    let parts = [
        (seconds / 3600, "h"),
        (seconds / 60 % 60, "min"),
        (seconds % 60, "s"),
    ];
    parts
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, unit)| format!("{count} {unit}"))
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn review_of_length(seconds: f64, plan: Plan) -> Result<Vec<Warning>, Violation> {
        let file = MeasuredFile {
            duration_seconds: Some(seconds),
            extension: Some("wav"),
        };
        review_file("audio_url", file, plan)
    }

    fn link(url: &str) -> Vec<Warning> {
        let now = "2026-11-26T12:00:00Z".parse().unwrap();
        review_link("audio_url", &AudioUrl::parse(url).unwrap(), Plan::Paid, now)
    }

    #[test]
    fn audio_may_be_as_long_as_the_plan_allows_and_no_longer() {
        for (plan, minutes, text) in [
            (Plan::Free, 135.0, "2 h 15 min"),
            (Plan::Paid, 135.0, "2 h 15 min"),
            (Plan::Enterprise, 255.0, "4 h 15 min"),
        ] {
            assert_eq!(review_of_length(minutes * 60.0, plan), Ok(Vec::new()));
            let violation = review_of_length(minutes * 60.0 + 0.1, plan).unwrap_err();
            assert_eq!(violation.pointer, "/audio_url");
            for part in [
                format!("must be {text} long at most"),
                format!("`{}`", plan.as_str()),
                format!("it is {text} 1 s long"),
                "Split it".to_owned(),
            ] {
                assert!(violation.rule.contains(&part), "{part} in {violation:?}");
            }
            let advises_plan = violation.rule.contains("GLADIA_PLAN");
            assert_eq!(advises_plan, plan != Plan::Enterprise);
        }
    }

    #[test]
    fn a_length_that_is_not_known_or_makes_no_sense_is_no_reason_to_refuse() {
        for seconds in [f64::NAN, f64::INFINITY, -9000.0, 1e300] {
            assert_eq!(review_of_length(seconds, Plan::Paid), Ok(Vec::new()));
        }
        let unknown = review_file("audio", MeasuredFile::default(), Plan::Paid);
        assert_eq!(unknown, Ok(Vec::new()));
    }

    #[test]
    fn lengths_are_written_for_people() {
        for (millis, words) in [
            (59_001, "1 min"),
            (3_600_000, "1 h"),
            (3_661_000, "1 h 1 min 1 s"),
            (90_000_000, "25 h"),
        ] {
            assert_eq!(in_words(Duration::from_millis(millis)), words);
        }
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
            "notlocalhost",
            "172.32.0.1",
            "203.0.113.7",
            "[2001:db8::1]",
        ] {
            assert_eq!(link(&format!("http://{host}/a.mp3")), [], "{host}");
        }
    }

    #[test]
    fn a_youtube_link_may_be_too_long() {
        for url in [
            "https://www.youtube.com/watch?v=abc",
            "https://m.youtube.com./watch?v=abc",
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
        for (extension, warnings) in [("webm", 1), (".WebM", 1), ("wav", 0), ("", 0)] {
            let file = MeasuredFile {
                duration_seconds: None,
                extension: Some(extension),
            };
            let found = review_file("audio", file, Plan::Paid).unwrap();
            assert_eq!(found.len(), warnings, "{extension}");
            assert!(found.iter().all(|warning| warning.pointer == "/audio"));
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
