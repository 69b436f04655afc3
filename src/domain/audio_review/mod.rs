//! What can be said of audio before Gladia transcribes it: that it is too long for the plan, that its URL leads nowhere that
//! Gladia goes or may have expired by then, that no list of Gladia's has its format.
//!
//! Refused is only what is certain: a length that Gladia itself has measured, against the limit that it documents. The rest
//! looks into the future, or at somebody else's server, so it becomes a warning.

mod file;
mod link;

pub use file::{MeasuredFile, review_file};
pub use link::review_link;

use std::time::Duration;

use super::{
    options::{Warning, WarningCode},
    plan::Plan,
};

/// Endings of audio and video files that are on no list of Gladia's (docs.gladia.io, supported files). Other spellings of
/// formats that are listed, such as `mkv` for `matroska` and `oga` for `ogg`, are not among them.
const NOT_LISTED: [&str; 30] = [
    "aif", "aifc", "aiff", "amr", "ape", "asf", "au", "awb", "caf", "dff", "dsf", "dts", "f4v",
    "m2ts", "mpeg", "mpg", "mts", "mxf", "ogv", "ra", "rm", "spx", "ts", "tta", "vob", "voc",
    "weba", "webm", "wma", "wv",
];

/// The warning of a file that ends in `extension`, if there is one.
fn format_warning(field: &str, extension: &str) -> Option<Warning> {
    NOT_LISTED.contains(&extension).then(|| {
        let message = format!(
            "Gladia does not list `{extension}` among the formats that it takes, and may refuse it. If it does, convert the \
             audio: to flac, m4a, mp3, ogg, opus or wav, for example."
        );
        Warning::at(&[field], WarningCode::NotDocumented, message)
    })
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
}
