//! What a job's timeline tells.

use serde_json::{Value, json};

use crate::support::{
    TestApp,
    look_ups::refuse_creates,
    rows::{failure, success},
};

/// Step, attempt and reason of each step, whose times must be in order.
fn told(timeline: &Value) -> Vec<(String, Option<i64>, Option<String>)> {
    let steps = timeline["steps"].as_array().unwrap();
    let times: Vec<chrono::DateTime<chrono::Utc>> = steps
        .iter()
        .map(|step| step["at"].as_str().unwrap().parse().unwrap())
        .collect();
    assert!(times.is_sorted(), "{timeline}");
    for step in steps {
        let words = step["explanation"].as_str().unwrap();
        assert!(words.ends_with('.') && words.len() > 10, "{step}");
    }
    let text = |value: &Value| value.as_str().map(str::to_owned);
    steps
        .iter()
        .map(|step| {
            let code = text(&step["step"]).unwrap();
            (code, step["attempt"].as_i64(), text(&step["reason"]))
        })
        .collect()
}

fn step(
    code: &str,
    attempt: impl Into<Option<i64>>,
    reason: impl Into<Option<&'static str>>,
) -> (String, Option<i64>, Option<String>) {
    let reason = reason.into().map(str::to_owned);
    (code.to_owned(), attempt.into(), reason)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_step_of_a_long_story_is_told_and_nothing_that_is_secret() {
    let app = TestApp::start().await;
    let busy = json!({
        "operation": "create", "kind": "status", "status": 429, "times": 1, "headers": { "retry-after": "600" },
    });
    app.upstream.fault(&busy).await;
    let id = app.acme.start("endless.mp3").await;
    app.acme.wait_until_reason(&id, "gladia_busy").await;
    app.resume_dispatch().await;
    app.acme.wait_until(&id, "processing").await;
    let second = app.attempt(&id).await;
    let body = failure(
        &second.gladia_id.unwrap(),
        500,
        "worker lost in a secret place",
    );
    app.call_back(second.id, body).await;
    app.acme.retry(&id).await.expect(202);
    app.acme.wait_until(&id, "processing").await;
    let third = app.attempt(&id).await;
    let gladia_id = third.gladia_id.unwrap();
    app.call_back(third.id, "garbage").await;
    app.call_back(third.id, success(&gladia_id, "secret words"))
        .await;
    let timeline = app.acme.timeline(&id).await;
    assert_eq!(
        told(&timeline),
        [
            step("accepted", None, None),
            step("submitting", 1, None),
            step("not_sent", 1, "gladia_busy"),
            step("submitting", 2, None),
            step("processing", 2, None),
            step("callback_received", 2, "failed"),
            step("error", 2, "transcription_failed"),
            step("retried", None, None),
            step("submitting", 3, None),
            step("processing", 3, None),
            step("callback_received", 3, "quarantined"),
            step("callback_received", 3, "completed"),
            step("done", 3, None),
        ]
    );
    assert_eq!(timeline["transcription_id"], id.as_str());
    assert_eq!(timeline["steps_left_out"], 0);
    let job = app.acme.job(&id).await;
    let now = &timeline["now"];
    assert_eq!(now["status"], "done");
    assert_eq!(now["ahead_in_line"], Value::Null);
    assert_eq!(
        timeline["steps"][0]["at"].as_str().unwrap()[..19],
        job["created_at"].as_str().unwrap()[..19]
    );
    let text = timeline.to_string();
    let worker: String = app.scalar("SELECT worker FROM attempts LIMIT 1").await;
    for secret in [
        "secret",
        "callbacks/gladia",
        "audio.example",
        &third.id.to_string(),
        &second.id.to_string(),
        &worker,
    ] {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_outcome_is_told_with_the_look_that_settled_it() {
    let app = TestApp::builder()
        .set("SETTLING_SECONDS", 1)
        .set("SEND_WINDOW_SECONDS", 1)
        .start()
        .await;
    refuse_creates(&app, 1).await;
    let id = app.acme.start("endless.mp3").await;
    let unknown = app.wait_for_attempt(&id, "unknown").await;
    let timeline = app.acme.timeline(&id).await;
    assert_eq!(
        told(&timeline)[1..],
        [
            step("submitting", 1, None),
            step("outcome_unknown", 1, None)
        ]
    );
    assert_eq!(timeline["now"]["status_reason"], "outcome_unknown");
    app.wait_until_a_witness_may_be_sent(unknown.id).await;
    let witness = app.acme.start("endless-witness.mp3").await;
    app.acme.wait_until(&id, "processing").await;
    assert_eq!(
        told(&app.acme.timeline(&id).await)[3..],
        [
            step("not_found_at_gladia", 1, None),
            step("not_sent", 1, "look_up"),
            step("submitting", 2, None),
            step("processing", 2, None),
        ]
    );
    for job in [&id, &witness] {
        app.end(job).await;
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_fetched_is_told_as_such() {
    let app = TestApp::start().await;
    let id = app.start_and_lose_callback("spoken.mp3").await;
    app.set_clock_ahead("1 hour").await;
    app.acme.wait_until_done(&id).await;
    let timeline = app.acme.timeline(&id).await;
    assert_eq!(
        told(&timeline)[2..],
        [
            step("processing", 1, None),
            step("result_fetched", 1, "completed"),
            step("done", 1, None),
        ]
    );
    let processing = timeline["now"]["processing_seconds"].as_f64().unwrap();
    assert!((3600.0..3700.0).contains(&processing), "{processing}");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_in_line_knows_how_long_it_has_waited_and_how_many_are_ahead() {
    let app = TestApp::start().await;
    app.pause_dispatch().await;
    app.globex.start("theirs.mp3").await;
    let mut ids = Vec::new();
    for audio in ["a.mp3", "b.mp3", "c.mp3"] {
        ids.push(app.acme.start(audio).await);
    }
    for (id, ahead) in ids.iter().zip([0, 1, 2]) {
        let timeline = app.acme.timeline(id).await;
        assert_eq!(timeline["now"]["ahead_in_line"], ahead);
        assert_eq!(told(&timeline), [step("accepted", None, None)]);
    }
    app.set_clock_ahead("1 hour").await;
    app.acme.cancel(&ids[0]).await.expect(200);
    let now = &app.acme.timeline(&ids[2]).await["now"];
    assert_eq!(
        (&now["status"], &now["ahead_in_line"]),
        (&json!("queued"), &json!(1))
    );
    let queued = now["queued_seconds"].as_f64().unwrap();
    assert!((3600.0..3700.0).contains(&queued), "{queued}");
    assert_eq!(now["processing_seconds"], 0.0);
    let canceled = app.acme.timeline(&ids[0]).await;
    assert_eq!(
        told(&canceled)[1],
        step("canceled", None, "canceled_before_submission")
    );
    assert_eq!(canceled["now"]["since"], canceled["steps"][1]["at"]);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_in_a_long_line_knows_that_many_are_ahead_and_no_more() {
    let app = TestApp::start().await;
    app.pause_dispatch().await;
    let id = app.acme.start("a.mp3").await;
    let ahead = |from: u32, to: u32| {
        format!(
            "INSERT INTO jobs
             SELECT (jsonb_populate_record(job, jsonb_build_object(
                         'id', gen_random_uuid(), 'queued_at', queued_at - make_interval(secs => n)))).*
             FROM jobs job, generate_series({from}, {to}) n WHERE id = '{id}'"
        )
    };
    for (from, to, told) in [(1, 10_000, 10_000), (10_001, 10_050, 10_001)] {
        app.execute(&ahead(from, to)).await;
        let timeline = app.acme.timeline(&id).await;
        assert_eq!(timeline["now"]["ahead_in_line"], told);
    }
    app.stop().await;
}
