//! `GET /v2/pre-recorded`: what Gladia has.
//!
//! Its items are whole jobs, results included, so a page is large. It is read as it comes, and of each job only what tells
//! whose it is stays in memory. Facts about the parameters: CONTRACT of the list (OpenAPI `listPreRecorded`); the encoding
//! of the metadata filter is documented as one JSON string (docs.gladia.io, custom metadata).

use std::{
    collections::BTreeMap,
    io::{BufReader, Read},
    time::Duration,
};

use chrono::{DateTime, SecondsFormat, Utc};
use futures_util::TryStreamExt;
use serde::{Deserialize, de::IgnoredAny};
use serde_json::{json, value::RawValue};
use tokio_util::io::{StreamReader, SyncIoBridge};

use super::{client::GladiaClient, error::GladiaError};
use crate::domain::{ids::AttemptId, options::RESERVED_METADATA_KEY};

/// How long a page may take in all.
const PAGE_TIMEOUT: Duration = Duration::from_mins(1);

/// What is asked for.
#[derive(Debug, Clone, Copy)]
pub enum ListFilter {
    /// The jobs of one attempt.
    Attempt(AttemptId),
    /// Jobs that were created between two instants, newest first.
    Dates {
        /// Later than this.
        after: DateTime<Utc>,
        /// Earlier than this.
        before: DateTime<Utc>,
    },
}

/// A job in the list.
#[derive(Debug, Clone, PartialEq)]
pub struct ListedJob {
    /// Gladia's id of it.
    pub gladia_id: String,
    /// When it was created, by Gladia's clock.
    pub created_at: Option<DateTime<Utc>>,
    /// Whether it has ended.
    pub ended: bool,
    /// The attempt that sent it, if it is one of ours.
    pub attempt_id: Option<AttemptId>,
}

/// A part of the list.
#[derive(Debug)]
pub struct ListedPage {
    /// Its jobs. Nothing promises that a page is full: what Gladia leaves out of a page after it was cut makes it short.
    pub jobs: Vec<ListedJob>,
    /// Whether Gladia says that another page follows. (Contract, section 1.3: `next` is null on the last page.)
    pub has_next: bool,
}

impl GladiaClient {
    /// Asks for one page.
    ///
    /// # Errors
    /// Where Gladia does not answer with one.
    pub async fn list(
        &self,
        filter: ListFilter,
        offset: usize,
        limit: usize,
    ) -> Result<ListedPage, GladiaError> {
        let mut url = self.url(&["v2", "pre-recorded"]);
        {
            let mut query = url.query_pairs_mut();
            query.append_pair("offset", &offset.to_string());
            query.append_pair("limit", &limit.to_string());
            match filter {
                ListFilter::Attempt(id) => {
                    let wanted = json!({ RESERVED_METADATA_KEY: id.to_string() });
                    query.append_pair("custom_metadata", &wanted.to_string());
                }
                ListFilter::Dates { after, before } => {
                    let text = |at: DateTime<Utc>| at.to_rfc3339_opts(SecondsFormat::Millis, true);
                    query.append_pair("after_date", &text(after));
                    query.append_pair("before_date", &text(before));
                }
            }
        }
        let response = self
            .keyed
            .get(url)
            .timeout(PAGE_TIMEOUT)
            .send()
            .await
            .map_err(|error| GladiaError::from_transport(&error))?;
        if !response.status().is_success() {
            return Err(GladiaError::from_response(response, &self.api_key).await);
        }
        let stream = response.bytes_stream().map_err(std::io::Error::other);
        let reader = SyncIoBridge::new(StreamReader::new(stream));
        tokio::task::spawn_blocking(move || read_page(reader))
            .await
            .unwrap_or_else(|_| Err("reading it failed".into()))
            .map_err(|cause| GladiaError::Unavailable(format!("Gladia's list: {cause}")))
    }
}

#[derive(Deserialize)]
struct Page {
    items: Vec<Item>,
    /// Null becomes `None`. Whatever else stands there says that there is more.
    #[serde(default)]
    next: Option<IgnoredAny>,
}

/// What is read of a job; everything else is skipped as it comes. All but the id may be anything: the list has the jobs of
/// everybody who uses the account, and none of them may hide the others.
#[derive(Deserialize)]
struct Item {
    id: String,
    #[serde(default)]
    created_at: Option<Box<RawValue>>,
    #[serde(default)]
    status: Option<Box<RawValue>>,
    #[serde(default)]
    custom_metadata: Option<Box<RawValue>>,
}

fn read_page(reader: impl Read) -> Result<ListedPage, String> {
    let page = serde_json::from_reader::<_, Page>(BufReader::new(reader)).map_err(|error| {
        if error.is_io() {
            "the answer broke off".to_owned()
        } else {
            "the answer is no list of jobs".to_owned()
        }
    })?;
    Ok(ListedPage {
        jobs: page.items.into_iter().map(ListedJob::from).collect(),
        has_next: page.next.is_some(),
    })
}

impl From<Item> for ListedJob {
    fn from(item: Item) -> Self {
        let created_at = item
            .created_at
            .and_then(|raw| text(&raw))
            .and_then(|text| DateTime::parse_from_rfc3339(&text).ok())
            .map(|at| at.to_utc());
        let attempt_id = item.custom_metadata.and_then(|raw| attempt_in(&raw));
        let status = item.status.and_then(|raw| text(&raw));
        Self {
            gladia_id: item.id,
            created_at,
            ended: matches!(status.as_deref(), Some("done" | "error")),
            attempt_id,
        }
    }
}

/// The text, of a string that can be read.
fn text(raw: &RawValue) -> Option<String> {
    serde_json::from_str::<String>(raw.get()).ok()
}

/// The attempt that metadata name, where they are an object with our key. Nothing that stands beside it is read.
fn attempt_in(raw: &RawValue) -> Option<AttemptId> {
    let metadata = serde_json::from_str::<BTreeMap<String, &RawValue>>(raw.get()).ok()?;
    text(metadata.get(RESERVED_METADATA_KEY)?)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_job_only_what_tells_whose_it_is_is_read() {
        let page = r#"{"first":"x","current":"x","next":null,"items":[
            {"id":"a","status":"done","created_at":"2026-01-02T03:04:05.678Z","result":{"transcription":{"utterances":[1]}},
             "custom_metadata":{"gladia_gateway_attempt":"0190b5a0-0000-7000-8000-000000000000","other":1}},
            {"id":"b","status":"queued","custom_metadata":null},
            {"id":"c","created_at":"yesterday","custom_metadata":{"gladia_gateway_attempt":7}}
        ]}"#;
        let jobs = read_page(page.as_bytes()).unwrap().jobs;
        assert_eq!(jobs.len(), 3);
        assert!(jobs[0].ended && jobs[0].attempt_id.is_some() && jobs[0].created_at.is_some());
        assert!(!jobs[1].ended && jobs[1].attempt_id.is_none());
        assert_eq!((jobs[2].attempt_id, jobs[2].created_at), (None, None));
    }

    #[test]
    fn a_job_of_others_spoils_nothing_whatever_it_holds() {
        let deep = "[".repeat(130) + &"]".repeat(130);
        let ours = r#"{"gladia_gateway_attempt":"0190b5a0-0000-7000-8000-000000000000"}"#;
        let page = format!(
            r#"{{"items":[
                {{"id":"a","custom_metadata":{{"title":"Call \ud83d","\udc00":1}}}},
                {{"id":"b","custom_metadata":{{"deep":{deep}}}}},
                {{"id":"c","custom_metadata":[1,2]}},
                {{"id":"d","custom_metadata":"text","status":"queued"}},
                {{"id":"e","custom_metadata":{{"gladia_gateway_attempt":"\ud83d"}}}},
                {{"id":"f","status":7,"created_at":{{}},"custom_metadata":{ours}}},
                {{"id":"g","status":"\ud83d","created_at":"\ud83d","custom_metadata":{ours}}},
                {{"id":"h","custom_metadata":{{"title":"\ud83d","deep":{deep},{}}}}}
            ]}}"#,
            ours.trim_matches(['{', '}'])
        );
        let jobs = read_page(page.as_bytes()).unwrap().jobs;
        let ours: Vec<&str> = jobs
            .iter()
            .filter(|job| job.attempt_id.is_some())
            .map(|job| job.gladia_id.as_str())
            .collect();
        assert_eq!((jobs.len(), ours), (8, vec!["f", "g", "h"]));
    }

    #[test]
    fn a_page_is_the_last_only_where_no_next_one_is_named() {
        for (next, has_next) in [
            ("", false),
            (r#""next":null,"#, false),
            (
                r#""next":"https://api.example/v2/pre-recorded?offset=10","#,
                true,
            ),
            (r#""next":{"offset":[10]},"#, true),
        ] {
            let page = format!(r#"{{{next}"items":[]}}"#);
            let page = read_page(page.as_bytes()).unwrap();
            assert_eq!((page.jobs.len(), page.has_next), (0, has_next), "{next}");
        }
    }

    #[test]
    fn what_is_no_list_is_an_error_without_content() {
        for body in ["", "[]", "{\"items\":7}", "{\"items\":[{\"secret\":1}]}"] {
            let cause = read_page(body.as_bytes()).unwrap_err();
            assert!(!cause.contains("secret"), "{cause}");
        }
    }
}
