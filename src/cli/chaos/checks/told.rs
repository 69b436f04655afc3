//! Whether callers were told: the log itself, and what webhooks, streams, the change list and callbacks made of it.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fmt,
};

use axum::body::Bytes;
use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::{Value, value::RawValue};
use uuid::Uuid;

use super::Verdict;
use crate::{
    cli::chaos::{
        consumers::told::{Call, Promise, Told},
        facts::{Facts, digest},
        load::{Ask, Order},
    },
    db::invariants::{EventFacts, JobFacts},
    domain::event::EventId,
};

const QUEUED: &str = "transcription.queued";
const PROCESSING: &str = "transcription.processing";
const DONE: &str = "transcription.done";
const ERROR: &str = "transcription.error";

/// Judges what was told.
pub(super) fn check(facts: &Facts, orders: &HashMap<Uuid, &Order>, verdict: &mut Verdict) {
    check_numbers(facts, verdict);
    check_stories(facts, verdict);
    check_consumers(facts, verdict);
    check_bodies(facts, verdict);
    check_deliveries(facts, verdict);
    check_callbacks(facts, orders, verdict);
}

/// Numbers run from 1 to the last that was given, each once.
fn check_numbers(facts: &Facts, verdict: &mut Verdict) {
    let numbers: Vec<i64> = facts
        .events
        .iter()
        .filter_map(|event| event.number)
        .collect();
    let unnumbered = facts.events.len() - numbers.len();
    if unnumbered > 0 {
        verdict.violated(format!("{unnumbered} events have no number"));
    }
    let mut expected = 1;
    for number in &numbers {
        if *number != expected {
            verdict.violated(format!(
                "in the place of event {expected} stands {number}: numbers have a gap, or one is there twice"
            ));
            return;
        }
        expected += 1;
    }
    if facts.last_event.0 != expected - 1 {
        verdict.violated(format!(
            "the last number that was given is {}, and the last event's is {}",
            facts.last_event.0,
            expected - 1
        ));
    }
}

/// The events of each job make sense, and end as it did.
fn check_stories(facts: &Facts, verdict: &mut Verdict) {
    let mut stories: HashMap<Uuid, Vec<&str>> = HashMap::new();
    for event in &facts.events {
        if let Some(job) = event.job_id {
            stories.entry(job).or_default().push(&event.event_type);
        }
    }
    for job in &facts.jobs {
        let story = stories.get(&job.id.0).map_or(&[][..], Vec::as_slice);
        if !is_sensible(story, job) {
            verdict.violated(format!(
                "job {} is {}, and its events are {}",
                job.id,
                job.status,
                story.join(", ")
            ));
        }
    }
}

/// Accepted, perhaps begun, perhaps failed before a success that came late, ended as the job did.
fn is_sensible(story: &[&str], job: &JobFacts) -> bool {
    let Some((&QUEUED, mut rest)) = story.split_first() else {
        return false;
    };
    if let Some((&PROCESSING, later)) = rest.split_first() {
        rest = later;
    }
    match (rest, job.status.as_str()) {
        ([DONE] | [ERROR, DONE], "done") | ([ERROR], "error") => true,
        // It is lost, which is said elsewhere.
        (_, status) => !matches!(status, "done" | "error"),
    }
}

/// Everybody is told what the log has for them: streams and the change list once and in order, webhooks once or more.
fn check_consumers(facts: &Facts, verdict: &mut Verdict) {
    for told in &facts.told {
        let name = &told.consumer.name;
        for wrong in &told.wrong {
            verdict.violated(format!("{name}: {wrong}"));
        }
        let expected: BTreeSet<i64> = facts
            .events
            .iter()
            .filter(|event| {
                event.tenant_id == told.consumer.tenant_id
                    && told.consumer.promise.covers(&event.event_type)
            })
            .filter_map(|event| event.number)
            .collect();
        let taken = told.events.iter().filter(|event| event.taken);
        let taken: BTreeSet<i64> = taken.map(|event| event.id.0).collect();
        let came: BTreeSet<i64> = told.events.iter().map(|event| event.id.0).collect();
        let untold: Vec<i64> = expected.difference(&taken).copied().collect();
        if !untold.is_empty() {
            verdict.untold += untold.len();
            verdict.violated(format!(
                "untold: {name} was not told of {}",
                Numbers(&untold)
            ));
        }
        let foreign: Vec<i64> = came.difference(&expected).copied().collect();
        if !foreign.is_empty() {
            verdict.violated(format!(
                "{name} was told of {}, which is not for it",
                Numbers(&foreign)
            ));
        }
        let retold = retold(told);
        match told.consumer.promise {
            Promise::Once if !retold.is_empty() => {
                verdict.retold += retold.len();
                verdict.violated(format!(
                    "retold: {name} was told of {} again, or after a later one",
                    Numbers(&retold)
                ));
            }
            _ => {}
        }
    }
    note_consumers(facts, verdict);
}

/// What did not come after everything smaller.
fn retold(told: &Told) -> Vec<i64> {
    let mut last = EventId::ZERO;
    let mut retold = Vec::new();
    for event in &told.events {
        if event.id > last {
            last = event.id;
        } else {
            retold.push(event.id.0);
        }
    }
    retold
}

fn note_consumers(facts: &Facts, verdict: &mut Verdict) {
    let (mut readers, mut rounds, mut read, mut received, mut repeated) = (0, 0, 0, 0, 0);
    for told in &facts.told {
        let different: BTreeSet<EventId> = told.events.iter().map(|event| event.id).collect();
        match told.consumer.promise {
            Promise::Once => {
                readers += 1;
                rounds += told.rounds;
                read += told.events.len();
            }
            Promise::AtLeastOnce(_) => {
                received += told.events.len();
                repeated += told.events.len() - different.len();
            }
        }
    }
    let sums = facts.deliveries;
    let calls: usize = facts.called.iter().map(|called| called.calls.len()).sum();
    verdict.notes.push(format!(
        "{} events: {readers} readers read {read} in {rounds} requests, endpoints received {received} webhooks of which \
         {repeated} were repeated, and {calls} callbacks came; of {} tries on record {} failed",
        facts.events.len(),
        sums.tries,
        sums.failed_tries
    ));
}

#[derive(Deserialize)]
struct EventBody {
    id: String,
    #[serde(rename = "type")]
    kind: String,
    occurred_at: DateTime<Utc>,
    data: Value,
}

impl EventBody {
    fn agrees(&self, event: &EventFacts) -> bool {
        let status = self.kind.rsplit('.').next();
        Some(&self.id)
            == event
                .number
                .map(|number| EventId(number).to_string())
                .as_ref()
            && self.kind == event.event_type
            && self.occurred_at == event.occurred_at
            && self.data["transcription_id"].as_str()
                == event.job_id.map(|id| id.to_string()).as_deref()
            && self.data["status"].as_str() == status
    }
}

/// The body of an event is what the log has, and the same to the byte wherever it comes.
fn check_bodies(facts: &Facts, verdict: &mut Verdict) {
    let rows: HashMap<i64, &EventFacts> = facts
        .events
        .iter()
        .filter_map(|event| Some((event.number?, event)))
        .collect();
    let mut bodies: BTreeMap<EventId, (&str, &Bytes)> = BTreeMap::new();
    let mut different = BTreeSet::new();
    for told in &facts.told {
        for event in &told.events {
            let name = told.consumer.name.as_str();
            let (first, body) = bodies.entry(event.id).or_insert((name, &event.body));
            if **body != event.body && different.insert(event.id) {
                verdict.violated(format!(
                    "event {} is not the same for {first} and {name}: {} and {}",
                    event.id,
                    String::from_utf8_lossy(body),
                    String::from_utf8_lossy(&event.body)
                ));
            }
        }
    }
    for (id, (name, body)) in bodies {
        // What the log does not have was noticed before.
        let Some(row) = rows.get(&id.0) else { continue };
        let read = serde_json::from_slice::<EventBody>(body);
        if !read.is_ok_and(|read| read.agrees(row)) {
            verdict.violated(format!(
                "event {id} is not what {name} was told: {}",
                String::from_utf8_lossy(body)
            ));
        }
    }
}

fn check_deliveries(facts: &Facts, verdict: &mut Verdict) {
    for delivery in &facts.undelivered {
        verdict.violated(format!(
            "the delivery {} of event {} to {} is {} ({}) after {} tries",
            delivery.id,
            delivery.event_number,
            delivery
                .endpoint_id
                .map_or_else(|| "a callback".to_owned(), |id| format!("endpoint {id}")),
            delivery.status,
            delivery.dead_reason.as_deref().unwrap_or("no reason"),
            delivery.tries
        ));
    }
    if facts.deliveries.doubled > 0 {
        verdict.violated(format!(
            "{} deliveries were made more than once",
            facts.deliveries.doubled
        ));
    }
}

/// A callback in Gladia's shape.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CallBody<'a> {
    id: Uuid,
    event: String,
    #[serde(borrow)]
    payload: Option<&'a RawValue>,
    error: Option<CallError>,
    custom_metadata: Option<Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CallError {
    code: i64,
    message: String,
}

/// Whoever asked to be called when a job ends is called, as asked, with what Gladia would have sent, and nobody else.
fn check_callbacks(facts: &Facts, orders: &HashMap<Uuid, &Order>, verdict: &mut Verdict) {
    let jobs: HashMap<Uuid, &JobFacts> = facts.jobs.iter().map(|job| (job.id.0, job)).collect();
    let mut told: BTreeSet<(Uuid, String)> = BTreeSet::new();
    for called in &facts.called {
        for wrong in &called.wrong {
            verdict.violated(format!("a callback: {wrong}"));
        }
        for call in &called.calls {
            let Ok(body) = serde_json::from_slice::<CallBody>(&call.body) else {
                verdict.violated(format!(
                    "the callback {} has not Gladia's shape: {}",
                    call.id,
                    start_of(&call.body)
                ));
                continue;
            };
            let job = jobs
                .get(&body.id)
                .filter(|job| job.tenant_id == called.tenant_id);
            let asked = orders
                .get(&body.id)
                .and_then(|order| Some((*order, order.callback?)));
            let (Some(job), Some((order, ask))) = (job, asked) else {
                verdict.violated(format!(
                    "the callback {} is of job {}, and nobody there asked for it",
                    call.id, body.id
                ));
                continue;
            };
            if let Err(what) = check_call(facts, call, &body, (order, ask)) {
                verdict.violated(format!(
                    "the callback {} of job {}: {what}",
                    call.id, job.id
                ));
            }
            if call.taken {
                told.insert((body.id, body.event));
            }
        }
    }
    for (job, order) in orders {
        let ended = match jobs.get(job).map(|job| job.status.as_str()) {
            Some("done") => "transcription.success",
            Some("error") => ERROR,
            _ => continue,
        };
        if order.callback.is_some() && !told.contains(&(*job, ended.to_owned())) {
            verdict.untold += 1;
            verdict.violated(format!("untold: no callback says {ended} of job {job}"));
        }
    }
}

fn check_call(
    facts: &Facts,
    call: &Call,
    body: &CallBody<'_>,
    (order, ask): (&Order, Ask),
) -> Result<(), String> {
    if call.method != ask.method() {
        return Err(format!("{} instead of {}", call.method, ask.method()));
    }
    if !call.id.starts_with("cb_") {
        return Err("its id is not a callback's".to_owned());
    }
    if body.custom_metadata.as_ref() != Some(order.custom_metadata()) {
        return Err(format!("its metadata is {:?}", body.custom_metadata));
    }
    match (body.event.as_str(), body.payload, &body.error) {
        ("transcription.success", Some(payload), None) => {
            let digest = digest(payload.get().as_bytes());
            match facts.results.get(&body.id) {
                Some(Ok(result)) if *result == digest => Ok(()),
                _ => Err("its payload is not the result".to_owned()),
            }
        }
        (ERROR, None, Some(error)) if error.code >= 400 && !error.message.is_empty() => Ok(()),
        (event, ..) => Err(format!("it says {event}, and {}", start_of(&call.body))),
    }
}

/// As much of a body as a person wants to see.
fn start_of(body: &[u8]) -> String {
    String::from_utf8_lossy(&body[..body.len().min(300)]).into_owned()
}

/// Numbers of events, the first few of them.
struct Numbers<'a>(&'a [i64]);

impl fmt::Display for Numbers<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} events:", self.0.len())?;
        for number in self.0.iter().take(5) {
            write!(f, " {}", EventId(*number))?;
        }
        if self.0.len() > 5 {
            f.write_str(" …")?;
        }
        Ok(())
    }
}
