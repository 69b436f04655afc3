//! Attempts of unknown outcome: looked for at Gladia, adopted if they are there, sent again only if they provably are not.

use serde_json::{Value, json};

use crate::support::{
    Answer, TestApp,
    builder::{Builder, DRAIN},
    eventually,
    look_ups::{lose_creates, refuse_creates},
    process::Process,
    rows::success,
};

/// Gateways whose unknown attempts are looked for within seconds.
fn builder() -> Builder {
    TestApp::builder()
        .set("SETTLING_SECONDS", 1)
        .set("SEND_WINDOW_SECONDS", 1)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_gladia_has_is_adopted_after_one_look() {
    let app = builder().start().await;
    lose_creates(&app, 1).await;
    let id = app.acme.start("endless.mp3").await;
    let job = app.acme.wait_until(&id, "processing").await;
    let at_gladia = app.upstream.jobs().await;
    assert_eq!(job["gladia_id"], at_gladia[0]["id"]);
    assert_eq!(app.settled_by(&id).await, Some("look_up".to_owned()));
    assert_eq!(app.upstream.count("lists").await, 1);
    assert_eq!(app.upstream.count("creates_received").await, 1);
    assert_eq!(app.slots_held().await, 1);

    let attempt = app.attempt(&id).await;
    let gladia_id = at_gladia[0]["id"].as_str().unwrap();
    app.call_back(attempt.id, success(gladia_id, "found")).await;
    app.acme.wait_until_done(&id).await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_gladia_provably_does_not_have_is_sent_again_after_two_looks() {
    let app = builder().start().await;
    refuse_creates(&app, 1).await;
    let id = app.acme.start("a.mp3").await;
    let unknown = app.wait_for_attempt(&id, "unknown").await;
    app.wait_until_a_witness_may_be_sent(unknown.id).await;
    // The witness: sent later, and in the list.
    let witness = app.acme.start("endless.mp3").await;

    let job = app.acme.wait_until_done(&id).await;
    assert_eq!(job["status_reason"], Value::Null);
    let attempts = app.attempts(&id).await;
    let states: Vec<&str> = attempts.iter().map(|row| row.state.as_str()).collect();
    assert_eq!(states, ["not_sent", "done"]);
    let absences: i32 = app
        .scalar(&format!(
            "SELECT absences FROM attempts WHERE id = '{}'",
            unknown.id
        ))
        .await;
    assert_eq!(absences, 2);
    assert_eq!(app.settled_by(&id).await, Some("look_up".to_owned()));
    assert_eq!(app.upstream.count("creates_received").await, 3);
    assert_eq!(app.upstream.count("creates_accepted").await, 2);
    app.end(&witness).await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_back_goes_ahead_of_its_tenants_other_jobs() {
    let app = builder().set("MAX_IN_FLIGHT", 2).start().await;
    refuse_creates(&app, 1).await;
    let first = app.acme.start("a.mp3").await;
    let unknown = app.wait_for_attempt(&first, "unknown").await;
    app.wait_until_a_witness_may_be_sent(unknown.id).await;
    let witness = app.acme.start("endless.mp3").await;
    let later = app.acme.start("b.mp3").await;
    app.acme.wait_until_done(&first).await;
    app.end(&witness).await;
    app.acme.wait_until_done(&later).await;
    let order: Vec<String> = sqlx::query_scalar(
        "SELECT job_id::text FROM attempts WHERE state = 'done' ORDER BY created_at",
    )
    .fetch_all(&app.pool)
    .await
    .unwrap();
    assert_eq!(order, [witness, first, later]);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_replicas_look_once() {
    let app = builder().replicas(3).start().await;
    lose_creates(&app, 1).await;
    let id = app.acme.start("endless.mp3").await;
    app.acme.wait_until(&id, "processing").await;
    assert_eq!(app.upstream.count("lists").await, 1);
    app.end(&id).await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_whose_answer_and_callback_were_both_lost_is_found() {
    let app = builder().set("RECONCILE_AFTER_SECONDS", 3600).start().await;
    let faults = json!([
        { "operation": "create", "kind": "drop_after", "times": 1 },
        { "operation": "callback", "kind": "lose", "times": 1 },
    ]);
    app.upstream.fault(&faults).await;
    let id = app.acme.start("spoken.mp3").await;
    let job = app.acme.wait_until_done(&id).await;
    assert_eq!(
        job["result"]["transcription"]["full_transcript"],
        "Good morning from the harbour"
    );
    assert_eq!(app.upstream.count("creates_received").await, 1);
    assert_eq!(app.upstream.count("gets").await, 1);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn resend_unknown_never_leaves_what_was_not_sent_to_an_operator() {
    let app = builder().set("RESEND_UNKNOWN", "never").start().await;
    refuse_creates(&app, 1).await;
    let id = app.acme.start("a.mp3").await;
    let unknown = app.wait_for_attempt(&id, "unknown").await;
    app.wait_until_a_witness_may_be_sent(unknown.id).await;
    let witness = app.acme.start("endless.mp3").await;
    let job = app.acme.wait_until_reason(&id, "awaiting_decision").await;
    assert_eq!(job["status"], "queued");
    assert_eq!(app.attempts(&id).await.len(), 1);
    assert_eq!(app.upstream.count("creates_received").await, 2);

    // Its callback would still complete it.
    app.call_back(unknown.id, success("late", "after all"))
        .await;
    app.acme.wait_until_done(&id).await;
    app.end(&witness).await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_has_to_decide_about_a_job_that_was_canceled() {
    let app = builder().set("RESEND_UNKNOWN", "never").start().await;
    refuse_creates(&app, 1).await;
    let id = app.acme.start("a.mp3").await;
    let unknown = app.wait_for_attempt(&id, "unknown").await;
    app.acme.cancel(&id).await;
    app.wait_until_a_witness_may_be_sent(unknown.id).await;
    let witness = app.acme.start("endless.mp3").await;
    app.wait_for_attempt(&id, "not_sent").await;
    assert_eq!(app.slots_held().await, 1);
    assert_eq!(app.acme.job(&id).await["status"], "canceled");
    assert_eq!(app.upstream.count("creates_received").await, 2);
    app.end(&witness).await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_has_to_decide_any_more_once_the_job_is_canceled_or_deleted() {
    let app = builder().set("RESEND_UNKNOWN", "never").start().await;
    refuse_creates(&app, 2).await;
    let canceled = app.acme.start("a.mp3").await;
    app.wait_for_attempt(&canceled, "unknown").await;
    let deleted = app.acme.start("b.mp3").await;
    let unknown = app.wait_for_attempt(&deleted, "unknown").await;
    app.wait_until_a_witness_may_be_sent(unknown.id).await;
    let witness = app.acme.start("endless.mp3").await;
    for id in [&canceled, &deleted] {
        app.acme.wait_until_reason(id, "awaiting_decision").await;
    }
    assert_eq!(app.slots_held().await, 3);
    app.acme.cancel(&canceled).await.expect(200);
    assert_eq!(app.acme.delete(&deleted).await.status, 204);
    for id in [&canceled, &deleted] {
        app.wait_for_attempt(id, "not_sent").await;
        assert_eq!(app.settled_by(id).await, Some("look_up".to_owned()));
    }
    assert_eq!(app.slots_held().await, 1);
    assert_eq!(app.upstream.count("creates_received").await, 3);
    app.end(&witness).await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_that_is_still_unknown_at_its_slots_deadline_gives_the_slot_back_and_waits_on() {
    let app = builder().start().await;
    let faults = json!([
        { "operation": "create", "kind": "status", "status": 500, "times": 1 },
        { "operation": "list", "kind": "status", "status": 500 },
    ]);
    app.upstream.fault(&faults).await;
    let id = app.acme.start("a.mp3").await;
    let unknown = app.wait_for_attempt(&id, "unknown").await;
    app.wait_for_unknown_reason(unknown.id, "list_unavailable")
        .await;
    app.set_clock_ahead("3 hours").await;
    eventually("slot that is given back", async || {
        (app.slots_held().await == 0).then_some(())
    })
    .await;
    let job = app.acme.job(&id).await;
    assert_eq!(
        (&job["status"], &job["status_reason"]),
        (&json!("queued"), &json!("outcome_unknown"))
    );
    assert_eq!(app.upstream.count("creates_received").await, 1);
    app.call_back(unknown.id, success("late", "after all"))
        .await;
    app.acme.wait_until_done(&id).await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_sent_again_twenty_times_is_left_to_an_operator() {
    let app = builder().start().await;
    refuse_creates(&app, 1).await;
    let id = app.acme.start("a.mp3").await;
    let unknown = app.wait_for_attempt(&id, "unknown").await;
    app.execute(&format!(
        "INSERT INTO attempts (id, job_id, number, state, key_id, worker, send_until, lease_until, settled_by, finished_at)
         SELECT gen_random_uuid(), '{id}', 100 + nth, 'not_sent', 'test', 'test', gateway_now(),
                gateway_now() + interval '1 second', 'look_up', gateway_now()
         FROM generate_series(1, 20) AS nth"
    ))
    .await;
    app.wait_until_a_witness_may_be_sent(unknown.id).await;
    app.acme.start("endless.mp3").await;
    app.acme.wait_until_reason(&id, "awaiting_decision").await;
    assert_eq!(app.upstream.count("creates_received").await, 2);
    app.call_back(unknown.id, success("late", "after all"))
        .await;
    app.acme.wait_until_done(&id).await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_zero_data_retention_nothing_is_looked_up_and_an_operator_decides_at_the_deadline() {
    let app = builder()
        .set("GLADIA_ZERO_DATA_RETENTION", true)
        .start()
        .await;
    refuse_creates(&app, 1).await;
    let id = app.acme.start("a.mp3").await;
    let unknown = app.wait_for_attempt(&id, "unknown").await;
    app.set_clock_ahead("2 hours").await;
    let other = app.acme.start("b.mp3").await;
    app.acme.wait_until_done(&other).await;
    assert_eq!(app.acme.job(&id).await["status_reason"], "outcome_unknown");
    app.set_clock_ahead("3 hours").await;
    app.acme.wait_until_reason(&id, "awaiting_decision").await;
    assert_eq!(app.slots_held().await, 0);
    assert_eq!(app.upstream.count("lists").await, 0);
    assert_eq!(app.upstream.count("gets").await, 0);
    app.call_back(unknown.id, success("late", "after all"))
        .await;
    app.acme.wait_until_done(&id).await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_zero_data_retention_nobody_decides_about_a_job_that_has_ended() {
    let app = builder()
        .set("GLADIA_ZERO_DATA_RETENTION", true)
        .start()
        .await;
    refuse_creates(&app, 2).await;
    let before = app.acme.start("a.mp3").await;
    app.wait_for_attempt(&before, "unknown").await;
    let after = app.acme.start("b.mp3").await;
    app.wait_for_attempt(&after, "unknown").await;
    app.acme.cancel(&before).await.expect(200);
    assert_eq!(app.slots_held().await, 2);
    app.set_clock_ahead("3 hours").await;
    app.wait_for_attempt(&before, "expired").await;
    app.acme
        .wait_until_reason(&after, "awaiting_decision")
        .await;
    assert_eq!(app.slots_held().await, 0);
    assert_eq!(app.acme.delete(&after).await.status, 204);
    app.wait_for_attempt(&after, "expired").await;
    assert_eq!(app.upstream.count("creates_received").await, 2);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_look_is_not_counted_where_a_callback_came_before_its_end() {
    let app = builder()
        .set("SETTLING_SECONDS", 3)
        .with_gladia_relay()
        .start()
        .await;
    // A process of its own counts for itself, and nobody else looks.
    app.replicas[0].stop(DRAIN).await;
    let mut process = Process::serve(&app, &[]);
    let base = format!("http://{}", process.address().await);
    let caller = app.acme.at(&base);
    refuse_creates(&app, 1).await;
    let id = caller.start("a.mp3").await;
    let unknown = app.wait_for_attempt(&id, "unknown").await;
    app.gladia().hold_answers();
    app.upstream.wait_for("lists", 1).await;
    let url = app.callback_url_at(&base, unknown.id);
    let body = success("after-all", "words");
    Answer::to(app.http.post(url).body(body)).await.expect(200);
    app.gladia().release_answers();
    eventually("end of the look", async || {
        app.scalar::<bool>("SELECT worker IS NULL FROM look_ups")
            .await
            .then_some(())
    })
    .await;
    let metrics = caller.with_key(None).get("/metrics").await.text();
    let mut counted = metrics
        .lines()
        .filter(|line| line.starts_with("gateway_look_ups_total{"))
        .peekable();
    assert!(counted.peek().is_some());
    for line in counted {
        assert!(line.ends_with(" 0"), "{line}");
    }
    process.terminate();
    process.log().await;
    app.finish().await;
}
