//! `GET /v2/pre-recorded`: jobs, newest first, with filters and links to walk them.

use std::sync::Arc;

use axum::{
    Extension, Json,
    extract::{OriginalUri, State},
    response::{IntoResponse as _, Response},
};
use chrono::{DateTime, NaiveDate, Utc};
use serde::Serialize;
use serde_json::{Map, Value};
use url::form_urlencoded;

use super::{envelope::ApiError, flaws::Flaws, job_view::JobView};
use crate::{
    dev_tools::simulator::{
        faults::Encoding,
        state::{self, Job},
    },
    domain::plain_json,
};

const STATUSES: [&str; 4] = ["queued", "processing", "done", "error"];

#[derive(Serialize)]
struct Page<'a> {
    first: String,
    current: String,
    next: Option<String>,
    items: Vec<JobView<'a>>,
}

/// What was asked for.
#[derive(Debug)]
struct Filter {
    offset: usize,
    limit: usize,
    date: Option<NaiveDate>,
    before: Option<DateTime<Utc>>,
    after: Option<DateTime<Utc>>,
    statuses: Vec<String>,
    metadata: Map<String, Value>,
    /// Everything but the position, to be repeated in links.
    repeated: Vec<(String, String)>,
}

pub(super) async fn handler(
    State(state): State<Arc<state::State>>,
    OriginalUri(uri): OriginalUri,
    Extension(flaws): Extension<Flaws>,
) -> Result<Response, ApiError> {
    let query = uri.query().unwrap_or_default();
    let filter = Filter::parse(query, &flaws).map_err(ApiError::invalid)?;
    let (jobs, more) = {
        let mut store = state.store();
        store.ledger.counts.list_pages += 1;
        let mut found = store
            .order
            .iter()
            .rev()
            .filter_map(|id| store.job(*id))
            .filter(|job| !flaws.hide(job) && filter.fits(job))
            .skip(filter.offset);
        let jobs: Vec<Job> = found
            .by_ref()
            .take(filter.limit)
            .filter(|job| !flaws.leave_out_of_page(job))
            .cloned()
            .collect();
        (jobs, found.next().is_some())
    };
    let link = |offset: usize| {
        let query = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(&filter.repeated)
            .append_pair("offset", &offset.to_string())
            .append_pair("limit", &filter.limit.to_string())
            .finish();
        state.link(&format!("{}?{query}", uri.path()))
    };
    let page = Page {
        first: link(0),
        current: link(filter.offset),
        next: more.then(|| link(filter.offset + filter.limit)),
        items: jobs.iter().map(JobView::from).collect(),
    };
    Ok(Json(page).into_response())
}

impl Filter {
    fn parse(query: &str, flaws: &Flaws) -> Result<Self, Vec<String>> {
        let mut errors = Vec::new();
        let mut filter = Self {
            offset: 0,
            limit: 20,
            date: None,
            before: None,
            after: None,
            statuses: Vec::new(),
            metadata: Map::new(),
            repeated: Vec::new(),
        };
        for (key, value) in form_urlencoded::parse(query.as_bytes()).into_owned() {
            let key = key.as_str();
            match key {
                "offset" => number(key, &value, 0, &mut filter.offset, &mut errors),
                "limit" => number(key, &value, 1, &mut filter.limit, &mut errors),
                "date" => instant(key, value.parse().ok(), &mut filter.date, &mut errors),
                "before_date" => instant(key, at(&value), &mut filter.before, &mut errors),
                "after_date" => instant(key, at(&value), &mut filter.after, &mut errors),
                "status" | "status[]" => {
                    filter.statuses.extend(value.split(',').map(str::to_owned));
                }
                "custom_metadata" if flaws.ignore(Encoding::Json) => continue,
                "custom_metadata" => match plain_json::from_str(&value) {
                    Ok(Value::Object(metadata)) => filter.metadata.extend(metadata),
                    _ => errors.push("custom_metadata must be an object".to_owned()),
                },
                _ => {
                    let inner = key
                        .strip_prefix("custom_metadata[")
                        .and_then(|rest| rest.strip_suffix(']'));
                    match inner {
                        Some(_) if flaws.ignore(Encoding::Brackets) => continue,
                        Some(inner) => {
                            let value = Value::String(value.clone());
                            filter.metadata.insert(inner.to_owned(), value);
                        }
                        // Unknown parameters change nothing and are not repeated.
                        None => continue,
                    }
                }
            }
            if !matches!(key, "offset" | "limit") {
                filter.repeated.push((key.to_owned(), value));
            }
        }
        if filter
            .statuses
            .iter()
            .any(|status| !STATUSES.contains(&status.as_str()))
        {
            errors.push(format!(
                "each value in status must be one of the following values: {}",
                STATUSES.join(", ")
            ));
        }
        if errors.is_empty() {
            Ok(filter)
        } else {
            Err(errors)
        }
    }

    fn fits(&self, job: &Job) -> bool {
        let status = serde_json::to_value(job.status).unwrap_or_default();
        self.date
            .is_none_or(|date| job.created_at.date_naive() == date)
            && self.before.is_none_or(|before| job.created_at < before)
            && self.after.is_none_or(|after| job.created_at > after)
            && (self.statuses.is_empty()
                || self.statuses.iter().any(|wanted| status == wanted.as_str()))
            && self.metadata.iter().all(|(key, wanted)| {
                job.custom_metadata
                    .as_ref()
                    .and_then(|metadata| metadata.get(key))
                    .is_some_and(|kept| same(kept, wanted))
            })
    }
}

/// Values compare as texts, since a query can carry nothing else; objects compare by the keys that are asked for.
fn same(kept: &Value, wanted: &Value) -> bool {
    match (kept, wanted) {
        (Value::Object(kept), Value::Object(wanted)) => wanted
            .iter()
            .all(|(key, wanted)| kept.get(key).is_some_and(|kept| same(kept, wanted))),
        _ => kept == wanted || text(kept) == text(wanted),
    }
}

fn text(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

fn number(key: &str, value: &str, least: usize, to: &mut usize, errors: &mut Vec<String>) {
    match value.parse::<i64>().map(usize::try_from) {
        Ok(Ok(number)) if number >= least => *to = number,
        Ok(_) => errors.push(format!("{key} must not be less than {least}")),
        Err(_) => errors.push(format!("{key} must be an integer number")),
    }
}

fn instant<T>(key: &str, value: Option<T>, to: &mut Option<T>, errors: &mut Vec<String>) {
    if value.is_none() {
        errors.push(format!("{key} must be a valid ISO 8601 date string"));
    }
    *to = value;
}

/// An instant, or the first one of a day.
fn at(value: &str) -> Option<DateTime<Utc>> {
    DateTime::parse_from_rfc3339(value)
        .map(|at| at.to_utc())
        .ok()
        .or_else(|| {
            let day: NaiveDate = value.parse().ok()?;
            Some(day.and_hms_opt(0, 0, 0)?.and_utc())
        })
}
