//! `POST /v1/admin/attempts/{id}/resolve`: what an operator knows of an attempt, or makes of it.

use axum::{Json, body::Body, extract::State, http::HeaderMap};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::{
    db::attempts::decisions::{Decided, Decision, decide, find_state},
    domain::{
        attempt::AttemptState,
        ids::{AttemptId, JobId},
        options::Violation,
    },
    gladia::{create::is_plausible_typed_id, error::GladiaError},
    http::{
        auth::Admin,
        problem::{Problem, ProblemType},
        request::{
            body::read_json_object,
            fields::{Fields, broken},
            id_path::{IdPath, InPath},
        },
        state::AppState,
    },
    journal::fetch::{MadeBy, made_by},
};

/// The fields that there are.
const KNOWN: &str = "resolution and gladia_id";

/// What an attempt of unknown outcome is resolved as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Resolution {
    /// Gladia does not have it. Its transcription is sent again, ahead of its tenant's others.
    NotSent,
    /// Gladia has it, as `gladia_id`.
    Accepted,
    /// It is given up. Its transcription fails and is not sent again.
    Failed,
}

/// A decision about an attempt.
#[derive(ToSchema)]
#[expect(
    dead_code,
    reason = "describes the body in the OpenAPI document; bodies are read by hand, for better messages"
)]
pub struct ResolveAttempt {
    /// What it is resolved as.
    resolution: Resolution,
    /// Gladia's id of it: with `accepted`, and only then.
    gladia_id: Option<String>,
}

/// What was decided.
#[derive(Serialize, ToSchema)]
pub struct ResolvedAttempt {
    /// The attempt.
    pub id: AttemptId,
    /// The transcription that it is about.
    pub transcription_id: JobId,
    /// What it was resolved as.
    pub resolution: Resolution,
}

/// Resolve an attempt of unknown outcome.
///
/// Look into Gladia's dashboard first: the attempt's id stands in the metadata of Gladia's job, under
/// `gladia_gateway_attempt`. For `accepted` the gateway asks Gladia whether it does, except with zero data retention: there a
/// callback that names another job corrects what was said. `not_sent` for one that Gladia has after all is billed twice. Where the transcription was
/// canceled or deleted, the attempt alone is settled. It needs an API key of scope `admin`.
#[utoipa::path(
    post,
    path = "/v1/admin/attempts/{id}/resolve",
    tag = "admin",
    params(("id" = String, Path, format = Uuid, description = "The attempt's id.")),
    request_body(content = ResolveAttempt, description = "The decision."),
    responses(
        (status = 200, description = "It is carried out.", body = ResolvedAttempt),
        (status = 404, description = "There is no such attempt."),
        (status = 409, description = "Its outcome is known (`attempt-settled`); or the Gladia job belongs to another attempt (`gladia-id-taken`)."),
        (status = 422, description = "The body breaks rules; or Gladia has no such job, or one that no gateway made (`invalid-request`)."),
        (status = 502, description = "Gladia was asked for the job, and failed (`upstream-failed`). Nothing is decided."),
        (status = 503, description = "Gladia (`upstream-unavailable`) or the database (`database-unavailable`) is not available. Nothing is decided."),
    ),
)]
pub async fn resolve_attempt(
    State(state): State<AppState>,
    Admin(caller): Admin,
    IdPath(id): IdPath<AttemptId>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<ResolvedAttempt>, Problem> {
    let requested = parse(read_json_object(&headers, body, &state.limits).await?)?;
    if let Requested::Accepted { gladia_id } = &requested {
        let looking = state.with_conn(async |conn| find_state(conn, id).await);
        let at = looking.await?.ok_or_else(AttemptId::names_nothing)?;
        if at != AttemptState::Unknown {
            return Err(settled(at));
        }
        if !state.zero_data_retention {
            check(&state, id, gladia_id).await?;
        }
    }
    let deciding = state.with_conn(async |conn| decide(conn, id, requested.decision()).await);
    let job_id = match deciding.await? {
        Decided::Resolved { job_id } => job_id,
        Decided::NotFound => return Err(AttemptId::names_nothing()),
        Decided::Settled(at) => return Err(settled(at)),
        Decided::Taken => return Err(taken()),
    };
    // It may be queued again, and a slot may be free.
    state.wakeups.jobs_changed();
    let resolution = requested.resolution();
    tracing::info!(
        attempt.id = %id, job.id = %job_id, api_key.id = %caller.api_key_id, ?resolution,
        "An operator resolved attempt {id}"
    );
    Ok(Json(ResolvedAttempt {
        id,
        transcription_id: job_id,
        resolution,
    }))
}

/// Whether Gladia says as well that the attempt has made this job. Another's result would be shown as its transcription's.
async fn check(state: &AppState, id: AttemptId, gladia_id: &str) -> Result<(), Problem> {
    let rule = match made_by(&state.gladia, gladia_id, id, &state.stopping).await {
        Ok(Some(MadeBy::This)) => return Ok(()),
        Ok(Some(MadeBy::Another)) => return Err(taken()),
        Ok(Some(MadeBy::Nobody)) => {
            "must be a job that a gateway has made: its metadata has gladia_gateway_attempt"
        }
        Ok(None) | Err(GladiaError::Refused { .. }) => "must be a job that Gladia has",
        Err(error) => return Err(error.into()),
    };
    let violation = Violation::new("/gladia_id", rule);
    Err(Problem::violations("", vec![violation]))
}

fn taken() -> Problem {
    Problem::new(
        ProblemType::GladiaIdTaken,
        "This Gladia job belongs to another attempt, so it cannot be this one's.",
    )
    .at("/gladia_id", "must be a job that no other attempt has")
}

/// A decision that was asked for.
enum Requested {
    NotSent,
    Accepted { gladia_id: String },
    Failed,
}

impl Requested {
    fn resolution(&self) -> Resolution {
        match self {
            Self::NotSent => Resolution::NotSent,
            Self::Accepted { .. } => Resolution::Accepted,
            Self::Failed => Resolution::Failed,
        }
    }

    fn decision(&self) -> Decision<'_> {
        match self {
            Self::NotSent => Decision::NotSent,
            Self::Accepted { gladia_id } => Decision::Accepted { gladia_id },
            Self::Failed => Decision::Failed,
        }
    }
}

/// Reads the decision. `accepted` comes with an id, the others without.
fn parse(body: Map<String, Value>) -> Result<Requested, Problem> {
    let an_outcome = "must be not_sent, accepted or failed";
    let an_id = "must be Gladia's id of the job, as its dashboard shows it";
    let mut fields = Fields::of(body);
    let resolution = fields.take("resolution", |value| {
        Resolution::deserialize(value).map_err(|_| broken(an_outcome))
    });
    let gladia_id = fields.take("gladia_id", |value| match (resolution, value) {
        (_, Value::Null) => Ok(None),
        (Some(Resolution::NotSent | Resolution::Failed), _) => {
            Err(broken("goes with the resolution accepted alone"))
        }
        (_, Value::String(id)) if is_plausible_typed_id(&id) => Ok(Some(id)),
        _ => Err(broken(an_id)),
    });
    let requested = match (resolution, gladia_id.flatten()) {
        (None, _) => return Err(fields.lacks("resolution", an_outcome, KNOWN)),
        (Some(Resolution::Accepted), None) => return Err(fields.lacks("gladia_id", an_id, KNOWN)),
        (Some(Resolution::Accepted), Some(gladia_id)) => Requested::Accepted { gladia_id },
        (Some(Resolution::NotSent), _) => Requested::NotSent,
        (Some(Resolution::Failed), _) => Requested::Failed,
    };
    fields.finish(KNOWN)?;
    Ok(requested)
}

/// There is nothing to decide, and why.
fn settled(at: AttemptState) -> Problem {
    let why = match at {
        AttemptState::Unknown | AttemptState::Submitting => {
            "it is being sent right now. Come again when it is unknown"
        }
        AttemptState::Accepted => "Gladia has it and is at work on it",
        AttemptState::NotSent => "it did not reach Gladia",
        AttemptState::Refused => "Gladia refused it",
        AttemptState::Done => "its result has arrived",
        AttemptState::Error => "it has failed at Gladia",
        AttemptState::Expired => "it was given up",
    };
    Problem::new(
        ProblemType::AttemptSettled,
        format!("The attempt is {at}: {why}."),
    )
}
