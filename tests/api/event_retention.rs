//! The end of the log's retention.

use serde_json::{Value, json};

use crate::{
    streams::{kinds, of_job},
    support::{
        TestApp,
        callbacks::processing,
        events::wait_until_numbered,
        eventually,
        rows::{failure, success},
        sse::EventStream,
    },
};

/// Waits until a query counts nothing.
async fn until_none(app: &TestApp, what: &str, rows: &str) {
    eventually(&format!("moment without {what}"), async || {
        (app.rows(rows).await == 0).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn old_events_of_jobs_that_have_ended_are_deleted_and_a_reader_who_missed_them_is_told() {
    let app = TestApp::builder()
        .set("EVENT_RETENTION_SECONDS", 3600)
        .replicas(2)
        .start()
        .await;
    let (at_work, attempt, gladia_id) = processing(&app).await;
    let old = app.acme.start("a.mp3").await;
    app.acme.wait_until_done(&old).await;
    let theirs = app.globex.start("b.mp3").await;
    app.globex.wait_until_done(&theirs).await;
    wait_until_numbered(&app).await;
    let all = app.acme.get("/v1/events").await.expect(200);
    let first = all["events"][0]["id"].as_str().unwrap().to_owned();
    let done_of_old = all["next_after"].as_str().unwrap().to_owned();
    let timeline = app.acme.timeline(&old).await;

    app.set_clock_ahead("61 minutes").await;
    until_none(
        &app,
        "events of the old job",
        &format!("events WHERE job_id = '{old}'"),
    )
    .await;
    until_none(
        &app,
        "events of the other tenant",
        &format!("events WHERE job_id = '{theirs}'"),
    )
    .await;
    assert_eq!(
        app.events(&at_work).await,
        ["queued", "submitting", "processing"]
    );
    for after in ["evt_0", &first] {
        let answer = app
            .acme
            .get(&format!("/v1/events?after={after}&wait=15"))
            .await;
        let problem = answer.problem(410, "event-cursor-expired");
        let horizon = problem["oldest_after"].as_str().unwrap();
        assert_eq!(horizon, last_of(&all, &old), "{problem}");
        let detail = problem["detail"].as_str().unwrap();
        assert!(
            detail.contains("/v1/transcriptions") && detail.contains(horizon),
            "{detail}"
        );
        app.acme
            .get(&format!("/v1/events?after={horizon}"))
            .await
            .expect(200);
    }
    // The end of the log moves on, and so does whoever has seen it.
    app.call_back(attempt.id, success(&gladia_id, "words"))
        .await;
    app.acme.wait_until_done(&at_work).await;
    let news = app
        .acme
        .get(&format!("/v1/events?after={done_of_old}&wait=15"))
        .await
        .expect(200);
    let from_start = app.acme.get("/v1/events").await.expect(200);
    for page in [&news, &from_start] {
        let last = page["events"].as_array().unwrap().last().unwrap();
        assert_eq!(
            (&last["type"], &last["data"]["transcription_id"]),
            (&json!("transcription.done"), &json!(at_work))
        );
    }
    // Whoever begins with what is kept can go on from there.
    let next = from_start["next_after"].as_str().unwrap();
    app.acme
        .get(&format!("/v1/events?after={next}"))
        .await
        .expect(200);
    // What the job knows of itself is still told.
    let kept = app.acme.timeline(&old).await;
    let ends = |timeline: &Value| {
        let steps = timeline["steps"].as_array().unwrap();
        let told = [steps.first(), steps.last()].map(Option::unwrap);
        told.map(|step| (step["step"].clone(), step["attempt"].clone()))
    };
    assert_eq!(ends(&kept), ends(&timeline));
    app.finish().await;
}

/// The last event that a page has of a job.
fn last_of<'a>(page: &'a Value, job: &str) -> &'a str {
    let events = page["events"].as_array().unwrap();
    let mut of_job = events
        .iter()
        .filter(|event| event["data"]["transcription_id"] == job);
    of_job.next_back().unwrap()["id"].as_str().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_is_tried_again_after_its_events_are_gone_tells_its_attempts_by_their_numbers() {
    let app = TestApp::builder()
        .set("EVENT_RETENTION_SECONDS", 3600)
        .start()
        .await;
    let (id, attempt, gladia_id) = processing(&app).await;
    app.call_back(attempt.id, failure(&gladia_id, 500, "worker lost"))
        .await;
    app.acme.wait_until(&id, "error").await;
    wait_until_numbered(&app).await;
    app.set_clock_ahead("61 minutes").await;
    until_none(&app, "events", "events").await;
    app.acme.retry_at_any_cost(&id).await.expect(202);
    let second = eventually("second attempt", async || {
        let attempt = app.attempt(&id).await;
        (attempt.id != attempt_id(&gladia_id, &app, &id).await && attempt.state == "accepted")
            .then_some(attempt)
    })
    .await;
    app.call_back(second.id, success(&second.gladia_id.unwrap(), "words"))
        .await;
    app.acme.wait_until_done(&id).await;
    let timeline = app.acme.timeline(&id).await;
    let steps = timeline["steps"].as_array().unwrap();
    assert_eq!(steps[0]["step"], "accepted");
    let submitting = steps
        .iter()
        .find(|step| step["step"] == "submitting")
        .unwrap();
    assert_eq!(submitting["attempt"], 2, "{timeline}");
    app.finish().await;
}

/// The attempt that Gladia knows by an id.
async fn attempt_id(gladia_id: &str, app: &TestApp, job: &str) -> uuid::Uuid {
    let attempts = app.attempts(job).await;
    let mut of_id = attempts
        .iter()
        .filter(|attempt| attempt.gladia_id.as_deref() == Some(gladia_id));
    of_id.next().unwrap().id
}

#[tokio::test(flavor = "multi_thread")]
async fn deliveries_that_are_through_go_with_their_tries_and_the_others_keep_their_events() {
    let app = TestApp::builder()
        .set("EVENT_RETENTION_SECONDS", 3600)
        .start()
        .await;
    let mut ids = Vec::new();
    for audio in ["a.mp3", "b.mp3", "c.mp3"] {
        let id = app.acme.start(audio).await;
        app.acme.wait_until_done(&id).await;
        ids.push(id);
    }
    wait_until_numbered(&app).await;
    // Of the first the delivery is through, of the second it has just got through, of the third it is still to be made.
    for (id, status, finished) in [
        (&ids[0], "delivered", "gateway_now()"),
        (
            &ids[1],
            "delivered",
            "gateway_now() + interval '30 minutes'",
        ),
        (&ids[2], "pending", "NULL"),
    ] {
        app.execute(&format!(
            "WITH made AS (
                 INSERT INTO deliveries (id, tenant_id, lane_id, event_number, event_type, job_id, status, finished_at, next_try_at)
                 SELECT gen_random_uuid(), tenant_id, gen_random_uuid(), number, type, job_id, '{status}', {finished}, 'infinity'
                 FROM events WHERE job_id = '{id}' AND type = 'transcription.done'
                 RETURNING id
             )
             INSERT INTO delivery_attempts (delivery_id, number, started_at, duration_ms)
             SELECT id, 1, gateway_now(), 1 FROM made"
        ))
        .await;
    }
    app.set_clock_ahead("61 minutes").await;
    until_none(
        &app,
        "old events",
        &format!("events WHERE job_id = '{}'", ids[0]),
    )
    .await;
    for id in &ids[1..] {
        eventually("events that are kept alone", async || {
            (app.events(id).await == ["done"]).then_some(())
        })
        .await;
    }
    assert_eq!(app.rows("deliveries").await, 2);
    assert_eq!(app.rows("delivery_attempts").await, 2);
    app.execute("DELETE FROM deliveries").await;
    app.finish().await;
}

/// How long a timeline says that something lasted.
fn seconds(timeline: &Value, what: &str) -> f64 {
    timeline["now"][what].as_f64().unwrap()
}

/// The codes of a timeline's steps.
fn steps(timeline: &Value) -> Vec<&str> {
    let steps = timeline["steps"].as_array().unwrap();
    steps
        .iter()
        .map(|step| step["step"].as_str().unwrap())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_jobs_events_go_together_and_its_timeline_tells_how_long_it_took() {
    let app = TestApp::builder()
        .set("EVENT_RETENTION_SECONDS", 3600)
        .start()
        .await;
    let (id, attempt, gladia_id) = processing(&app).await;
    let short = app.acme.start("a.mp3").await;
    app.acme.wait_until_done(&short).await;
    wait_until_numbered(&app).await;
    app.set_clock_ahead("30 minutes").await;
    app.call_back(attempt.id, success(&gladia_id, "words"))
        .await;
    app.acme.wait_until_done(&id).await;
    wait_until_numbered(&app).await;
    let whole = app.acme.timeline(&id).await;

    // What is old is gone through, and its beginning with it.
    app.set_clock_ahead("62 minutes").await;
    let of_short = format!("events WHERE job_id = '{short}'");
    until_none(&app, "events of the short one", &of_short).await;
    assert_eq!(
        app.events(&id).await,
        ["queued", "submitting", "processing", "done"]
    );
    app.set_clock_ahead("92 minutes").await;
    let end = format!("events WHERE job_id = '{id}' AND type = 'transcription.done'");
    until_none(&app, "the end of it", &end).await;
    assert_eq!(app.events(&id).await, [""; 0]);

    let kept = app.acme.timeline(&id).await;
    let told = steps(&kept);
    assert_eq!(told.first(), Some(&"accepted"), "{kept}");
    assert_eq!(told.last(), Some(&"done"), "{kept}");
    for what in ["queued_seconds", "processing_seconds"] {
        let (before, after) = (seconds(&whole, what), seconds(&kept, what));
        assert!((before - after).abs() < 1.0, "{what}: {before}, {after}");
    }
    app.acme.get(&of_job(&id)).await.expect(204);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_still_to_be_told_of_a_job_keeps_all_that_follows_it() {
    let app = TestApp::builder()
        .set("EVENT_RETENTION_SECONDS", 3600)
        .start()
        .await;
    let id = app.acme.start("a.mp3").await;
    app.acme.wait_until_done(&id).await;
    let other = app.acme.start("b.mp3").await;
    app.acme.wait_until_done(&other).await;
    wait_until_numbered(&app).await;
    let all = app.events(&id).await;
    app.execute(&format!(
        "INSERT INTO deliveries (id, tenant_id, lane_id, event_number, event_type, job_id, status, next_try_at)
         SELECT gen_random_uuid(), tenant_id, gen_random_uuid(), number, type, job_id, 'pending', 'infinity'
         FROM events WHERE job_id = '{id}' AND type = 'transcription.queued'"
    ))
    .await;
    app.set_clock_ahead("61 minutes").await;
    let of_other = format!("events WHERE job_id = '{other}'");
    until_none(&app, "events of the other one", &of_other).await;
    assert_eq!(app.events(&id).await, all);
    let told = EventStream::open(&app.acme, &of_job(&id))
        .await
        .rest()
        .await;
    assert_eq!(kinds(&told), ["queued", "processing", "done"]);
    app.execute("DELETE FROM deliveries").await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_the_end_of_a_job_is_gone_its_stream_says_so_and_its_timeline_has_it() {
    let app = TestApp::start().await;
    let id = app.acme.start("a.mp3").await;
    app.acme.wait_until_done(&id).await;
    wait_until_numbered(&app).await;
    let whole = app.acme.timeline(&id).await;
    // As an older version has left it.
    app.execute(&format!(
        "WITH gone AS (
             DELETE FROM events WHERE job_id = '{id}' AND type = 'transcription.done' RETURNING tenant_id, number
         )
         INSERT INTO event_horizons SELECT tenant_id, number FROM gone"
    ))
    .await;
    let refused = app.acme.get(&of_job(&id)).await;
    refused.problem(410, "event-cursor-expired");
    app.set_clock_ahead("1 hour").await;
    let kept = app.acme.timeline(&id).await;
    assert_eq!(steps(&kept), steps(&whole));
    assert!(seconds(&kept, "processing_seconds") < 60.0, "{kept}");
    app.finish().await;
}
