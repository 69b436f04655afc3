//! Which of a tenant's jobs a list shows.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, SecondsFormat, Utc};
use url::form_urlencoded;

use super::{
    ids::BatchId,
    job::{JobErrorType, JobStatus, PublicStatus},
};

/// How many metadata entries a list is filtered by at most.
pub const MOST_METADATA: usize = 10;

/// Which of a tenant's jobs a list shows: those for which everything that is said here holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct JobFilter {
    /// The status is one of these. Empty: any.
    pub statuses: BTreeSet<PublicStatus>,
    /// It failed as one of these. Empty: it need not have failed.
    pub error_types: BTreeSet<JobErrorType>,
    /// It came with this batch.
    pub batch_id: Option<BatchId>,
    /// It was accepted at this instant or later.
    pub created_after: Option<DateTime<Utc>>,
    /// It was accepted before this instant.
    pub created_before: Option<DateTime<Utc>>,
    /// Its metadata have these values, compared as text.
    pub metadata: BTreeMap<String, String>,
}

impl JobFilter {
    /// The statuses of the database that are meant. Empty: any.
    #[must_use]
    pub fn internal_statuses(&self) -> Vec<JobStatus> {
        let public = self.statuses.iter();
        public.flat_map(|status| status.internal()).collect()
    }

    /// Whether no job can pass: one that failed has the status `error` and no other.
    #[must_use]
    pub fn contradicts_itself(&self) -> bool {
        !(self.error_types.is_empty()
            || self.statuses.is_empty()
            || self.statuses.contains(&PublicStatus::Error))
    }

    /// The filter in the one spelling that it has, whatever the order in which it was asked for.
    #[must_use]
    pub fn canonical_query(&self) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        for status in &self.statuses {
            query.append_pair("status", status.as_str());
        }
        for kind in &self.error_types {
            query.append_pair("error_type", kind.as_str());
        }
        if let Some(batch_id) = self.batch_id {
            query.append_pair("batch_id", &batch_id.to_string());
        }
        for (name, instant) in [
            ("created_after", self.created_after),
            ("created_before", self.created_before),
        ] {
            if let Some(instant) = instant {
                let text = instant.to_rfc3339_opts(SecondsFormat::Nanos, true);
                query.append_pair(name, &text);
            }
        }
        for (key, value) in &self.metadata {
            query.append_pair(&format!("metadata[{key}]"), value);
        }
        query.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_filters_makes_no_difference_and_their_values_do() {
        let filter = |statuses: &[PublicStatus], value: &str| JobFilter {
            statuses: statuses.iter().copied().collect(),
            metadata: [("team".to_owned(), value.to_owned())].into(),
            ..JobFilter::default()
        };
        let first = filter(&[PublicStatus::Done, PublicStatus::Error], "a&b=c");
        let again = filter(&[PublicStatus::Error, PublicStatus::Done], "a&b=c");
        assert_eq!(
            first.canonical_query(),
            "status=done&status=error&metadata%5Bteam%5D=a%26b%3Dc"
        );
        assert_eq!(first.canonical_query(), again.canonical_query());
        let other = filter(&[PublicStatus::Error, PublicStatus::Done], "a");
        assert_ne!(first.canonical_query(), other.canonical_query());
    }

    #[test]
    fn an_error_type_goes_with_the_status_error_alone() {
        let filter = |statuses: &[PublicStatus]| JobFilter {
            statuses: statuses.iter().copied().collect(),
            error_types: [JobErrorType::GladiaRefused].into(),
            ..JobFilter::default()
        };
        assert!(!filter(&[]).contradicts_itself());
        assert!(!filter(&[PublicStatus::Done, PublicStatus::Error]).contradicts_itself());
        assert!(filter(&[PublicStatus::Done]).contradicts_itself());
    }
}
