//! Callbacks that never come: Gladia is asked for what is overdue, once, and then less and less often.

use serde_json::{Value, json};

use crate::support::{
    TestApp, builder::Builder, callbacks::processing, database::until_statements_wait, eventually,
    looks::lose_callbacks, rows::success,
};

/// A gateway that asks for a job after a minute without its callback.
fn builder() -> Builder {
    TestApp::builder().set("RECONCILE_AFTER_SECONDS", 60)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_callback_is_found_by_exactly_one_get() {
    let app = TestApp::start().await;
    let id = app.start_and_lose_callback("spoken.mp3").await;
    let expected: f64 = app
        .scalar("SELECT extract(epoch FROM expected_by - created_at)::float8 FROM attempts")
        .await;
    // The audio's length is unknown: as if it were a call.
    assert!((180.0..181.0).contains(&expected), "{expected}");
    app.set_clock_ahead("150 seconds").await;
    app.set_clock_ahead("4 minutes").await;
    let job = app.acme.wait_until_done(&id).await;
    assert_eq!(app.gets().await, 1);
    assert_eq!(app.callback_outcomes(&id).await, ["completed"]);
    assert_eq!(app.slots_held().await, 0);
    assert_eq!(
        job["result"]["transcription"]["full_transcript"],
        "Good morning from the harbour"
    );
    let result = app.acme.result(&id).await;
    assert_eq!(result.bytes, app.result_at_gladia(&id).await);
    let method: String = app.scalar("SELECT method FROM callbacks").await;
    assert_eq!(method, "GET");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn looks_come_less_and_less_often() {
    let app = builder().start().await;
    let (id, ..) = processing(&app).await;
    let mut ahead = 62.0;
    for (looks, seconds) in (1..).zip([60.0, 120.0, 240.0, 480.0, 900.0, 900.0]) {
        app.set_clock_ahead(&format!("{ahead} seconds")).await;
        let rests = app.wait_for_looks(&id, looks).await;
        assert!(
            (seconds - 5.0..=seconds * 1.25).contains(&rests),
            "{rests} after look {looks}"
        );
        ahead += rests + 1.0;
    }
    assert_eq!(app.gets().await, 6);
    assert_eq!(app.acme.job(&id).await["status"], "processing");
    app.end(&id).await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_replicas_one_asks() {
    let app = builder().replicas(2).start().await;
    let id = app.start_and_lose_callback("a.mp3").await;
    // Long enough for both to have looked for what is due.
    app.upstream
        .fault(&json!({ "operation": "get", "kind": "delay", "milliseconds": 2500 }))
        .await;
    app.set_clock_ahead("62 seconds").await;
    app.acme.wait_until_done(&id).await;
    assert_eq!(app.gets().await, 1);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_gladia_does_not_have_any_more_fails_after_three_answers_over_ten_minutes() {
    let app = builder().start().await;
    let (id, attempt, gladia_id) = processing(&app).await;
    app.upstream
        .fault(&json!({ "operation": "get", "kind": "status", "status": 404 }))
        .await;
    let mut ahead = 62.0;
    for looks in 1..=2 {
        app.set_clock_ahead(&format!("{ahead} seconds")).await;
        let rests = app.wait_for_looks(&id, looks).await;
        assert!((295.0..=330.0).contains(&rests), "{rests}");
        assert_eq!(app.absences(&id).await, looks);
        assert_eq!(app.acme.job(&id).await["status"], "processing");
        ahead += rests + 1.0;
    }
    app.set_clock_ahead(&format!("{ahead} seconds")).await;
    let job = app.acme.wait_until(&id, "error").await;
    assert_eq!(job["error"]["type"], "result_missing");
    assert_eq!(app.slots_held().await, 0);
    assert_eq!(app.gets().await, 3);
    assert_eq!(app.attempt(&id).await.state, "expired");

    // A success that arrives later still completes it.
    app.call_back(attempt.id, success(&gladia_id, "late"))
        .await
        .expect(200);
    app.acme.wait_until_done(&id).await;
    assert_eq!(
        app.events(&id).await,
        ["queued", "submitting", "processing", "error", "done"]
    );
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_gladias_own_404_counts_and_an_answer_in_between_starts_anew() {
    let app = builder().start().await;
    let (id, ..) = processing(&app).await;
    let absent = json!({ "operation": "get", "kind": "status", "status": 404, "times": 1 });
    app.upstream.fault(&absent).await;
    app.set_clock_ahead("62 seconds").await;
    app.wait_for_looks(&id, 1).await;
    assert_eq!(app.absences(&id).await, 1);

    for (looks, status, body) in [
        (2, 404, json!("<h1>Not here</h1>")),
        (3, 503, Value::Null),
        (4, 401, Value::Null),
        (5, 200, json!("<h1>Welcome</h1>")),
        (
            6,
            200,
            json!("{\"id\":\"another\",\"status\":\"done\",\"result\":{\"metadata\":{}}}"),
        ),
    ] {
        let mut fault =
            json!({ "operation": "get", "kind": "status", "status": status, "times": 1 });
        if !body.is_null() {
            fault["body"] = body;
        }
        app.upstream.fault(&fault).await;
        app.set_clock_ahead(&format!("{} minutes", looks * 19))
            .await;
        app.wait_for_looks(&id, looks).await;
        assert_eq!(app.absences(&id).await, 1, "{fault}");
    }
    app.set_clock_ahead("133 minutes").await;
    app.wait_for_looks(&id, 7).await;
    assert_eq!(app.absences(&id).await, 0);
    assert_eq!(app.acme.job(&id).await["status"], "processing");
    assert!(app.callback_outcomes(&id).await.is_empty());
    app.end(&id).await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_is_done_without_a_result_is_asked_for_until_it_has_one() {
    let app = builder().start().await;
    let id = app.start_and_lose_callback("spoken.mp3").await;
    let gladia_id = app.attempt(&id).await.gladia_id.unwrap();
    let bare = json!({ "id": gladia_id, "status": "done", "result": { "metadata": null } });
    let fault = json!({
        "operation": "get", "kind": "status", "status": 200, "body": bare.to_string(), "times": 1,
    });
    app.upstream.fault(&fault).await;
    app.set_clock_ahead("62 seconds").await;
    app.wait_for_looks(&id, 1).await;
    assert_eq!(app.acme.job(&id).await["status"], "processing");
    app.set_clock_ahead("4 minutes").await;
    app.acme.wait_until_done(&id).await;
    let result = app.acme.result(&id).await;
    assert_eq!(result.bytes, app.result_at_gladia(&id).await);
    assert_eq!(app.callback_outcomes(&id).await, ["completed"]);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_slot_of_a_canceled_job_comes_back_and_its_result_is_not_kept() {
    let app = builder().start().await;
    lose_callbacks(&app).await;
    let id = app.acme.start("lengthy.mp3").await;
    app.acme.wait_until(&id, "processing").await;
    app.acme.cancel(&id).await.expect(200);
    assert_eq!(app.slots_held().await, 1);
    app.upstream.wait_for("callbacks_lost", 1).await;
    app.set_clock_ahead("62 seconds").await;
    eventually("free slot", async || {
        (app.slots_held().await == 0).then_some(())
    })
    .await;
    assert_eq!(app.callback_outcomes(&id).await, ["discarded"]);
    let kept: i64 = app
        .scalar("SELECT count(*) FROM callbacks WHERE body IS NOT NULL")
        .await;
    assert_eq!(kept, 0);
    assert_eq!(app.acme.job(&id).await["status"], "canceled");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_is_found_with_its_code() {
    let app = builder().start().await;
    let id = app.start_and_lose_callback("failing.mp3").await;
    app.set_clock_ahead("62 seconds").await;
    let job = app.acme.wait_until(&id, "error").await;
    assert_eq!(job["error"]["type"], "transcription_failed");
    assert_eq!(job["error"]["code"], 422);
    assert_eq!(app.gets().await, 1);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_callback_after_the_get_changes_nothing() {
    let app = builder().start().await;
    let id = app.start_and_lose_callback("spoken.mp3").await;
    app.set_clock_ahead("62 seconds").await;
    app.acme.wait_until_done(&id).await;
    let before = app.acme.result(&id).await;
    let gladia_id = app.attempt(&id).await.gladia_id.unwrap();
    app.upstream.clear_faults().await;
    assert_eq!(app.upstream.resend_callback(&gladia_id).await, 200);
    assert_eq!(
        app.callback_outcomes(&id).await,
        ["completed", "superseded"]
    );
    let after = app.acme.result(&id).await;
    assert_eq!(before.bytes, after.bytes);
    assert_eq!(app.events(&id).await.last().unwrap(), "done");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_ended_while_everything_was_down_is_asked_for_before_it_is_given_up() {
    let app = TestApp::start().await;
    let id = app.start_and_lose_callback("a.mp3").await;
    app.set_clock_ahead("5 hours").await;
    app.acme.wait_until_done(&id).await;
    assert_eq!(
        app.events(&id).await,
        ["queued", "submitting", "processing", "done"]
    );
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_turns_out_to_be_accepted_when_it_is_given_up_is_asked_for_first() {
    let app = TestApp::start().await;
    app.upstream
        .fault(&json!([
            { "operation": "create", "kind": "drop_after" },
            { "operation": "callback", "kind": "lose" },
            { "operation": "list", "kind": "status", "status": 503 },
        ]))
        .await;
    let id = app.acme.start("a.mp3").await;
    let unknown = app.wait_for_attempt(&id, "unknown").await;
    app.upstream.wait_for("callbacks_lost", 1).await;
    let at_gladia = app.upstream.jobs().await;
    let gladia_id = at_gladia[0]["id"].as_str().unwrap();

    let mut adopts = app.pool.begin().await.unwrap();
    sqlx::query("SELECT FROM jobs FOR UPDATE")
        .execute(&mut *adopts)
        .await
        .unwrap();
    app.set_clock_ahead("3 hours").await;
    // Whoever gives it up has found it by now, and not yet looked again.
    until_statements_wait(&app, 1).await;
    for adopt in [
        format!(
            "UPDATE attempts SET state = 'accepted', unknown_reason = NULL, gladia_id = '{gladia_id}',
                                 answered_at = gateway_now(), next_look_at = gateway_now() WHERE id = '{}'",
            unknown.id
        ),
        "UPDATE jobs SET status = 'processing', status_reason = NULL".to_owned(),
    ] {
        sqlx::query(sqlx::AssertSqlSafe(adopt))
            .execute(&mut *adopts)
            .await
            .unwrap();
    }
    adopts.commit().await.unwrap();
    app.acme.wait_until_done(&id).await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn at_its_slots_deadline_a_job_fails_and_is_asked_for_on() {
    let app = TestApp::start().await;
    let (id, ..) = processing(&app).await;
    app.upstream
        .fault(&json!({ "operation": "get", "kind": "status", "status": 503 }))
        .await;
    app.set_clock_ahead("2 hours 16 minutes").await;
    let job = app.acme.wait_until(&id, "error").await;
    assert_eq!(job["error"]["type"], "result_missing");
    assert_eq!(app.slots_held().await, 0);
    assert_eq!(app.gets().await, 1);

    app.upstream.clear_faults().await;
    app.set_clock_ahead("2 hours 20 minutes").await;
    app.wait_for_looks(&id, 2).await;
    app.end(&id).await;
    app.acme.wait_until_done(&id).await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_zero_data_retention_nothing_is_asked_for() {
    let app = builder()
        .set("GLADIA_ZERO_DATA_RETENTION", true)
        .start()
        .await;
    let (id, ..) = processing(&app).await;
    app.set_clock_ahead("3 hours").await;
    let job = app.acme.wait_until(&id, "error").await;
    assert_eq!(job["error"]["type"], "result_missing");
    assert_eq!(app.gets().await, 0);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_breaks_a_look_off_and_another_replica_takes_it_over() {
    let mut app = builder().start().await;
    let id = app.start_and_lose_callback("a.mp3").await;
    app.upstream
        .fault(&json!({ "operation": "get", "kind": "delay", "milliseconds": 60_000, "times": 1 }))
        .await;
    app.set_clock_ahead("62 seconds").await;
    app.upstream.wait_for("gets", 1).await;
    let stopped = app.replicas[0]
        .stop(std::time::Duration::from_secs(5))
        .await;
    assert!(stopped, "it stops without waiting for Gladia");
    app.add_replica(&[]).await;
    let base = app.replicas[1].base.clone();
    app.acme.at(&base).wait_until_done(&id).await;
    assert_eq!(app.gets().await, 2);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_known_of_the_audio_and_the_features_says_when_a_job_is_overdue() {
    let app = TestApp::start().await;
    let options = json!({ "diarization": true, "summarization": true, "translation": false });
    let file = crate::support::audio::short();
    let job = app
        .acme
        .upload(file, "a.wav", Some(&options))
        .await
        .expect(202);
    app.acme.wait_until_done(job["id"].as_str().unwrap()).await;
    let expected: f64 = app
        .scalar("SELECT extract(epoch FROM expected_by - created_at)::float8 FROM attempts")
        .await;
    // Two minutes, half a minute for each feature, and next to nothing for the audio.
    assert!((180.0..182.0).contains(&expected), "{expected}");
    app.finish().await;
}
