//! What is not shown as it is.

use chrono::{DateTime, Utc};
use serde_json::Value;

use crate::dev_tools::simulator::{
    clock,
    faults::{Effect, Encoding},
    state::Job,
};

/// What goes wrong with what a request is to be shown.
#[derive(Clone, Debug, Default)]
pub(super) struct Flaws(pub(super) Vec<Effect>);

impl Flaws {
    /// Whether the job does not show in a list, though it exists.
    pub(super) fn hide(&self, job: &Job) -> bool {
        self.lag_behind(job.created_at)
            || self.0.iter().any(
                |effect| matches!(effect, Effect::Omit { job: text } if is_meant(job, text.as_deref())),
            )
    }

    /// Whether the job has its place in a page, and does not show there.
    pub(super) fn leave_out_of_page(&self, job: &Job) -> bool {
        self.0.iter().any(|effect| {
            matches!(effect, Effect::ShortPage { job: text } if is_meant(job, text.as_deref()))
        })
    }

    /// Whether the end of the job does not show, though it came.
    pub(super) fn hide_end_of(&self, job: &Job) -> bool {
        job.completed_at.is_some_and(|at| self.lag_behind(at))
    }

    /// Whether a filter by metadata that is written this way changes nothing.
    pub(super) fn ignore(&self, written: Encoding) -> bool {
        self.0.iter().any(|effect| {
            matches!(effect, Effect::IgnoreMetadata { encoding }
                if encoding.is_none_or(|encoding| encoding == written))
        })
    }

    /// Whether it is too early for what happened then to show.
    fn lag_behind(&self, happened_at: DateTime<Utc>) -> bool {
        let age = clock::now() - happened_at;
        self.0.iter().any(|effect| {
            matches!(effect, Effect::Lag { milliseconds }
                // An age below zero is one of a clock that was put back.
                if u64::try_from(age.num_milliseconds()).is_ok_and(|age| age < *milliseconds))
        })
    }
}

/// Whether a text is about a job. Without one, every job is meant.
fn is_meant(job: &Job, text: Option<&str>) -> bool {
    text.is_none_or(|text| {
        let metadata = job.custom_metadata.as_ref().map(Value::to_string);
        job.audio_url.contains(text) || metadata.is_some_and(|metadata| metadata.contains(text))
    })
}
