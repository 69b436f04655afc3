//! Jobs whose stored request cannot be read: each is a matter of its own.

use serde_json::Value;

use crate::support::{
    TestApp,
    look_ups::lose_creates,
    rows::{AttemptRow, success},
};

/// Has a job's request hold what goes deeper than any reader follows, beside what is shown of it.
async fn make_unreadable(app: &TestApp, job: &str) {
    let (begin, end) = ("[".repeat(200), "]".repeat(200));
    let request = format!(r#"{{"options":{{}},"extra_options":{{}},"more":{begin}{end}}}"#);
    let statement = format!("UPDATE jobs SET request = '{request}' WHERE id = '{job}'");
    assert_eq!(app.execute(&statement).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_cannot_be_read_ends_alone_and_everybody_elses_go_ahead() {
    let app = TestApp::builder().set("MAX_IN_FLIGHT", 4).start().await;
    app.pause_dispatch().await;
    let odd = app.acme.start("odd.mp3").await;
    let mut others = Vec::new();
    for caller in [&app.acme, &app.globex] {
        others.push((caller, caller.start("spoken.mp3").await));
    }
    make_unreadable(&app, &odd).await;
    app.resume_dispatch().await;
    for (caller, id) in &others {
        caller.wait_until_done(id).await;
    }
    let job = app.acme.wait_until(&odd, "error").await;
    let message = job["error"]["message"].as_str().unwrap();
    assert!(message.contains("nothing was sent to Gladia"), "{message}");
    assert_eq!(job["error"]["type"], "gladia_refused");
    assert_eq!(job["error"]["code"], Value::Null);
    assert_eq!(job["error"]["retry"]["may_be_billed_twice"], false);
    let states =
        |rows: Vec<AttemptRow>| -> Vec<String> { rows.into_iter().map(|row| row.state).collect() };
    assert_eq!(states(app.attempts(&odd).await), ["not_sent"]);
    assert_eq!(app.events(&odd).await, ["queued", "submitting", "error"]);
    assert_eq!(app.upstream.count("creates_received").await, 2);
    // It holds nothing up later either, and can be read as far as it goes, and erased.
    app.acme.retry(&odd).await.expect(202);
    app.acme.wait_until(&odd, "error").await;
    assert_eq!(states(app.attempts(&odd).await), ["not_sent", "not_sent"]);
    let timeline = app.acme.timeline(&odd).await;
    let steps = timeline["steps"].as_array().unwrap().iter();
    let reasons: Vec<_> = steps
        .filter(|step| step["step"] == "error")
        .map(|step| &step["reason"])
        .collect();
    assert_eq!(reasons, ["gladia_refused", "gladia_refused"]);
    assert_eq!(app.acme.v2_job(&odd).await["request_params"], Value::Null);
    let later = app.acme.start("later.mp3").await;
    app.acme.wait_until_done(&later).await;
    assert_eq!(app.acme.delete(&odd).await.status, 204);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_gladia_has_is_looked_up_and_done_though_it_cannot_be_read_any_more() {
    let app = TestApp::builder()
        .set("SETTLING_SECONDS", 1)
        .set("SEND_WINDOW_SECONDS", 1)
        .start()
        .await;
    lose_creates(&app, 1).await;
    let id = app.acme.start("endless.mp3").await;
    let attempt = app.wait_for_attempt(&id, "unknown").await;
    make_unreadable(&app, &id).await;
    let job = app.acme.wait_until(&id, "processing").await;
    assert_eq!(app.settled_by(&id).await, Some("look_up".to_owned()));
    let gladia_id = job["gladia_id"].as_str().unwrap();
    app.call_back(attempt.id, success(gladia_id, "found")).await;
    app.acme.wait_until_done(&id).await;
    app.finish().await;
}
