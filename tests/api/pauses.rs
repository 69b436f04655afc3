//! What has everybody wait: a Gladia that is busy, that says when to come again, or that cannot be reached.

use serde_json::{Value, json};

use crate::support::{TestApp, eventually};

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_gladia_is_asked_again_later() {
    let app = TestApp::start().await;
    let fault = json!({
        "operation": "create", "kind": "status", "status": 429, "times": 1, "headers": { "retry-after": "2" },
    });
    app.upstream.fault(&fault).await;
    let id = app.acme.start("a.mp3").await;
    let waiting = app.acme.wait_until_reason(&id, "gladia_busy").await;
    assert_eq!(waiting["status"], "queued");
    assert_eq!(app.slots_held().await, 0);
    let done = app.acme.wait_until_done(&id).await;
    assert_eq!(done["status_reason"], Value::Null);
    let states: Vec<String> = app
        .attempts(&id)
        .await
        .into_iter()
        .map(|attempt| attempt.state)
        .collect();
    assert_eq!(states, ["not_sent", "done"]);
    assert_eq!(app.upstream.count("creates_received").await, 2);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_whose_queue_is_full_takes_the_rest_later() {
    let app = TestApp::builder()
        .simulator(|settings| {
            settings.max_running = 1;
            settings.max_queued = 0;
        })
        .start()
        .await;
    let mut ids = Vec::new();
    for number in 0..3 {
        ids.push(app.acme.start(&format!("lengthy-{number}.mp3")).await);
    }
    for id in &ids {
        app.acme.wait_until_done(id).await;
    }
    assert_eq!(app.upstream.count("creates_accepted").await, 3);
    assert!(app.upstream.count("creates_received").await > 3);
    app.finish().await;
}

/// Has Gladia answer a create with these headers, which ask for two minutes, and sees that they are waited.
async fn check_that_it_waits(headers: Value) {
    let app = TestApp::start().await;
    let fault = json!({
        "operation": "create", "kind": "status", "status": 429, "times": 1, "headers": headers,
    });
    app.upstream.fault(&fault).await;
    let id = app.acme.start("a.mp3").await;
    app.acme.wait_until_reason(&id, "gladia_busy").await;
    let seconds = eventually("pause", async || {
        app.scalar::<Option<f64>>(
            "SELECT extract(epoch FROM paused_until - gateway_now())::float8 FROM dispatch",
        )
        .await
    })
    .await;
    assert!((100.0..=120.0).contains(&seconds), "{seconds}");
    app.set_clock_ahead("2 minutes").await;
    app.acme.wait_until_done(&id).await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_time_that_gladia_asks_for_check_that_it_waits() {
    check_that_it_waits(json!({ "retry-after": "120" })).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_time_that_gladia_asks_for_may_be_a_date() {
    // It counts from the answer's own date, however far that is from today.
    let headers = json!({
        "date": "Fri, 02 Jan 2026 00:00:00 GMT", "retry-after": "Fri, 02 Jan 2026 00:02:00 GMT",
    });
    check_that_it_waits(headers).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn gladias_words_for_one_job_too_many_are_known_without_its_envelope() {
    let app = TestApp::start().await;
    for (number, body) in [
        "Rate limit exceeded. As a paying user, you can do less",
        r#"{"status":429,"message":"Rate limit exceeded. As a paying user, you can do less"}"#,
    ]
    .into_iter()
    .enumerate()
    {
        let fault = json!({ "operation": "create", "kind": "status", "status": 429, "body": body, "times": 1 });
        app.upstream.fault(&fault).await;
        let id = app.acme.start(&format!("{number}.mp3")).await;
        app.acme.wait_until_done(&id).await;
        let attempts = app.attempts(&id).await;
        let states: Vec<&str> = attempts.iter().map(|row| row.state.as_str()).collect();
        assert_eq!(states, ["not_sent", "done"], "{body}");
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_several_times_that_gladia_asks_for_the_longest_check_that_it_waits() {
    let app = TestApp::start().await;
    // All are sent before the first is answered, and answered one after the other.
    let mut faults = Vec::new();
    for (audio, milliseconds, seconds) in [("a", 1000, "30"), ("b", 1500, "120"), ("c", 2000, "60")]
    {
        let audio = format!("/{audio}.mp3");
        faults.push(json!({ "operation": "create", "kind": "delay", "milliseconds": milliseconds, "match": audio, "times": 1 }));
        faults.push(json!({
            "operation": "create", "kind": "status", "status": 429, "headers": { "retry-after": seconds }, "match": audio,
            "times": 1,
        }));
    }
    app.upstream.fault(&json!(faults)).await;
    app.pause_dispatch().await;
    let mut ids = Vec::new();
    for audio in ["a.mp3", "b.mp3", "c.mp3"] {
        ids.push(app.acme.start(audio).await);
    }
    app.resume_dispatch().await;
    for id in &ids {
        app.acme.wait_until_reason(id, "gladia_busy").await;
    }
    let (seconds, failures): (f64, i32) = sqlx::query_as(
        "SELECT extract(epoch FROM paused_until - gateway_now())::float8, failures FROM dispatch",
    )
    .fetch_one(&app.pool)
    .await
    .unwrap();
    assert!((100.0..=120.0).contains(&seconds), "{seconds}");
    assert_eq!(failures, 1);
    app.set_clock_ahead("2 minutes").await;
    for id in &ids {
        app.acme.wait_until_done(id).await;
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_waits_while_gladia_cannot_be_reached() {
    let app = TestApp::builder().with_gladia_relay().start().await;
    app.gladia().cut().await;
    let id = app.acme.start("a.mp3").await;
    let waiting = app.acme.wait_until_reason(&id, "not_sent").await;
    assert_eq!(waiting["status"], "queued");
    assert_eq!(app.slots_held().await, 0);
    app.gladia().mend();
    app.set_clock_ahead("2 minutes").await;
    app.acme.wait_until_done(&id).await;
    let attempts = app.attempts(&id).await;
    let (last, others) = attempts.split_last().unwrap();
    assert_eq!(last.state, "done");
    assert!(!others.is_empty());
    assert!(others.iter().all(|attempt| attempt.state == "not_sent"));
    assert_eq!(app.upstream.count("creates_received").await, 1);
    app.finish().await;
}
