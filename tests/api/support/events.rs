//! The change list, as a caller reads it.

use serde_json::Value;

use super::{Caller, TestApp, eventually};

/// A page, by its query.
pub async fn page(caller: &Caller, query: &str) -> Value {
    caller.get(&format!("/v1/events?{query}")).await.expect(200)
}

/// Everything after an event, read in pages of a few.
pub async fn all_after(caller: &Caller, after: &str) -> Vec<Value> {
    let mut events = Vec::new();
    let mut after = after.to_owned();
    loop {
        let mut page = page(caller, &format!("after={after}&limit=3")).await;
        let found = page["events"].as_array_mut().unwrap();
        assert!(found.len() <= 3);
        events.append(found);
        page["next_after"].as_str().unwrap().clone_into(&mut after);
        if page["has_more"] == false {
            return events;
        }
    }
}

pub fn number(event: &Value) -> i64 {
    let id = event["id"].as_str().unwrap();
    id.strip_prefix("evt_").unwrap().parse().unwrap()
}

/// What the events say of a job, without their common prefix.
pub fn types_of<'a>(events: &'a [Value], job: &str) -> Vec<&'a str> {
    let of_job = events
        .iter()
        .filter(|event| event["data"]["transcription_id"] == job);
    of_job
        .map(|event| event["type"].as_str().unwrap())
        .map(|kind| kind.strip_prefix("transcription.").unwrap())
        .collect()
}

/// The changes of a job that others see, as its rows have them.
pub async fn changes_of(app: &TestApp, job: &str) -> Vec<String> {
    let private = ["submitting", "requeued", "unknown"];
    let mut changes = app.events(job).await;
    changes.retain(|change| !private.contains(&change.as_str()));
    for change in &mut changes {
        if change == "retried" {
            "queued".clone_into(change);
        }
    }
    changes
}

/// Waits until no event waits for its number.
pub async fn wait_until_numbered(app: &TestApp) {
    eventually("moment at which every event has its number", async || {
        let waiting = app
            .rows(
                "events WHERE number IS NULL AND type NOT IN
                 ('transcription.submitting', 'transcription.requeued', 'transcription.unknown')",
            )
            .await;
        (waiting == 0).then_some(())
    })
    .await;
}

/// Everything that has happened to acme's jobs by now.
pub async fn all_told(app: &TestApp) -> Vec<Value> {
    wait_until_numbered(app).await;
    all_after(&app.acme, "evt_0").await
}
