//! What a look at Gladia's list proves: nothing, unless it shows something that was accepted later.

use serde_json::json;

use crate::support::{
    TestApp,
    builder::Builder,
    eventually,
    look_ups::{
        FILTER_REFUSED, lose_creates, refuse_creates, start_unknown, start_unknown_without_list,
    },
    rows::success,
};

fn builder() -> Builder {
    TestApp::builder()
        .set("SETTLING_SECONDS", 1)
        .set("SEND_WINDOW_SECONDS", 1)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filter_that_does_not_work_is_noticed_and_the_list_is_walked() {
    let app = builder().start().await;
    refuse_creates(&app, 1).await;
    let (id, _) = start_unknown(&app, "a.mp3").await;
    app.pause_dispatch().await;
    // A filter that lets nothing through would show neither the attempt nor the witness.
    let pattern = json!({ "operation": "list", "kind": "status", "status": 200, "match": "custom_metadata",
        "body": r#"{"first":"","current":"","next":null,"items":[]}"#,
        "headers": { "content-type": "application/json" } });
    app.upstream.fault(&pattern).await;
    app.resume_dispatch().await;
    let witness = app.acme.start("endless.mp3").await;
    app.acme.wait_until_done(&id).await;
    let queries = app.list_queries().await;
    assert!(
        queries
            .iter()
            .any(|query| query.contains("custom_metadata")),
        "{queries:?}"
    );
    assert!(
        queries.iter().any(|query| query.contains("after_date")),
        "{queries:?}"
    );
    app.end(&witness).await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filter_that_is_ignored_adopts_nothing_foreign() {
    let app = builder().start().await;
    let foreign = app.acme.start("endless.mp3").await;
    app.acme.wait_until(&foreign, "processing").await;
    let faults = json!([
        { "operation": "create", "kind": "status", "status": 503, "times": 1 },
        { "operation": "list", "kind": "ignore_metadata" },
    ]);
    app.upstream.fault(&faults).await;
    let (id, _) = start_unknown(&app, "a.mp3").await;
    let witness = app.acme.start("endless-2.mp3").await;
    app.acme.wait_until_done(&id).await;
    assert_eq!(app.attempts(&id).await[0].state, "not_sent");
    app.end(&foreign).await;
    app.end(&witness).await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_lags_behind_proves_nothing_until_it_has_caught_up() {
    let app = builder().start().await;
    let faults = json!([
        { "operation": "create", "kind": "drop_after", "times": 1 },
        { "operation": "callback", "kind": "lose" },
        { "operation": "list", "kind": "lag", "milliseconds": 3_600_000 },
    ]);
    app.upstream.fault(&faults).await;
    let (id, unknown) = start_unknown(&app, "a.mp3").await;
    let witness = app.acme.start("endless.mp3").await;
    app.wait_for_unknown_reason(unknown.id, "list_behind").await;
    eventually("third look", async || {
        let looks: i32 = app
            .scalar(&format!(
                "SELECT looks FROM attempts WHERE id = '{}'",
                unknown.id
            ))
            .await;
        (looks >= 3).then_some(())
    })
    .await;
    assert_eq!(app.attempts(&id).await.len(), 1, "it was sent again");

    app.upstream.clear_faults().await;
    app.acme.wait_until_done(&id).await;
    assert_eq!(app.attempts(&id).await.len(), 1);
    app.end(&witness).await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_catches_up_between_two_questions_makes_nobody_absent() {
    let app = builder().start().await;
    let (id, unknown) = start_unknown_without_list(&app).await;
    let later = app.acme.start("endless-2.mp3").await;
    app.acme.wait_until(&later, "processing").await;
    let witness = app.attempt(&later).await;
    // One that is under way may not know of the witness yet.
    app.wait_for_another_look_up(unknown.id).await;
    // The list shows neither of them to the first question, and both to the second.
    let lag = json!({ "operation": "list", "kind": "lag", "milliseconds": 3_600_000, "times": 1 });
    app.upstream.fault(&lag).await;
    app.acme.wait_until(&id, "processing").await;
    assert_eq!(
        app.attempts_asked_for().await,
        [witness.id.to_string(), unknown.id.to_string()]
    );
    assert_eq!(app.attempts(&id).await.len(), 1);
    for id in [&id, &later] {
        app.end(id).await;
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_witness_the_oldest_alone_is_sent_again_and_is_the_others_witness() {
    let app = builder().set("MAX_IN_FLIGHT", 2).start().await;
    refuse_creates(&app, 2).await;
    let first = app.acme.start("endless.mp3").await;
    app.wait_for_attempt(&first, "unknown").await;
    let second = app.acme.start("a.mp3").await;
    let unknown = app.wait_for_attempt(&second, "unknown").await;
    app.wait_for_unknown_reason(unknown.id, "no_witness").await;
    assert_eq!(app.slots_held().await, 2);

    app.acme.wait_until(&first, "processing").await;
    let waited: bool = app
        .scalar(&format!(
            "SELECT (SELECT created_at FROM attempts WHERE job_id = '{first}' AND number = 2)
                  >= (SELECT send_until + interval '10 seconds' FROM attempts WHERE job_id = '{first}' AND number = 1)"
        ))
        .await;
    assert!(waited, "it was sent again before ten settling times");
    app.acme.wait_until_done(&second).await;
    app.end(&first).await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_sent_again_without_a_witness_once_and_then_an_operator_decides() {
    let app = builder().start().await;
    refuse_creates(&app, 2).await;
    let id = app.acme.start("a.mp3").await;
    app.wait_for_attempt(&id, "unknown").await;
    // Each time, ten settling times have passed.
    app.set_clock_ahead("1 minute").await;
    app.upstream.wait_for("creates_received", 2).await;
    let again = app.wait_for_attempt(&id, "unknown").await;
    app.set_clock_ahead("2 minutes").await;
    app.acme.wait_until_reason(&id, "awaiting_decision").await;
    assert_eq!(app.upstream.count("creates_received").await, 2);
    app.call_back(again.id, success("late", "after all")).await;
    app.acme.wait_until_done(&id).await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_other_job_is_sent_again_without_a_witness_while_one_is_unknown_once_more() {
    let app = builder().start().await;
    refuse_creates(&app, 3).await;
    let first = app.acme.start("a.mp3").await;
    app.wait_for_attempt(&first, "unknown").await;
    let second = app.acme.start("b.mp3").await;
    let waits = app.wait_for_attempt(&second, "unknown").await;
    app.set_clock_ahead("1 minute").await;
    app.upstream.wait_for("creates_received", 3).await;
    let again = app.wait_for_attempt(&first, "unknown").await;
    // The looks that counted for the oldest did not count for it.
    assert_eq!(app.absences(&second).await, 0);

    app.set_clock_ahead("2 minutes").await;
    app.acme
        .wait_until_reason(&first, "awaiting_decision")
        .await;
    // Nor does any look count while it is left to one.
    tokio::join!(
        app.wait_for_another_look_up(waits.id),
        app.set_clock_ahead("3 minutes"),
    );
    app.wait_for_unknown_reason(waits.id, "no_witness").await;
    assert_eq!(app.absences(&second).await, 0);
    assert_eq!(app.upstream.count("creates_received").await, 3);
    for (id, attempt) in [(&first, again), (&second, waits)] {
        let gladia_id = format!("late-{id}");
        app.call_back(attempt.id, success(&gladia_id, "after all"))
            .await;
        app.acme.wait_until_done(id).await;
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_sent_while_an_attempt_could_still_arrive_is_no_witness_for_it() {
    let app = TestApp::start().await;
    refuse_creates(&app, 1).await;
    let id = app.acme.start("a.mp3").await;
    let unknown = app.wait_for_attempt(&id, "unknown").await;
    let other = app.acme.start("endless.mp3").await;
    app.acme.wait_until(&other, "processing").await;
    // The attempt's settling time is over, and ten of them are not.
    app.set_clock_ahead("2 minutes").await;
    app.wait_for_unknown_reason(unknown.id, "no_witness").await;
    assert_eq!(app.absences(&id).await, 0);
    app.call_back(unknown.id, success("late", "after all"))
        .await;
    app.acme.wait_until_done(&id).await;
    app.end(&other).await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_unknown_attempts_share_one_walk() {
    let app = builder().start().await;
    app.pause_dispatch().await;
    let mut ids = Vec::new();
    for number in 0..12 {
        ids.push(app.acme.start(&format!("endless-{number}.mp3")).await);
    }
    lose_creates(&app, 12).await;
    // Each of them is alone in finding out whether Gladia accepts anything: the pauses are skipped.
    app.resume_dispatch().await;
    eventually("twelve unknown attempts", async || {
        app.execute("UPDATE dispatch SET failures = 0, paused_until = NULL, pause_reason = NULL")
            .await;
        let sent: i64 = app
            .scalar(
                "SELECT count(*) FROM attempts WHERE state = 'unknown' OR gladia_id IS NOT NULL",
            )
            .await;
        (sent == 12).then_some(())
    })
    .await;
    for id in &ids {
        app.acme.wait_until(id, "processing").await;
    }
    let queries = app.list_queries().await;
    assert!(queries.len() <= 8, "{queries:#?}");
    assert_eq!(app.upstream.count("creates_received").await, 12);
    for id in &ids {
        app.end(id).await;
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_look_that_another_attempt_is_due_for_is_not_the_second_absence() {
    let app = builder().set("SETTLING_SECONDS", 60).start().await;
    refuse_creates(&app, 2).await;
    let first = app.acme.start("a.mp3").await;
    let waits = app.wait_for_attempt(&first, "unknown").await.id;
    app.set_clock_ahead("10 seconds").await;
    let second = app.acme.start("b.mp3").await;
    let due = app.wait_for_attempt(&second, "unknown").await.id;
    app.set_clock_ahead("3 minutes").await;
    let witness = app.acme.start("endless.mp3").await;
    app.acme.wait_until(&witness, "processing").await;
    app.set_clock_ahead("5 minutes").await;
    eventually("one absence of both", async || {
        let absences: i64 = app
            .scalar("SELECT sum(absences) FROM attempts WHERE state = 'unknown'")
            .await;
        (absences == 2).then_some(())
    })
    .await;
    app.execute(&format!(
        "UPDATE attempts SET next_look_at = gateway_now() WHERE id = '{due}'"
    ))
    .await;
    app.acme.wait_until_done(&second).await;
    let absences: i32 = app
        .scalar(&format!(
            "SELECT absences FROM attempts WHERE id = '{waits}' AND state = 'unknown'"
        ))
        .await;
    assert_eq!(absences, 1);
    app.set_clock_ahead("6 minutes").await;
    app.acme.wait_until_done(&first).await;
    app.end(&witness).await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filter_that_is_ignored_makes_nobody_a_witness() {
    let app = builder().start().await;
    let (id, _) = start_unknown_without_list(&app).await;
    // As many as are asked for at once: whoever is asked for is among them, but for the first job.
    let mut later = Vec::new();
    for number in 0..3 {
        let id = app.acme.start(&format!("endless-{number}.mp3")).await;
        app.acme.wait_until(&id, "processing").await;
        later.push(id);
    }
    app.upstream.clear_faults().await;
    let fault = json!({ "operation": "list", "kind": "ignore_metadata" });
    app.upstream.fault(&fault).await;

    app.acme.wait_until(&id, "processing").await;
    assert_eq!(app.attempts(&id).await.len(), 1, "it was sent again");
    for id in later.iter().chain([&id]) {
        app.end(id).await;
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_the_filter_is_refused_the_list_is_walked() {
    let app = builder().start().await;
    let faults = json!([
        { "operation": "create", "kind": "drop_after", "times": 1 },
        { "operation": "list", "kind": "status", "status": 400, "match": "custom_metadata", "body": FILTER_REFUSED,
          "headers": { "content-type": "application/json" } },
    ]);
    app.upstream.fault(&faults).await;
    let id = app.acme.start("endless.mp3").await;
    app.wait_for_attempt(&id, "unknown").await;
    app.acme.wait_until(&id, "processing").await;
    assert_eq!(app.attempts(&id).await.len(), 1);
    app.end(&id).await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_moves_under_a_walk_hides_nothing_from_it() {
    let app = builder().start().await;
    let run = async |audio: String| {
        let id = app.acme.start(&audio).await;
        app.acme.wait_until_done(&id).await;
    };
    for number in 0..2 {
        run(format!("older-{number}.mp3")).await;
    }
    let (id, _) = start_unknown_without_list(&app).await;
    // Its witnesses, and a whole page.
    for number in 0..10 {
        run(format!("newer-{number}.mp3")).await;
    }
    // Twice when the second page is asked for, two jobs of the first are gone, and what it would have begun with is past it. Two
    // walks that miss the attempt would have its job sent again.
    let faults = json!([
        { "operation": "list", "kind": "status", "status": 400, "match": "custom_metadata", "body": FILTER_REFUSED,
          "headers": { "content-type": "application/json" } },
        { "operation": "list", "kind": "omit", "job": "newer-3.mp3", "match": "offset=9&", "times": 2 },
        { "operation": "list", "kind": "omit", "job": "newer-7.mp3", "match": "offset=9&", "times": 2 },
    ]);
    app.upstream.fault(&faults).await;
    app.execute("UPDATE attempts SET next_look_at = gateway_now() WHERE state = 'unknown'")
        .await;
    app.acme.wait_until(&id, "processing").await;
    assert_eq!(app.attempts(&id).await.len(), 1, "it was sent again");
    let queries = app.list_queries().await;
    let second_pages = queries.iter().filter(|query| query.contains("offset=9&"));
    assert_eq!(second_pages.count(), 3, "{queries:#?}");
    app.end(&id).await;
    app.finish().await;
}
