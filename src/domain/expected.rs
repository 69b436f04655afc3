//! By when a transcription should have come back, and when Gladia is asked about one that has not.
//!
//! A look costs Gladia a request and us the whole result, so the first one comes late enough that a callback which is only
//! slow has arrived, and the next ones come less and less often. It must not come much later either: until then a lost
//! callback looks like slow work.

use std::time::Duration;

use serde_json::Value;

/// Gladia works on a job for at most two hours (docs.gladia.io, retries), so nothing is expected later.
const LONGEST: Duration = Duration::from_hours(2);

/// What a job of any length may take: a place in Gladia's own queue, the download of the audio, and a callback that is
/// delivered at the second or third try.
const BASE: Duration = Duration::from_mins(2);

/// Gladia transcribes an hour of audio in about one minute. A tenth of real time is ten times that, for its busy hours.
const SHARE_OF_AUDIO: f64 = 0.1;

/// What each feature adds besides: most are passes of a language model over the transcript, as a share of the audio.
const SHARE_OF_AUDIO_PER_FEATURE: f64 = 0.02;

/// The same for the shortest audio.
const BASE_PER_FEATURE: Duration = Duration::from_secs(30);

/// Audio of unknown length is taken to be as long as a call. If it is longer, an early look costs a request and no result.
const UNKNOWN_AUDIO_SECONDS: f64 = 10.0 * 60.0;

/// The features that make work of their own after the transcription, by their switches in the request.
const FEATURES: [&str; 9] = [
    "audio_to_llm",
    "custom_spelling",
    "diarization",
    "named_entity_recognition",
    "pii_redaction",
    "sentences",
    "sentiment_analysis",
    "summarization",
    "translation",
];

/// How many of these a stored request asks for.
#[must_use]
pub fn count_features(request: &Value) -> u32 {
    let asked_for = |name: &&&str| {
        // Extra options lie over the others.
        let switch = ["extra_options", "options"]
            .iter()
            .find_map(|part| request.get(part)?.get(**name));
        switch == Some(&Value::Bool(true))
    };
    u32::try_from(FEATURES.iter().filter(asked_for).count()).unwrap_or_default()
}

/// How long a job may take until it counts as overdue, from when it was sent.
#[must_use]
pub fn expected_within(audio_seconds: Option<f64>, features: u32) -> Duration {
    let audio = audio_seconds
        .filter(|seconds| seconds.is_finite() && *seconds >= 0.0)
        .unwrap_or(UNKNOWN_AUDIO_SECONDS);
    let share = SHARE_OF_AUDIO + SHARE_OF_AUDIO_PER_FEATURE * f64::from(features);
    let work = Duration::try_from_secs_f64(audio * share).unwrap_or(LONGEST);
    (BASE + BASE_PER_FEATURE * features)
        .saturating_add(work)
        .min(LONGEST)
}

/// How Gladia is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// About what is overdue: a minute after the first look, then at intervals that double up to a quarter of an hour. So the
    /// last look before the end of a slot's time is never long ago.
    Overdue,
    /// About everything, since nothing calls back: every three seconds at first, then less often, up to half a minute.
    Poll,
}

impl Pace {
    /// The first interval and the longest.
    fn bounds(self) -> (Duration, Duration) {
        match self {
            Self::Overdue => (Duration::from_mins(1), Duration::from_mins(15)),
            Self::Poll => (Duration::from_secs(3), Duration::from_secs(30)),
        }
    }

    /// How long after its acceptance a job is first asked for; `None` once it is overdue.
    #[must_use]
    pub fn first_look_after(self) -> Option<Duration> {
        match self {
            Self::Overdue => None,
            Self::Poll => Some(self.bounds().0),
        }
    }

    /// How long after a look the next one is due. `looks` came before it; `jitter` in 0..1 adds up to a quarter, so that jobs
    /// which were sent together are not asked for together.
    #[must_use]
    pub fn next_look_in(self, looks: u32, jitter: f64) -> Duration {
        let (first, longest) = self.bounds();
        let doublings = looks.min(16);
        let interval = first.saturating_mul(1 << doublings).min(longest);
        interval.mul_f64(1.0 + jitter.clamp(0.0, 1.0) / 4.0)
    }
}

/// How often in a row Gladia has to say that it does not have a job that it had accepted.
const ABSENCES: u32 = 3;

/// How long those absences have to last: a replica of Gladia's that lags behind, or a mistake while it deploys, has passed by then.
pub const ABSENT_FOR: Duration = Duration::from_mins(10);

/// When Gladia is asked again after such an answer: the third comes ten minutes after the first.
const NEXT_AFTER_ABSENCE: Duration = Duration::from_mins(5);

/// How soon Gladia is asked again after it called back with a success and did not confirm it at once.
const FIRST_PROOF: Duration = Duration::from_secs(3);

/// Whether a job is taken for lost, given how often in a row it was missing, the last time included, and since when.
#[must_use]
pub fn is_lost(absences: u32, absent_for: Duration) -> bool {
    absences >= ABSENCES && absent_for >= ABSENT_FOR
}

/// How long after an answer that Gladia does not have a job it is asked again.
#[must_use]
pub fn next_after_absence(jitter: f64) -> Duration {
    NEXT_AFTER_ABSENCE.mul_f64(1.0 + jitter.clamp(0.0, 1.0) / 10.0)
}

/// How long after a look Gladia is asked again at the latest, where it called back with a success `waited` ago and has not
/// confirmed it: as long again, so that the intervals double. The side of it that is asked may lag behind by seconds.
#[must_use]
pub fn next_proof_in(waited: Duration, jitter: f64) -> Duration {
    let interval = waited.clamp(FIRST_PROOF, NEXT_AFTER_ABSENCE);
    interval.mul_f64(1.0 + jitter.clamp(0.0, 1.0) / 10.0)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_expected_grows_with_the_audio_and_the_features_but_never_past_two_hours() {
        let within = |seconds, features| expected_within(seconds, features).as_secs();
        assert_eq!(within(Some(0.0), 0), 120);
        assert_eq!(within(Some(600.0), 0), 180);
        assert_eq!(within(Some(3600.0), 3), 120 + 90 + 576);
        assert_eq!(within(None, 0), 120 + 60);
        for unknown in [f64::NAN, f64::INFINITY, -1.0] {
            assert_eq!(within(Some(unknown), 0), within(None, 0), "{unknown}");
        }
        assert_eq!(within(Some(1e9), 9), 7200);
        assert_eq!(within(Some(f64::MAX), 9), 7200);
    }

    #[test]
    fn extra_options_switch_features_on_and_off() {
        let request = json!({
            "options": { "diarization": true, "summarization": true, "sentences": false },
            "extra_options": { "summarization": false, "sentences": true, "model": "x" },
        });
        assert_eq!(count_features(&request), 2);
        assert_eq!(count_features(&json!({ "options": {} })), 0);
    }

    #[test]
    fn looks_come_less_and_less_often() {
        let seconds = |pace: Pace| -> Vec<u64> {
            (0..6)
                .map(|looks| pace.next_look_in(looks, 0.0).as_secs())
                .collect()
        };
        assert_eq!(seconds(Pace::Overdue), [60, 120, 240, 480, 900, 900]);
        assert_eq!(seconds(Pace::Poll), [3, 6, 12, 24, 30, 30]);
        assert_eq!(
            Pace::Overdue.next_look_in(u32::MAX, 1.0),
            Duration::from_secs(1125)
        );
        assert_eq!(Pace::Overdue.first_look_after(), None);
        assert_eq!(Pace::Poll.first_look_after(), Some(Duration::from_secs(3)));
    }

    #[test]
    fn a_proof_is_asked_for_after_seconds_and_then_less_and_less_often() {
        let seconds = |waited| next_proof_in(Duration::from_secs(waited), 0.0).as_secs();
        assert_eq!([0, 3, 6, 100, 3600].map(seconds), [3, 3, 6, 100, 300]);
        assert_eq!(
            next_proof_in(Duration::ZERO, 1.0),
            Duration::from_millis(3300)
        );
    }

    #[test]
    fn a_job_is_lost_after_three_absences_over_ten_minutes() {
        assert!(!is_lost(2, Duration::from_hours(1)));
        assert!(!is_lost(3, Duration::from_secs(599)));
        assert!(is_lost(3, Duration::from_mins(10)));
        assert!(2 * next_after_absence(0.0) >= ABSENT_FOR);
        assert_eq!(next_after_absence(1.0), Duration::from_secs(330));
    }
}
