//! Pure types and rules: no I/O, and nothing else of ours.

pub mod access;
pub mod attempt;
pub mod audio_review;
pub mod audio_url;
pub mod backoff;
pub mod canonical;
pub mod completion;
pub mod cursor;
pub mod erasure;
pub mod event;
pub mod expected;
pub mod idempotency;
pub mod ids;
pub mod job;
pub mod job_filter;
pub mod options;
pub mod plan;
pub mod presigned_url;
pub mod rendering;
pub mod retry;
pub mod searchable;
pub mod settling;
pub mod timeline;
pub mod transcript;
pub mod usage;
pub mod webhook;
