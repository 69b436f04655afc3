//! Where a stream begins, and what it tells.

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, request::Parts},
};

use super::LAST_EVENT_ID;
use crate::{
    domain::event::{EventId, PublicEventType},
    http::{
        events::query::parse_types,
        problem::Problem,
        request::query::{self, Taken},
        state::AppState,
    },
};

/// How a stream of a tenant's events is asked for.
#[derive(Debug)]
pub struct TenantStreamQuery {
    /// What the reader has seen last.
    pub after: Option<EventId>,
    /// Only these. `None`: all.
    pub types: Option<Vec<PublicEventType>>,
}

/// How a stream of a transcription's events is asked for.
#[derive(Debug)]
pub struct JobStreamQuery {
    /// What the reader has seen last.
    pub after: Option<EventId>,
}

impl FromRequestParts<AppState> for TenantStreamQuery {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &AppState) -> Result<Self, Problem> {
        let mut types: Option<Vec<PublicEventType>> = None;
        let after = parse(parts, |name, value| {
            if name != "types" {
                return Err(query::unknown("types and after"));
            }
            types.get_or_insert_default().extend(parse_types(value)?);
            Ok(Taken::Repeatable)
        })?;
        Ok(Self { after, types })
    }
}

impl FromRequestParts<AppState> for JobStreamQuery {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &AppState) -> Result<Self, Problem> {
        let after = parse(parts, |_, _| Err(query::unknown("after")))?;
        Ok(Self { after })
    }
}

/// Parses what all streams have in common; the rest goes to `take`. The header wins: an `EventSource` repeats its address when it
/// comes back, and tells in the header what it has seen since.
fn parse(
    parts: &Parts,
    mut take: impl FnMut(&str, &str) -> Result<Taken, String>,
) -> Result<Option<EventId>, Problem> {
    let mut after = None;
    let broken = query::read(parts.uri.query(), |name, value| {
        if name != "after" {
            return take(name, value);
        }
        after = Some(parse_id(value)?);
        Ok(Taken::Once)
    });
    match (last_event_id(&parts.headers), broken.or(after)) {
        (Ok(last_seen), Ok(after)) => Ok(last_seen.or(after)),
        (Ok(_), Err(problem)) | (Err(problem), Ok(_)) => Err(problem),
        (Err(of_header), Err(problem)) => Err(problem.with_fields_of(of_header)),
    }
}

fn last_event_id(headers: &HeaderMap) -> Result<Option<EventId>, Problem> {
    let Some(value) = headers.get(LAST_EVENT_ID) else {
        return Ok(None);
    };
    let id = value.to_str().ok().and_then(|text| text.parse().ok());
    id.map(Some)
        .ok_or_else(|| Problem::header("Last-Event-ID", EventId::RULE))
}

fn parse_id(value: &str) -> Result<EventId, String> {
    value.parse().map_err(|_| EventId::RULE.to_owned())
}
