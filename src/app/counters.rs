//! Every counter, from the start. One that begins with its first event seems not to have grown by it, and is not there for
//! whoever compares it with another.

use metrics::counter;

use crate::{
    db::{callbacks::CallbackOutcome, upstream_deletions::DeletionOutcome},
    domain::{attempt::SubmitOutcome, settling::UnknownReason, webhook::WebhookOutcome},
    http::{callbacks, overload::Overload, webhooks},
    workers::{deliver, erase, look_up, reconcile},
};

/// Those without labels.
const PLAIN: [&str; 17] = [
    "gateway_answers_cut_off_total",
    "gateway_callbacks_spool_broken_total",
    "gateway_callbacks_spooled_total",
    "gateway_connections_displaced_total",
    "gateway_contradicting_ids_total",
    "gateway_deliveries_forgotten_total",
    "gateway_events_forgotten_total",
    "gateway_events_set_aside_total",
    "gateway_leases_expired_total",
    "gateway_look_up_restarts_total",
    "gateway_panics_total",
    "gateway_slots_expired_total",
    "gateway_transcriptions_accepted_total",
    "gateway_transcriptions_retired_total",
    "gateway_upload_bytes_total",
    "gateway_uploads_total",
    "gateway_v2_second_creates_total",
];

/// Those with one label, and its words.
const LABELED: [(&str, &str, &[&[&str]]); 10] = [
    (
        "gateway_callbacks_replayed_total",
        "outcome",
        &[CallbackOutcome::WORDS],
    ),
    (
        "gateway_callbacks_total",
        "outcome",
        &[CallbackOutcome::WORDS, callbacks::NotTaken::WORDS],
    ),
    (
        "gateway_look_ups_total",
        "outcome",
        &[look_up::Looked::WORDS, UnknownReason::WORDS],
    ),
    (
        "gateway_reconciled_total",
        "outcome",
        &[CallbackOutcome::WORDS, reconcile::Asked::WORDS],
    ),
    ("gateway_requests_shed_total", "reason", &[Overload::WORDS]),
    (
        "gateway_submissions_total",
        "outcome",
        &[SubmitOutcome::WORDS],
    ),
    (
        "gateway_surplus_jobs_total",
        "by_retry",
        &[&["false", "true"]],
    ),
    (
        "gateway_upstream_deletions_total",
        "outcome",
        &[DeletionOutcome::WORDS, erase::NotDeleted::WORDS],
    ),
    (
        "gateway_webhooks_handled_total",
        "outcome",
        &[WebhookOutcome::WORDS],
    ),
    (
        "gateway_webhooks_total",
        "outcome",
        &[webhooks::Taken::WORDS, webhooks::Refusal::WORDS],
    ),
];

/// Nothing becomes of a callback there whose attempt is not here: it stays in the spool, or is not kept.
const NEVER_COUNTED: [(&str, CallbackOutcome); 2] = [
    (
        "gateway_callbacks_replayed_total",
        CallbackOutcome::UnknownAttempt,
    ),
    ("gateway_callbacks_total", CallbackOutcome::UnknownAttempt),
];

fn is_counted(name: &str, word: &str) -> bool {
    !NEVER_COUNTED
        .iter()
        .any(|(counter, outcome)| *counter == name && outcome.as_str() == word)
}

/// Begins all of them.
pub(super) fn begin() {
    for name in PLAIN {
        counter!(name).increment(0);
    }
    for (name, label, lists) in LABELED {
        let words = lists.iter().copied().flatten();
        for word in words.filter(|word| is_counted(name, word)) {
            counter!(name, label => *word).increment(0);
        }
    }
    for outcome in deliver::Reported::WORDS {
        for kind in deliver::Kind::WORDS {
            counter!("gateway_deliveries_total", "outcome" => *outcome, "kind" => *kind)
                .increment(0);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use metrics_exporter_prometheus::PrometheusBuilder;

    use super::*;

    /// The names of counters in the sources.
    fn counted(directory: &Path, names: &mut Vec<String>) {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                counted(&path, names);
                continue;
            }
            if path.extension().is_none_or(|extension| extension != "rs") {
                continue;
            }
            let source = fs::read_to_string(path).unwrap();
            let calls = source.split("counter!(").skip(1);
            let quoted = calls.filter_map(|call| call.trim_start().strip_prefix('"'));
            let first = quoted.filter_map(|call| Some(call.split_once('"')?.0.to_owned()));
            names.extend(first.filter(|name| name.starts_with("gateway_")));
        }
    }

    #[test]
    fn every_counter_of_the_sources_is_there_before_it_counts() {
        let recorder = PrometheusBuilder::new().build_recorder();
        metrics::with_local_recorder(&recorder, begin);
        let text = recorder.handle().render();
        let mut names = Vec::new();
        counted(Path::new("src"), &mut names);
        assert!(names.len() > 25, "{names:?}");
        // Its routes and statuses are not known before.
        names.retain(|name| name != "gateway_http_requests_total");
        let missing: Vec<_> = names
            .iter()
            .filter(|name| !text.contains(&format!("# TYPE {name} counter")))
            .collect();
        assert_eq!(missing, Vec::<&String>::new());
    }
}
