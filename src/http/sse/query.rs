//! Where a stream begins, and what it tells.

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, request::Parts},
};
use url::form_urlencoded;

use super::LAST_EVENT_ID;
use crate::{
    domain::event::{EventId, PublicEventType},
    http::{
        events::query::parse_types,
        problem::{MOST_ERRORS, Problem},
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
        let after = parse(parts, "types and after", |name, value| {
            if name != "types" {
                return Ok(false);
            }
            types.get_or_insert_default().extend(parse_types(value)?);
            Ok(true)
        })?;
        Ok(Self { after, types })
    }
}

impl FromRequestParts<AppState> for JobStreamQuery {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &AppState) -> Result<Self, Problem> {
        let after = parse(parts, "after", |_, _| Ok(false))?;
        Ok(Self { after })
    }
}

/// Parses what all streams have in common; the rest goes to `take`, which says whether it knows the parameter. The header
/// wins: an `EventSource` repeats its address when it comes back, and tells in the header what it has seen since.
fn parse(
    parts: &Parts,
    names: &str,
    mut take: impl FnMut(&str, &str) -> Result<bool, String>,
) -> Result<Option<EventId>, Problem> {
    let mut after = None;
    let mut seen: Vec<String> = Vec::new();
    let mut broken: Vec<(String, String)> = Vec::new();
    let query = parts.uri.query().unwrap_or_default();
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        if broken.len() >= MOST_ERRORS {
            break;
        }
        let taken = if name != "types" && seen.iter().any(|known| *known == name) {
            Err("must be given once".to_owned())
        } else if name == "after" {
            parse_id(&value).map(|id| {
                after = Some(id);
                true
            })
        } else {
            take(&name, &value)
        };
        let rule = match taken {
            Ok(true) => None,
            Ok(false) => Some(format!("is not known here: use {names}")),
            Err(rule) => Some(rule),
        };
        if let Some(rule) = rule {
            broken.push((name.chars().take(100).collect(), rule));
        }
        seen.push(name.into_owned());
    }
    let last_seen = last_event_id(&parts.headers);
    match (last_seen, broken.is_empty()) {
        (Ok(last_seen), true) => Ok(last_seen.or(after)),
        (Ok(_), false) => Err(Problem::parameters(broken)),
        (Err(problem), true) => Err(problem),
        (Err(problem), false) => Err(Problem::parameters(broken).with_fields_of(problem)),
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
