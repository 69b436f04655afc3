//! `POST /v1/transcriptions/{id}/retry`: once more after an error, at a price that is known beforehand.

use axum::{
    Extension, Json,
    body::Body,
    extract::State,
    http::{HeaderMap, StatusCode},
};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::{
    lookup::find,
    view::{Retry, Transcription},
};
use crate::{
    db::jobs::retries::{self, Retried},
    domain::{access::Scope, ids::JobId, retry::RetryCost},
    http::{
        auth::Writer,
        problem::{Problem, ProblemType},
        request::{
            body::read_optional_json_object,
            fields::{Fields, broken},
            id_path::IdPath,
        },
        server::overload::ChangedNothing,
        state::AppState,
    },
};

const ACCEPT_SECOND_BILL: &str = "accept_second_bill";

/// What a retry may cost at most.
#[derive(ToSchema)]
#[expect(
    dead_code,
    reason = "describes the body in the OpenAPI document; bodies are read by hand, for better messages"
)]
pub struct RetryTranscription {
    /// Whether the same audio may be billed a second time. Needed where `error.retry.may_be_billed_twice` says so.
    #[schema(default = false)]
    accept_second_bill: Option<bool>,
}

/// A transcription that is tried again.
#[derive(Serialize, ToSchema)]
pub struct RetriedTranscription {
    /// The transcription.
    #[serde(flatten)]
    pub transcription: Transcription,
    /// What this retry may cost.
    pub retry: Retry,
}

type Answer = (
    StatusCode,
    Option<Extension<ChangedNothing>>,
    Json<RetriedTranscription>,
);

/// Retry a transcription.
///
/// Puts one that is in `error` at the end of the line again, with the same audio and options. `error.retry` says beforehand
/// what that may cost, and every answer repeats it. Where Gladia refused the request, nothing was billed before. Where it
/// worked on it and failed, the retry is billed like any new job. Where it may have transcribed it already, because the
/// result never came or the outcome is unknown, the same audio may be billed twice: that takes
/// `{"accept_second_bill": true}`, and without it nothing is changed. Where the gateway never sends anything twice
/// (`RESEND_UNKNOWN=never`), only an operator's key (`admin`) may accept that. A result of an earlier attempt that arrives after all
/// completes the transcription. One that has not ended is left as it is, so a repeated request is harmless.
///
/// The audio has to be there still: a presigned `audio_url` may have expired, and Gladia may have deleted an uploaded file.
#[utoipa::path(
    post,
    path = "/v1/transcriptions/{id}/retry",
    tag = "transcriptions",
    params(("id" = String, Path, format = Uuid, description = "The transcription's id.")),
    request_body(content = Option<RetryTranscription>, description = "What it may cost. May be left out."),
    responses(
        (status = 202, description = "It is in line again, or has not ended anyway.", body = RetriedTranscription),
        (status = 404, description = "There is no such transcription."),
        (status = 409, description = "It may be billed twice, and the body does not accept that (`second-bill-not-accepted`), or only an operator may (`second-bill-not-allowed`); or it is done or canceled (`already-ended`)."),
        (status = 410, description = "It was erased; `erased` is the receipt (`transcription-deleted`)."),
    ),
)]
pub async fn retry_transcription(
    State(state): State<AppState>,
    Writer(caller): Writer,
    IdPath(id): IdPath<JobId>,
    headers: HeaderMap,
    body: Body,
) -> Result<Answer, Problem> {
    let body = read_optional_json_object(&headers, body, &state.limits).await?;
    let may_accept = state.rules.callers_accept_second_bills || caller.scope == Scope::Admin;
    let accepts_second_bill = parse(body)? && may_accept;
    let retrying = state.with_conn(async |conn| {
        let mut nothing = None;
        let retry = match retries::retry(conn, caller.tenant_id, id, accepts_second_bill).await? {
            Retried::Queued(cost) => {
                state.wakeups.jobs_changed();
                tracing::info!(job.id = %id, api_key.id = %caller.api_key_id, ?cost, "Job {id} is tried again");
                cost.into()
            }
            Retried::UnderWay => {
                nothing = Some(Extension(ChangedNothing));
                Retry {
                    may_be_billed_twice: false,
                    explanation: "It has not ended, so this request changed nothing and costs nothing.",
                }
            }
            Retried::NeedsConsent {
                audio_duration_seconds,
            } if may_accept => return Err(needs_consent(audio_duration_seconds)),
            Retried::NeedsConsent { .. } => return Err(needs_operator()),
            Retried::AlreadyEnded(status) => {
                return Err(Problem::new(
                    ProblemType::AlreadyEnded,
                    format!(
                        "The transcription has ended as `{status}`; only one in `error` can be retried. To have the audio \
                         transcribed anew, create a new transcription."
                    ),
                ));
            }
            Retried::NotFound => return Err(Problem::no_such_transcription()),
            Retried::Deleted => {
                // The look gives the receipt.
                find(conn, caller.tenant_id, id).await?;
                return Err(Problem::deleted());
            }
        };
        let job = find(conn, caller.tenant_id, id).await?;
        Ok::<_, Problem>((job, retry, nothing))
    });
    let (job, retry, nothing) = retrying.await?;
    let answer = RetriedTranscription {
        transcription: job.into(),
        retry,
    };
    Ok((StatusCode::ACCEPTED, nothing, Json(answer)))
}

/// Whether a second bill is accepted.
fn parse(body: Map<String, Value>) -> Result<bool, Problem> {
    let mut fields = Fields::of(body);
    let accepts = fields.take(ACCEPT_SECOND_BILL, |value| match value {
        Value::Null => Ok(false),
        Value::Bool(accepts) => Ok(accepts),
        _ => Err(broken("must be true or false")),
    });
    fields.finish(ACCEPT_SECOND_BILL)?;
    Ok(accepts.unwrap_or(false))
}

fn needs_consent(audio_duration_seconds: Option<f64>) -> Problem {
    let audio = audio_duration_seconds.map_or_else(
        || "How long the audio is, the gateway does not know.".to_owned(),
        |seconds| format!("The audio lasts {seconds} seconds."),
    );
    let detail = format!(
        "{} {audio} To have it tried again all the same, repeat the request with accept_second_bill.",
        RetryCost::MayBeBilledTwice.explanation()
    );
    Problem::new(ProblemType::SecondBillNotAccepted, detail)
        .at("/accept_second_bill", "must be true for this transcription")
}

fn needs_operator() -> Problem {
    let detail = format!(
        "{} This gateway sends nothing again that may be billed twice, unless an operator accepts it with an admin key.",
        RetryCost::MayBeBilledTwice.explanation()
    );
    Problem::new(ProblemType::SecondBillNotAllowed, detail)
}
