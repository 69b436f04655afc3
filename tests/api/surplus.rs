//! Jobs that Gladia has twice after all: the first success counts, and the other is known.

use serde_json::json;

use crate::support::{
    TestApp, eventually,
    rows::{failure, success},
};

/// A job that was sent twice, since Gladia's list lied: it showed what came later, and not this one. Gives its id.
async fn doubled_by_a_lie(app: &TestApp) -> String {
    let faults = json!([
        { "operation": "create", "kind": "drop_after", "times": 1 },
        { "operation": "list", "kind": "omit", "job": "endless-doubled" },
    ]);
    app.upstream.fault(&faults).await;
    let id = app.acme.start("endless-doubled.mp3").await;
    let unknown = app.wait_for_attempt(&id, "unknown").await;
    app.wait_until_a_witness_may_be_sent(unknown.id).await;
    let witness = app.acme.start("endless.mp3").await;
    app.acme.wait_until(&id, "processing").await;
    app.end(&witness).await;
    let states: Vec<_> = app
        .attempts(&id)
        .await
        .into_iter()
        .map(|attempt| attempt.state)
        .collect();
    assert_eq!(states, ["not_sent", "accepted"]);
    id
}

async fn start() -> TestApp {
    TestApp::builder()
        .set("SETTLING_SECONDS", 1)
        .set("SEND_WINDOW_SECONDS", 1)
        .set("RECONCILE_AFTER_SECONDS", 3600)
        .doubles_a_job()
        .start()
        .await
}

/// The ids that Gladia gave the first and the second attempt.
async fn gladia_ids(app: &TestApp, id: &str) -> [String; 2] {
    let attempts = app.attempts(id).await;
    let jobs = app.upstream.jobs().await;
    [0, 1].map(|index| {
        let attempt = attempts[index].id.to_string();
        let job = jobs
            .iter()
            .find(|job| job["custom_metadata"]["gladia_gateway_attempt"] == attempt);
        job.unwrap()["id"].as_str().unwrap().to_owned()
    })
}

/// The surplus that was noted for a job.
async fn surplus(app: &TestApp, id: &str) -> Vec<String> {
    sqlx::query_scalar(
        "SELECT gladia_id FROM upstream_deletions WHERE job_id = $1::uuid AND reason = 'surplus'",
    )
    .bind(id)
    .fetch_all(&app.pool)
    .await
    .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_attempts_success_completes_the_job_and_the_newer_one_is_surplus() {
    let app = start().await;
    let id = doubled_by_a_lie(&app).await;
    let [older, newer] = gladia_ids(&app, &id).await;
    let attempts = app.attempts(&id).await;
    app.call_back(attempts[0].id, success(&older, "from the older"))
        .await;
    let done = app.acme.wait_until_done(&id).await;
    assert_eq!(done["gladia_id"], older.as_str());
    assert_eq!(surplus(&app, &id).await, std::slice::from_ref(&newer));

    // What the other one says changes nothing, and its slot comes back.
    app.call_back(attempts[1].id, success(&newer, "from the newer"))
        .await;
    let done = app.acme.job(&id).await;
    let words = &done["result"]["transcription"]["full_transcript"];
    assert_eq!(words, "from the older");
    assert_eq!(app.slots_held().await, 0);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_attempts_success_completes_the_job_and_the_older_one_is_surplus() {
    let app = start().await;
    let id = doubled_by_a_lie(&app).await;
    let [older, newer] = gladia_ids(&app, &id).await;
    let attempts = app.attempts(&id).await;
    app.call_back(attempts[1].id, success(&newer, "from the newer"))
        .await;
    app.acme.wait_until_done(&id).await;
    assert!(surplus(&app, &id).await.is_empty());
    app.call_back(attempts[0].id, failure(&older, 500, "late"))
        .await;
    assert_eq!(surplus(&app, &id).await, [older]);
    let done = app.acme.job(&id).await;
    let words = &done["result"]["transcription"]["full_transcript"];
    assert_eq!(words, "from the newer");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_walk_through_the_list_finds_what_an_earlier_one_did_not_show() {
    let app = start().await;
    let id = doubled_by_a_lie(&app).await;
    let [older, _] = gladia_ids(&app, &id).await;
    // The lie ends; something else is looked for, by a walk, since the filter does not work.
    let faults = json!([
        { "operation": "create", "kind": "drop_after", "times": 1 },
        { "operation": "list", "kind": "status", "status": 200, "match": "custom_metadata",
          "body": r#"{"first":"","current":"","next":null,"items":[]}"#,
          "headers": { "content-type": "application/json" } },
    ]);
    app.upstream.fault(&faults).await;
    let other = app.acme.start("endless-other.mp3").await;
    app.acme.wait_until(&other, "processing").await;
    eventually("surplus that is noted", async || {
        (surplus(&app, &id).await == [older.as_str()]).then_some(())
    })
    .await;
    app.end(&other).await;
    app.end(&id).await;
    app.acme.wait_until_done(&id).await;
    app.finish().await;
}
