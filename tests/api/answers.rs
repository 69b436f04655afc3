//! Gladia's answers to creates that come at the same time share a commit, and none is the worse for it.

use crate::support::{TestApp, database::until_statements_wait, eventually, rows::success};

/// As many as are claimed together.
const JOBS: usize = 16;

/// Has Gladia answer jobs while no answer can be recorded, and lets them be recorded then. Returns in how many commits they were.
/// `also` is what the database does at each statement that records any.
async fn answered_together(also: &str) -> i64 {
    let app = TestApp::builder().set("MAX_IN_FLIGHT", JOBS).start().await;
    // They wait until all are there, and are claimed together.
    app.pause_dispatch().await;
    let mut ids = Vec::with_capacity(JOBS);
    for number in 0..JOBS {
        ids.push(app.acme.start(&format!("endless-{number}.mp3")).await);
    }
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
    let mut holds_up = app.pool.begin().await.unwrap();
    sqlx::query("SELECT pg_advisory_xact_lock(7)")
        .execute(&mut *holds_up)
        .await
        .unwrap();
    app.resume_dispatch().await;
    eventually("answers", async || {
        let accepted = app.upstream.count("creates_accepted").await;
        (usize::try_from(accepted).unwrap() == JOBS).then_some(())
    })
    .await;
    until_statements_wait(&app, 1).await;
    assert_eq!(app.rows("attempts WHERE state = 'submitting'").await, 16);
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
    assert_eq!(app.rows(told).await, 16);
    assert_eq!(app.slots_held().await, 16);
    let commits = app
        .rows("(SELECT DISTINCT xmin::text FROM attempts) AS commits")
        .await;
    for id in &ids {
        let attempt = app.attempts(id).await.remove(0);
        let body = success(&attempt.gladia_id.unwrap(), "done");
        assert_eq!(app.call_back(attempt.id, body).await.status, 200);
    }
    app.finish().await;
    commits
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_come_together_share_a_commit() {
    let commits = answered_together("").await;
    assert!(commits < 16, "{commits}");
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_cannot_be_recorded_together_are_recorded_one_by_one() {
    let refuse = "IF (SELECT count(*) FROM changed) > 1 THEN RAISE 'not together'; END IF;";
    assert_eq!(answered_together(refuse).await, 16);
}
