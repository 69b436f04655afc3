//! A consumer of the change list, which waits for news at one replica after the other, and hangs up at times.

use std::time::Duration;

use rand::RngExt;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::reader::Reader;
use crate::domain::event::EventId;

/// How much longer than it was asked to wait a replica may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

#[derive(Deserialize)]
struct Page<'a> {
    #[serde(borrow)]
    events: Vec<&'a RawValue>,
    next_after: String,
    has_more: bool,
}

#[derive(Deserialize)]
struct Named {
    id: String,
}

/// Reads on for as long as it is polled.
pub async fn follow(mut reader: Reader) {
    let mut after = None;
    loop {
        if let Some(next) = read_page(&mut reader, after.as_deref()).await {
            after = Some(next);
        }
    }
}

/// Reads a page, and where the next one begins. Nothing, where none came.
pub async fn read_page(reader: &mut Reader, after: Option<&str>) -> Option<String> {
    let limit = [1, 7, 100, 500][reader.rng.random_range(0..4)];
    let wait = reader.rng.random_range(0..=20_u64);
    let patience = if reader.rng.random_bool(0.15) {
        reader.milliseconds(50, 2_000)
    } else {
        Duration::from_secs(wait) + ANSWER_TIMEOUT
    };
    let request = reader.get("/v1/events").await;
    let request = request
        .query(&[("limit", limit.to_string()), ("wait", wait.to_string())])
        .query(&after.map(|after| [("after", after)]))
        .timeout(patience);
    let answer = reader.accept(request.send().await).await?;
    // An answer that broke off is asked for again.
    let text = answer.text().await.ok()?;
    note(reader, &text)
        .map_err(|what| reader.notebook.complain(what))
        .ok()
}

fn note(reader: &Reader, text: &str) -> Result<String, String> {
    let page =
        serde_json::from_str::<Page>(text).map_err(|error| format!("no page ({error}): {text}"))?;
    if page.has_more && page.events.is_empty() {
        return Err(format!("nothing, and more of it: {text}"));
    }
    for event in page.events {
        let named = serde_json::from_str::<Named>(event.get())
            .map_err(|error| format!("no event ({error}): {event}"))?;
        let id: EventId = named.id.parse().map_err(|_| format!("no id: {event}"))?;
        reader.notebook.add(id, event.get().to_owned().into());
    }
    Ok(page.next_after)
}
