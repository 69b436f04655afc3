//! `/v2/pre-recorded`, and its older name `/v2/transcription`: one file a verb.

pub(super) mod create;
