//! A file that Gladia has, and has measured.

use std::time::Duration;

use super::{format_warning, in_words, other_plan};
use crate::domain::{
    options::{Violation, Warning},
    plan::Plan,
};

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
    fn a_format_that_gladia_does_not_list_is_warned_of() {
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
}
