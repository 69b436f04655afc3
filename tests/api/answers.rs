//! Gladia's answers to creates that come at the same time share a commit, and none is the worse for it.

use crate::support::{
    TestApp,
    app::attempt_of,
    database::{hold_lock, until_statements_wait},
    rows::success,
};

/// As many as are claimed together.
const JOBS: i64 = 16;

/// Queues jobs that end only when they are [completed](complete). They wait until all are there, so that they are claimed
/// together once dispatch is resumed.
async fn start_all(app: &TestApp) -> Vec<String> {
    app.pause_dispatch().await;
    let mut ids = Vec::new();
    for number in 0..JOBS {
        ids.push(app.acme.start(&format!("endless-{number}.mp3")).await);
    }
    ids
}

async fn all_are_accepted(app: &TestApp) {
    let count = JOBS.try_into().unwrap();
    app.upstream.wait_for("creates_accepted", count).await;
}

async fn complete(app: &TestApp, ids: &[String]) {
    for id in ids {
        let attempt = app.attempt(id).await;
        let body = success(&attempt.gladia_id.unwrap(), "done");
        assert_eq!(app.call_back(attempt.id, body).await.status, 200);
    }
}

/// Has Gladia answer jobs while no answer can be recorded, and lets them be recorded then. Returns in how many commits they were.
/// `also` is what the database does at each statement that records any.
async fn answered_together(also: &str) -> i64 {
    let app = TestApp::builder().set("MAX_IN_FLIGHT", JOBS).start().await;
    let ids = start_all(&app).await;
    app.execute(&format!(
        "CREATE FUNCTION hold() RETURNS trigger LANGUAGE plpgsql AS $$
             BEGIN
                 IF EXISTS (SELECT FROM changed WHERE state = 'accepted') THEN
                     PERFORM pg_advisory_xact_lock_shared(7);
                     {also}
                 END IF;
                 RETURN NULL;
             END $$"
    ))
    .await;
    app.execute(
        "CREATE TRIGGER holds AFTER UPDATE ON attempts REFERENCING NEW TABLE AS changed
             FOR EACH STATEMENT EXECUTE FUNCTION hold()",
    )
    .await;
    let holds_up = hold_lock(&app).await;
    app.resume_dispatch().await;
    all_are_accepted(&app).await;
    until_statements_wait(&app, 1).await;
    assert_eq!(app.rows("attempts WHERE state = 'submitting'").await, JOBS);
    holds_up.rollback().await.unwrap();
    for id in &ids {
        let job = app.acme.wait_until(id, "processing").await;
        let recorded = app
            .rows(&format!(
                "attempts a JOIN jobs j ON j.id = a.job_id
                 WHERE j.id = '{id}' AND a.state = 'accepted' AND a.gladia_id = '{}' AND j.gladia_id = a.gladia_id
                   AND a.answered_at IS NOT NULL AND a.expected_by > a.answered_at AND j.status_reason IS NULL",
                job["gladia_id"].as_str().unwrap()
            ))
            .await;
        assert_eq!(recorded, 1);
    }
    let told = "events WHERE type = 'transcription.processing' AND data->>'status' = 'processing'";
    assert_eq!(app.rows(told).await, JOBS);
    assert_eq!(app.slots_held().await, JOBS);
    let commits = app
        .rows("(SELECT DISTINCT xmin::text FROM attempts) AS commits")
        .await;
    complete(&app, &ids).await;
    app.finish().await;
    commits
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_come_together_share_a_commit() {
    let commits = answered_together("").await;
    assert!(commits < JOBS, "{commits}");
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_cannot_be_recorded_together_are_recorded_one_by_one() {
    let refuse = "IF (SELECT count(*) FROM changed) > 1 THEN RAISE 'not together'; END IF;";
    assert_eq!(answered_together(refuse).await, JOBS);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_has_moved_on_is_passed_by_and_the_others_are_recorded() {
    let app = TestApp::builder()
        .with_gladia_relay()
        .set("MAX_IN_FLIGHT", JOBS)
        .start()
        .await;
    app.gladia().hold_answers();
    let ids = start_all(&app).await;
    app.resume_dispatch().await;
    all_are_accepted(&app).await;
    let [canceled, called_back, others @ ..] = &ids[..] else {
        unreachable!("there are more")
    };
    app.acme.cancel(canceled).await.expect(200);
    let attempt = app.attempt(called_back).await;
    let jobs = app.upstream.jobs().await;
    let at_gladia = jobs
        .iter()
        .find(|job| attempt_of(job) == attempt.id.to_string())
        .unwrap();
    let body = success(at_gladia["id"].as_str().unwrap(), "early");
    assert_eq!(app.call_back(attempt.id, body).await.status, 200);
    let done = app.acme.wait_until_done(called_back).await;

    app.gladia().release_answers();
    for id in others {
        app.acme.wait_until(id, "processing").await;
    }
    app.wait_for_attempt(canceled, "accepted").await;
    assert_eq!(app.acme.job(canceled).await["status"], "canceled");
    assert_eq!(app.acme.job(called_back).await, done);
    assert_eq!(
        app.events(called_back).await,
        ["queued", "submitting", "done"]
    );
    complete(&app, others).await;
    complete(&app, std::slice::from_ref(canceled)).await;
    assert_eq!(app.callback_outcomes(canceled).await, ["discarded"]);
    app.finish().await;
}
