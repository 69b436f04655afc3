//! Every metric: what it says of itself, in the lines `# HELP` of `/metrics`, and counters from the start. What to do about
//! one is in docs/metrics.md.
//!
//! A counter that begins with its first event seems not to have grown by it, and is not there for whoever compares it with
//! another.

use metrics::{counter, describe_counter, describe_gauge, describe_histogram};

use crate::{
    db::{callbacks::CallbackOutcome, upstream_deletions::DeletionOutcome},
    domain::{attempt::SubmitOutcome, settling::UnknownReason, webhook::WebhookOutcome},
    http::{callbacks, server::overload::Overload, webhooks},
    workers::{deliver, erase, look_up, reconcile},
};

/// The labels of a counter, and their words.
#[derive(Debug, Clone, Copy)]
enum Labels {
    None,
    One(&'static str, &'static [&'static [&'static str]]),
    Two(
        (&'static str, &'static [&'static str]),
        (&'static str, &'static [&'static str]),
    ),
    /// Their words are not known before something happens.
    Unknown,
}

const COUNTERS: [(&str, &str, Labels); 29] = [
    (
        "gateway_answers_cut_off_total",
        "Answers whose callers took nothing of them for ANSWER_IDLE_TIMEOUT_SECONDS.",
        Labels::None,
    ),
    (
        "gateway_callbacks_replayed_total",
        "Kept callbacks that the API replayed, by what became of them.",
        Labels::One("outcome", &[CallbackOutcome::WORDS]),
    ),
    (
        "gateway_callbacks_spool_broken_total",
        "Files in the spool that could not be read.",
        Labels::None,
    ),
    (
        "gateway_callbacks_spooled_total",
        "Callbacks that were written to the spool, since the database did not take them.",
        Labels::None,
    ),
    (
        "gateway_callbacks_total",
        "Callbacks from Gladia, by what became of them.",
        Labels::One(
            "outcome",
            &[CallbackOutcome::WORDS, callbacks::NotTaken::WORDS],
        ),
    ),
    (
        "gateway_connections_displaced_total",
        "Idle connections that were closed to make room for new ones.",
        Labels::None,
    ),
    (
        "gateway_contradicting_ids_total",
        "Answers of Gladia with another id than it had told before for the same attempt.",
        Labels::None,
    ),
    (
        "gateway_deliveries_forgotten_total",
        "Ended deliveries of webhooks that retention has deleted.",
        Labels::None,
    ),
    (
        "gateway_deliveries_total",
        "Tries to deliver a webhook, by kind and outcome.",
        Labels::Two(
            ("outcome", deliver::Reported::WORDS),
            ("kind", deliver::Kind::WORDS),
        ),
    ),
    (
        "gateway_events_forgotten_total",
        "Events of the log that retention has deleted.",
        Labels::None,
    ),
    (
        "gateway_events_set_aside_total",
        "Events that could not be sent to any webhook.",
        Labels::None,
    ),
    (
        "gateway_http_requests_total",
        "Requests to the gateway's API, by method, route and status.",
        Labels::Unknown,
    ),
    (
        "gateway_leases_expired_total",
        "Jobs taken back from processes that died while they sent them.",
        Labels::None,
    ),
    (
        "gateway_look_up_restarts_total",
        "Walks through Gladia's list of jobs that began again, since the list moved.",
        Labels::None,
    ),
    (
        "gateway_look_ups_total",
        "Searches at Gladia for a job whose create ended without a clear answer, by outcome.",
        Labels::One("outcome", &[look_up::Looked::WORDS, UnknownReason::WORDS]),
    ),
    (
        "gateway_panics_total",
        "Panics of the gateway that were caught.",
        Labels::None,
    ),
    (
        "gateway_reconciled_total",
        "Jobs whose callback was overdue and that were asked for at Gladia, by outcome.",
        Labels::One(
            "outcome",
            &[CallbackOutcome::WORDS, reconcile::Asked::WORDS],
        ),
    ),
    (
        "gateway_requests_shed_total",
        "Requests that got 503 because of too much load, by the limit that was reached.",
        Labels::One("reason", &[Overload::WORDS]),
    ),
    (
        "gateway_slots_expired_total",
        "Places at Gladia that were freed though no result had come.",
        Labels::None,
    ),
    (
        "gateway_submissions_total",
        "Creates sent to Gladia, by outcome.",
        Labels::One("outcome", &[SubmitOutcome::WORDS]),
    ),
    (
        "gateway_surplus_jobs_total",
        "Jobs that Gladia ran a second time for one transcription, by whether a caller's retry did that.",
        Labels::One("by_retry", &[&["false", "true"]]),
    ),
    (
        "gateway_transcriptions_accepted_total",
        "Transcriptions accepted from callers.",
        Labels::None,
    ),
    (
        "gateway_transcriptions_retired_total",
        "Transcriptions whose content retention has erased.",
        Labels::None,
    ),
    (
        "gateway_upload_bytes_total",
        "Bytes of files that callers have uploaded.",
        Labels::None,
    ),
    (
        "gateway_uploads_total",
        "Files that callers have uploaded.",
        Labels::None,
    ),
    (
        "gateway_upstream_deletions_total",
        "Requests to Gladia to delete a job, by outcome.",
        Labels::One(
            "outcome",
            &[DeletionOutcome::WORDS, erase::NotDeleted::WORDS],
        ),
    ),
    (
        "gateway_v2_second_creates_total",
        "Creates at /v2 that repeated a first one and made no job.",
        Labels::None,
    ),
    (
        "gateway_webhooks_handled_total",
        "Webhook messages from Gladia's account that were handled, by outcome.",
        Labels::One("outcome", &[WebhookOutcome::WORDS]),
    ),
    (
        "gateway_webhooks_total",
        "Webhook messages from Gladia's account that arrived, by whether they were taken.",
        Labels::One(
            "outcome",
            &[webhooks::Taken::WORDS, webhooks::Refusal::WORDS],
        ),
    ),
];

const GAUGES: [(&str, &str); 22] = [
    (
        "gateway_attempts_awaiting_decision",
        "Attempts of unknown outcome that wait for an operator's decision.",
    ),
    (
        "gateway_attempts_unknown",
        "Attempts whose create ended without a clear answer: Gladia may have the job or not.",
    ),
    (
        "gateway_callbacks_quarantined",
        "Callbacks that were kept without being carried out, and wait for an operator.",
    ),
    (
        "gateway_callbacks_spool_broken",
        "Files in this process's spool that cannot be read.",
    ),
    (
        "gateway_callbacks_spooled",
        "Callbacks in this process's spool that wait for the database.",
    ),
    (
        "gateway_database_oldest_snapshot_transactions",
        "Transactions that have begun to write since the oldest open snapshot was taken.",
    ),
    (
        "gateway_database_up",
        "Whether the database answers and takes writes: 1 or 0.",
    ),
    (
        "gateway_deliveries_oldest_pending_seconds",
        "How long the oldest pending delivery of a webhook has waited.",
    ),
    (
        "gateway_deliveries_pending",
        "Deliveries of webhooks that have not got through yet, 100001 for more.",
    ),
    (
        "gateway_dispatch_paused",
        "Whether every process has stopped sending jobs to Gladia: 1 or 0.",
    ),
    (
        "gateway_events_unnumbered",
        "Events that nobody has been told of yet.",
    ),
    (
        "gateway_jobs",
        "Transcriptions that have not ended, by status, 100001 for more.",
    ),
    (
        "gateway_lanes_open",
        "Receivers of webhooks that failed so often that nothing is sent to them for the moment.",
    ),
    (
        "gateway_oldest_queued_seconds",
        "How long the oldest queued transcription has waited.",
    ),
    (
        "gateway_public_url_reachable",
        "Whether this process reaches itself through PUBLIC_URL: 1 or 0.",
    ),
    (
        "gateway_public_url_takes_large_callbacks",
        "Whether a callback of 12 MB reaches this process through PUBLIC_URL: 1 or 0.",
    ),
    (
        "gateway_requests_waiting",
        "Requests to this process that wait for news of a transcription.",
    ),
    (
        "gateway_slots_in_use",
        "Places at Gladia that are taken by jobs.",
    ),
    (
        "gateway_slots_max",
        "Places at Gladia that there are: the cap on jobs at once.",
    ),
    (
        "gateway_streams_open",
        "Event streams that are open at this process.",
    ),
    ("gateway_surplus_jobs", "Jobs that Gladia ran twice, ever."),
    (
        "gateway_upstream_deletions_pending",
        "Jobs that are still to be deleted at Gladia, 100001 for more.",
    ),
];

const HISTOGRAMS: [(&str, &str); 5] = [
    (
        "gateway_delivery_duration_seconds",
        "How long receivers of webhooks take to answer.",
    ),
    (
        "gateway_http_request_duration_seconds",
        "How long the head of an answer takes, by method, route and whether the request asked to wait.",
    ),
    (
        "gateway_job_state_seconds",
        "How long jobs were in a state when they left it.",
    ),
    (
        "gateway_submission_duration_seconds",
        "How long Gladia takes to answer a create.",
    ),
    (
        "gateway_told_seconds",
        "From the arrival of Gladia's callback until a caller knows of it, by way.",
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

/// Describes all of them, and begins the counters.
pub(super) fn begin() {
    for (name, help, labels) in COUNTERS {
        describe_counter!(name, help);
        begin_counter(name, labels);
    }
    for (name, help) in GAUGES {
        describe_gauge!(name, help);
    }
    for (name, help) in HISTOGRAMS {
        describe_histogram!(name, help);
    }
}

fn begin_counter(name: &'static str, labels: Labels) {
    match labels {
        Labels::None => counter!(name).increment(0),
        Labels::One(label, lists) => {
            let words = lists.iter().copied().flatten();
            for word in words.filter(|word| is_counted(name, word)) {
                counter!(name, label => *word).increment(0);
            }
        }
        Labels::Two((label, words), (other, others)) => {
            for word in words {
                for other_word in others {
                    counter!(name, label => *word, other => *other_word).increment(0);
                }
            }
        }
        Labels::Unknown => {}
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs, path::Path};

    use metrics_exporter_prometheus::PrometheusBuilder;

    use super::*;

    fn shown() -> String {
        let recorder = PrometheusBuilder::new().build_recorder();
        metrics::with_local_recorder(&recorder, begin);
        recorder.handle().render()
    }

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
        let text = shown();
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

    #[test]
    fn every_metric_of_the_documents_says_what_it_is_and_no_other() {
        let documented = fs::read_to_string("docs/metrics.md").unwrap();
        let first_cells = documented
            .lines()
            .filter_map(|line| line.strip_prefix("| `")?.split(" |").next());
        let names: BTreeSet<&str> = first_cells
            .flat_map(|cell| cell.split('`').step_by(2))
            .filter(|name| name.starts_with("gateway_"))
            .collect();
        let counters = COUNTERS.iter().map(|(name, _, _)| *name);
        let others = GAUGES.iter().chain(&HISTOGRAMS).map(|(name, _)| *name);
        let described: BTreeSet<&str> = counters.chain(others).collect();
        assert_eq!(described, names);
    }
}
