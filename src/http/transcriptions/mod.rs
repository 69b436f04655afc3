//! `/v1/transcriptions`: one file a verb.

use utoipa_axum::{router::OpenApiRouter, routes};

use super::state::AppState;

mod accept;
pub mod cancel;
pub mod create;
pub mod create_from_file;
pub mod delete;
pub mod get;
pub mod get_audio;
pub mod get_result;
pub mod list;
mod request;
mod result;
mod view;

/// The routes.
pub fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(
            create::create_transcription,
            list::list_transcriptions
        ))
        .routes(routes!(create_from_file::create_transcription_from_file))
        .routes(routes!(
            get::get_transcription,
            delete::delete_transcription
        ))
        .routes(routes!(get_result::get_transcription_result))
        .routes(routes!(cancel::cancel_transcription))
        .routes(routes!(get_audio::get_transcription_audio))
}
