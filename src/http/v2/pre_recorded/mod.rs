//! `/v2/pre-recorded`, and its older name `/v2/transcription`: one file a verb.

pub(super) mod create;
pub(super) mod delete;
pub(super) mod get;
pub(super) mod get_file;
pub(super) mod list;
mod params;
mod query;
mod repeats;
mod request;
mod shapes;
mod view;
