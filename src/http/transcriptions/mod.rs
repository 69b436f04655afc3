//! `/v1/transcriptions`: one file a verb.

use utoipa_axum::{router::OpenApiRouter, routes};

use super::state::AppState;

pub(super) mod accept;
mod attachment;
pub(super) mod audio;
mod cancel;
mod create;
mod create_from_file;
mod delete;
mod ending;
pub(super) mod export_query;
mod filters;
mod get;
pub(super) mod get_audio;
mod get_export;
mod get_export_json;
mod get_result;
mod get_timeline;
pub mod group_commit;
mod list;
pub(super) mod lookup;
mod one_statement;
pub(super) mod request;
pub(super) mod result;
mod retry;
mod stream_events;
mod validate;
pub(super) mod view;

/// The routes.
pub fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(
            create::create_transcription,
            list::list_transcriptions
        ))
        .routes(routes!(create_from_file::create_transcription_from_file))
        .routes(routes!(validate::validate_transcription))
        .routes(routes!(
            get::get_transcription,
            delete::delete_transcription
        ))
        .routes(routes!(get_result::get_transcription_result))
        .routes(routes!(get_export::get_transcription_export))
        .routes(routes!(get_export_json::get_transcription_export_json))
        .routes(routes!(get_timeline::get_transcription_timeline))
        .routes(routes!(stream_events::stream_transcription_events))
        .routes(routes!(cancel::cancel_transcription))
        .routes(routes!(retry::retry_transcription))
        .routes(routes!(get_audio::get_transcription_audio))
}
