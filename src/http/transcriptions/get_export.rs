//! `GET /v1/transcriptions/{id}/export/{format}`: the transcript as a file of text.

use axum::{
    body::Bytes,
    extract::{FromRequestParts, Path, RawQuery, State},
    http::{HeaderMap, HeaderValue, header, request::Parts},
    response::{IntoResponse, Response},
};

use super::{
    attachment::{attachment, stem},
    export_query::{self, ExportFormat},
    lookup::find,
    result::{Packed, Plain, no_result, read_into, read_packed},
};
use crate::{
    db::jobs::Job,
    domain::{
        audio_url::AudioUrl,
        ids::{CallbackId, JobId, TenantId},
        rendering::{self, CannotRender, Format, Wishes},
    },
    http::{
        answer::{compression::Preferred, etag::ETag},
        auth::Reader,
        problem::{Problem, ProblemType},
        request::file_name::bare_file_name,
        state::AppState,
    },
};

/// What the path names.
pub struct ExportPath {
    pub id: JobId,
    pub format: ExportFormat,
}

impl FromRequestParts<AppState> for ExportPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Problem> {
        let path = Path::<(String, String)>::from_request_parts(parts, state).await;
        let Path((id, format)) = path.map_err(|_| Problem::no_such_transcription())?;
        let id = id.parse().map_err(|_| Problem::no_such_transcription())?;
        let format = ExportFormat::find(&format).ok_or_else(|| {
            let names = ExportFormat::names();
            Problem::new(
                ProblemType::NotFound,
                format!("There is no export of this format. There are: {names}."),
            )
        })?;
        Ok(Self { id, format })
    }
}

/// Export a transcription.
///
/// Rendered by the gateway from the words that Gladia sent, whether or not subtitles were asked for. Subtitles break at
/// sentences, pauses and commas where the limits allow it, never hold two speakers, and never stay through a silence of a
/// second and a half. They are UTF-8 without a byte order mark; lines end in LF, those of `csv` in CRLF.
///
/// `csv` has a row for each word: positions in the result, times in seconds, Gladia's numbers of speaker and channel. A word
/// that a spreadsheet would run as a formula begins with an apostrophe there.
///
/// A parameter that does nothing for a format is refused: `csv` takes `language`, `speaker` and `channel`; `txt` and `md`
/// also `speakers` and names; `srt` and `vtt` take all.
#[utoipa::path(
    get,
    path = "/v1/transcriptions/{id}/export/{format}",
    tag = "transcriptions",
    params(
        ("id" = String, Path, format = Uuid, description = "The transcription's id."),
        ("format" = ExportFormat, Path, description = "What to export it as."),
        ("If-None-Match" = Option<String>, Header, description = "The `ETag` of what the caller has."),
        ("language" = Option<String>, Query, example = "fr", description = "A language that it was translated into. The original if not given."),
        ("speaker" = Option<Vec<u32>>, Query, description = "Only this speaker, by Gladia's number from 0. May be given several times."),
        ("channel" = Option<Vec<u32>>, Query, description = "Only this channel, by Gladia's number from 0. May be given several times."),
        ("speakers" = Option<bool>, Query, description = "Whether it says who speaks. If not given: where there is more than one voice, or a name. In `vtt` \
            the speaker is the voice of the text (`<v Anna>`), elsewhere a label before it. A label that leaves no room in a row is left out."),
        ("speaker_names" = Option<Vec<String>>, Query, example = json!(["0:Anna", "1:Daniel"]), description = "What to call a speaker: Gladia's number from 0, a \
            colon, and a name. Once for each speaker. Without a name, number 0 is called Speaker 1."),
        ("channel_names" = Option<Vec<String>>, Query, example = json!(["0:Agent", "1:Customer"]), description = "What to call a channel, in the same way."),
        ("minimum_duration" = Option<f64>, Query, minimum = 0, description = "Seconds that a subtitle stays at least, if nothing else is said \
            meanwhile. 1 if not given."),
        ("maximum_duration" = Option<f64>, Query, minimum = 1, maximum = 30, description = "Seconds that a subtitle stays at most. 7 if not given."),
        ("maximum_characters_per_row" = Option<u32>, Query, minimum = 1, description = "Characters of a row of subtitles, as they are seen: wide ones, \
            such as those of Chinese and Japanese, count as two. 42 if not given."),
        ("maximum_rows_per_caption" = Option<u32>, Query, minimum = 1, maximum = 5, description = "Rows of a subtitle. 2 if not given."),
    ),
    responses(
        (
            status = 200, description = "The file. `Content-Disposition` has its name.", content(
                (String = "text/plain"),
                (String = "application/x-subrip"),
                (String = "text/vtt"),
                (String = "text/markdown"),
                (String = "text/csv"),
            ),
            headers(
                ("Content-Disposition" = String, description = "That it is a file, and its name."),
                ("ETag" = String, description = "Stays the same until a newer version of the gateway renders in another way."),
            ),
        ),
        (
            status = 304, description = "It is what the caller has.",
            headers(("ETag" = String, description = "The same one.")),
        ),
        (status = 404, description = "There is no such transcription or format (`not-found`), or no such translation (`translation-not-found`)."),
        (status = 409, description = "It has no result, or none yet (`result-not-ready`); its result holds no transcript (`transcript-missing`); or the translation failed (`translation-failed`)."),
        (status = 410, description = "It was erased; `erased` is the receipt (`transcription-deleted`)."),
    ),
)]
pub async fn get_transcription_export(
    State(state): State<AppState>,
    Reader(caller): Reader,
    path: ExportPath,
    query: RawQuery,
    preferred: Preferred,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    export(&state, caller.tenant_id, path, query, preferred, &headers).await
}

/// Answers with a transcription as a file of any format.
///
/// # Errors
/// Where a parameter is not taken, or there is no such file, and why.
pub async fn export(
    state: &AppState,
    tenant: TenantId,
    ExportPath { id, format }: ExportPath,
    RawQuery(query): RawQuery,
    preferred: Preferred,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    let wishes = export_query::parse(format, query.as_deref())?;
    let looking = state.with_conn(async |conn| find(conn, tenant, id).await);
    let job = looking.await?;
    let callback_id = job
        .result_callback_id
        .ok_or_else(|| no_result(job.status))?;
    // Everything that the file follows from; the name of the recording never changes. That a parameter is left out, or given
    // as what it is then, is the same, and so is the order of parameters.
    let etag = ETag::of(&[
        callback_id.0.as_bytes(),
        format.name().as_bytes(),
        export_query::spelling(&wishes).as_bytes(),
        &rendering::VERSION.to_be_bytes(),
    ]);
    if etag.is_named(headers) {
        return Ok(etag.not_modified());
    }
    let filename = filename(job);
    let stem = filename.as_deref().and_then(stem);
    let stem = stem.unwrap_or_else(|| format!("transcription-{id}"));
    let mut name = stem;
    if let Some(language) = &wishes.language {
        name.extend([".", language]);
    }
    name.extend([".", format.name()]);
    let file = match format.rendered() {
        None => read_packed(state, callback_id, None, preferred).await?,
        Some(format) => {
            let title = filename.unwrap_or_else(|| format!("Transcription {id}"));
            let file = render(state, callback_id, format, wishes, title).await?;
            Packed::Plain(Plain::Whole(file))
        }
    };
    // By a star, which is true only of what there is.
    if etag.is_known(headers) {
        return Ok(etag.not_modified());
    }
    let content_type = HeaderValue::from_static(format.content_type());
    let headers = [
        (header::CONTENT_TYPE, content_type),
        (header::CONTENT_DISPOSITION, attachment(&name)),
    ];
    Ok((etag, headers, file).into_response())
}

/// What the recording is called: as it was sent, or by the end of its link where that says anything. The id, which is all that
/// the address of an uploaded file ends with, does not.
fn filename(job: Job) -> Option<String> {
    if let Some(upload) = job.upload {
        return Some(upload.filename);
    }
    let link = AudioUrl::as_gladia_takes_it(&job.audio_url?)?;
    let name = link.filename().filter(|_| link.upload_id().is_none())?;
    let name = bare_file_name(&name)?;
    let says_anything = stem(&name)?.contains(char::is_alphanumeric);
    says_anything.then_some(name)
}

async fn render(
    state: &AppState,
    callback_id: CallbackId,
    format: Format,
    wishes: Wishes,
    title: String,
) -> Result<Bytes, Problem> {
    let language = wishes.language.clone().unwrap_or_default();
    let rendered = read_into(state, callback_id, move |result| {
        rendering::render(&result, format, &wishes, &title)
    });
    rendered.await?.map(Bytes::from).map_err(|cannot| match cannot {
        CannotRender::Table => {
            tracing::error!(callback.id = %callback_id, "A table cannot be written");
            Problem::new(
                ProblemType::Internal,
                "The transcript cannot be rendered. The gateway's log has the cause.",
            )
        }
        CannotRender::NoTranscript => Problem::new(
            ProblemType::TranscriptMissing,
            "Gladia's result holds no transcript. It is to be had as it came, as `json`.",
        ),
        CannotRender::NoTranslation(known) if known.is_empty() => Problem::new(
            ProblemType::TranslationNotFound,
            "There are no translations. Leave `language` out to get the original.",
        ),
        CannotRender::NoTranslation(known) => Problem::new(
            ProblemType::TranslationNotFound,
            format!(
                "There is no translation into `{language}`. There are: {}. Leave `language` out to get the original.",
                known.join(", ")
            ),
        ),
        CannotRender::TranslationFailed(message) => Problem::new(
            ProblemType::TranslationFailed,
            format!("Gladia failed at the translation into `{language}`: {message}"),
        ),
    })
}
