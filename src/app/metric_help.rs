//! What each metric says of itself, in the lines `# HELP` of `/metrics`: for whoever meets its name in a dashboard's editor.
//! What to do about a metric is in docs/metrics.md.

use metrics::{describe_counter, describe_gauge, describe_histogram};

const COUNTERS: [(&str, &str); 29] = [
    (
        "gateway_answers_cut_off_total",
        "Answers whose callers took nothing of them for ANSWER_IDLE_TIMEOUT_SECONDS.",
    ),
    (
        "gateway_callbacks_replayed_total",
        "Kept callbacks that the API replayed, by what became of them.",
    ),
    (
        "gateway_callbacks_spool_broken_total",
        "Files in the spool that could not be read.",
    ),
    (
        "gateway_callbacks_spooled_total",
        "Callbacks that were written to the spool, since the database did not take them.",
    ),
    (
        "gateway_callbacks_total",
        "Callbacks from Gladia, by what became of them.",
    ),
    (
        "gateway_connections_displaced_total",
        "Idle connections that were closed to make room for new ones.",
    ),
    (
        "gateway_contradicting_ids_total",
        "Answers of Gladia with another id than it had told before for the same attempt.",
    ),
    (
        "gateway_deliveries_forgotten_total",
        "Ended deliveries of webhooks that retention has deleted.",
    ),
    (
        "gateway_deliveries_total",
        "Tries to deliver a webhook, by kind and outcome.",
    ),
    (
        "gateway_events_forgotten_total",
        "Events of the log that retention has deleted.",
    ),
    (
        "gateway_events_set_aside_total",
        "Events that could not be sent to any webhook.",
    ),
    (
        "gateway_http_requests_total",
        "Requests to the gateway's API, by method, route and status.",
    ),
    (
        "gateway_leases_expired_total",
        "Jobs taken back from processes that died while they sent them.",
    ),
    (
        "gateway_look_up_restarts_total",
        "Walks through Gladia's list of jobs that began again, since the list moved.",
    ),
    (
        "gateway_look_ups_total",
        "Searches at Gladia for a job whose create ended without a clear answer, by outcome.",
    ),
    (
        "gateway_panics_total",
        "Panics of the gateway that were caught.",
    ),
    (
        "gateway_reconciled_total",
        "Jobs whose callback was overdue and that were asked for at Gladia, by outcome.",
    ),
    (
        "gateway_requests_shed_total",
        "Requests that got 503 because of too much load, by the limit that was reached.",
    ),
    (
        "gateway_slots_expired_total",
        "Places at Gladia that were freed though no result had come.",
    ),
    (
        "gateway_submissions_total",
        "Creates sent to Gladia, by outcome.",
    ),
    (
        "gateway_surplus_jobs_total",
        "Jobs that Gladia ran a second time for one transcription, by whether a caller's retry did that.",
    ),
    (
        "gateway_transcriptions_accepted_total",
        "Transcriptions accepted from callers.",
    ),
    (
        "gateway_transcriptions_retired_total",
        "Transcriptions whose content retention has erased.",
    ),
    (
        "gateway_upload_bytes_total",
        "Bytes of files that callers have uploaded.",
    ),
    ("gateway_uploads_total", "Files that callers have uploaded."),
    (
        "gateway_upstream_deletions_total",
        "Requests to Gladia to delete a job, by outcome.",
    ),
    (
        "gateway_v2_second_creates_total",
        "Creates at /v2 that repeated a first one and made no job.",
    ),
    (
        "gateway_webhooks_handled_total",
        "Webhook messages from Gladia's account that were handled, by outcome.",
    ),
    (
        "gateway_webhooks_total",
        "Webhook messages from Gladia's account that arrived, by whether they were taken.",
    ),
];

const GAUGES: [(&str, &str); 21] = [
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

/// Describes all of them.
pub(super) fn describe() {
    for (name, text) in COUNTERS {
        describe_counter!(name, text);
    }
    for (name, text) in GAUGES {
        describe_gauge!(name, text);
    }
    for (name, text) in HISTOGRAMS {
        describe_histogram!(name, text);
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs};

    use super::*;

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
        let described = [&COUNTERS[..], &GAUGES, &HISTOGRAMS].concat();
        let described: BTreeSet<&str> = described.into_iter().map(|(name, _)| name).collect();
        assert_eq!(described, names);
    }
}
