//! The service through its front door: real HTTP, a real Postgres, and a simulated Gladia that fails on demand.
//!
//! Each test has a database, a simulator and one or more gateways of its own; [`support`] starts them. Time is moved by
//! replacing the database's clock, which all replicas go by. Tests wait for conditions, never for a while.

#![expect(
    clippy::unwrap_used,
    reason = "in a test, what cannot be unwrapped is a failure"
)]

mod support;

mod access;
mod admin;
mod answers;
mod audio_back;
mod audio_review;
mod bad_bodies;
mod bad_requests;
mod batch_bounds;
mod batch_progress;
mod batch_repeats;
mod batches;
mod breaker;
mod broken_deliveries;
mod broken_uploads;
mod callback_options;
mod callback_states;
mod callbacks;
mod callbacks_out;
mod canary;
mod cancel;
mod cap;
mod clock_steps;
mod commands;
mod compression;
mod conditional;
mod connections;
mod connections_at_hand;
mod crash_points;
mod database_settings;
mod deliveries;
mod deliveries_api;
mod documented;
mod endpoint_switches;
mod erasing;
mod event_list;
mod event_retention;
mod exports;
mod failed_commits;
mod fair_deliveries;
mod group_commit;
mod guide;
mod hang_ups;
mod idempotency;
mod idle_connections;
mod idle_readers;
mod large_callbacks;
mod large_results;
mod lifecycle;
mod lines;
mod list_filters;
mod listing;
mod look_up;
mod look_up_witness;
mod metrics;
mod migrating;
mod odd_requests;
mod odd_rows;
mod old_tables;
mod older_version;
mod operators;
mod ops;
mod option_rows;
mod option_warnings;
mod options;
mod overload;
mod pauses;
mod poll;
mod proof;
mod random_callbacks;
mod read_only_database;
mod reconcile;
mod recorded_deliveries;
mod refused_bodies;
mod refused_key;
mod refused_login;
mod replay;
mod retention;
mod retry;
mod retry_late;
mod secrecy;
mod shared_uploads;
mod shutdown;
mod signing_secrets;
mod silent_database;
mod snapshots;
#[cfg(feature = "otel")]
mod spans;
mod spool;
mod spool_stalled;
mod spool_start;
mod streams;
mod streams_open;
mod streams_slow;
mod submitting;
mod surplus;
mod tenancy;
mod timeline;
mod told_at_once;
mod tracing;
mod two_clocks;
mod unasked_proofs;
mod uploads;
mod upstream_deletions;
mod usage;
mod v2_create;
mod v2_envelope;
mod v2_jobs;
mod v2_list;
mod v2_second_create;
mod v2_upload;
mod validate;
mod waiting;
mod wakeups;
mod webhook_endpoints;
mod webhooks;
mod zero_data_retention;
