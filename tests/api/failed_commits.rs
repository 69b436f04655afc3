//! Postgres takes every statement and refuses the commit: nothing counts, and nobody is told otherwise.

use reqwest::{Method, RequestBuilder};
use serde_json::json;

use crate::support::{
    Answer, BOUND, TestApp, audio, callbacks::processing, eventually, process::Process,
    retries::missing, rows::success,
};

/// Has commits fail in which this was done to rows of a table: `INSERT ON jobs`, say.
async fn fail_commits(app: &TestApp, done: &str, condition: &str) {
    app.execute(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
         $$ BEGIN RAISE 'a commit that fails'; END $$",
    )
    .await;
    app.execute(&format!(
        "CREATE CONSTRAINT TRIGGER refuses AFTER {done} DEFERRABLE INITIALLY DEFERRED
         FOR EACH ROW WHEN ({condition}) EXECUTE FUNCTION refuse()"
    ))
    .await;
}

async fn let_commits_succeed(app: &TestApp) {
    app.execute("DROP FUNCTION refuse CASCADE").await;
}

async fn once(key: &str, request: RequestBuilder) -> Answer {
    Answer::to(request.header("Idempotency-Key", key)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_create_whose_commit_fails_is_not_accepted_and_succeeds_when_it_comes_again() {
    let app = TestApp::start().await;
    let caller = &app.acme;
    let kept = json!({ "audio_url": caller.keep(audio::short(), "kept.wav").await });
    let link = json!({ "audio_url": "https://audio.example/a.mp3" });
    let batch = json!({ "requests": [link, { "audio_url": "https://audio.example/b.mp3" }] });
    let create_all = async || {
        let file = caller.upload_request(audio::short(), "sent.wav", None);
        let batch = caller.request(Method::POST, "/v1/batches").json(&batch);
        [
            caller.transcribe_once("a link", &link).await,
            caller.transcribe_once("a file that is here", &kept).await,
            once("a file", file).await,
            once("a batch", batch).await,
            caller.v2_create(&kept).await,
        ]
    };
    fail_commits(&app, "INSERT ON jobs", "true").await;
    let refused = create_all().await;
    assert_eq!(refused.each_ref().map(|answer| answer.status), [500; 5]);
    refused[0].problem(500, "internal");
    for table in ["jobs", "batches", "events"] {
        assert_eq!(app.rows(table).await, 0, "{table}");
    }
    eventually("keys that are free again", async || {
        (app.rows("idempotency_keys").await == 0).then_some(())
    })
    .await;
    let_commits_succeed(&app).await;
    let accepted = create_all().await;
    let statuses = accepted.each_ref().map(|answer| answer.status);
    assert_eq!(statuses, [202, 202, 202, 202, 201]);
    for answer in &accepted {
        assert_eq!(answer.header("idempotency-replayed"), None);
    }
    assert_eq!(app.rows("jobs").await, 6);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_whose_commit_fails_is_not_answered_as_if_it_had_been_made() {
    let app = TestApp::start().await;
    let caller = &app.acme;
    let (runs, attempt, gladia_id) = processing(&app).await;
    let failed = caller.start("failing.mp3").await;
    caller.wait_until(&failed, "error").await;
    let [ended, other] = [caller.start("a.mp3").await, caller.start("b.mp3").await];
    for id in [&ended, &other] {
        caller.wait_until_done(id).await;
    }
    let change_all = async || {
        let answers = [
            caller.cancel(&runs).await,
            caller.retry(&failed).await,
            caller.delete(&ended).await,
            caller.v2_delete(&other).await,
        ];
        answers.map(|answer| answer.status)
    };
    let states = async || {
        let mut states = Vec::new();
        for id in [&runs, &failed, &ended, &other] {
            states.push(caller.get(&format!("/v1/transcriptions/{id}")).await.bytes);
        }
        states
    };
    let before = states().await;
    fail_commits(&app, "UPDATE ON jobs", "true").await;
    assert_eq!(change_all().await, [500; 4]);
    assert_eq!(states().await, before);
    let_commits_succeed(&app).await;
    assert_eq!(change_all().await, [200, 202, 204, 202]);
    caller.wait_until(&failed, "error").await;
    let late = success(&gladia_id, "too late");
    app.call_back(attempt.id, late).await.expect(200);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_callback_with_which_no_job_can_be_completed_is_kept_before_it_is_answered() {
    let app = TestApp::start().await;
    // Of a job that was sent twice, each callback is carried out by itself.
    let (twice, older, older_gladia_id) = missing(&app).await;
    app.acme.retry_at_any_cost(&twice).await.expect(202);
    app.acme.wait_until(&twice, "processing").await;
    let (single, attempt, gladia_id) = processing(&app).await;
    let callbacks = [
        (&twice, older.id, success(&older_gladia_id, "late")),
        (&single, attempt.id, success(&gladia_id, "words")),
    ];
    fail_commits(&app, "UPDATE ON jobs", "NEW.status = 'done'").await;
    for (id, attempt, body) in &callbacks {
        app.call_back(*attempt, body.clone()).await.expect(200);
        assert_eq!(app.callback_outcomes(id).await, ["quarantined"]);
        let kept = format!("SELECT body FROM callbacks WHERE attempt_id = '{attempt}'");
        let kept: Vec<u8> = app.scalar(&kept).await;
        assert_eq!(zstd::decode_all(kept.as_slice()).unwrap(), body.as_bytes());
        assert_eq!(app.acme.job(id).await["status"], "processing");
    }
    let_commits_succeed(&app).await;
    for (id, attempt, body) in callbacks {
        app.call_back(attempt, body).await.expect(200);
        assert_eq!(app.callback_outcomes(id).await, ["completed"]);
        assert_eq!(app.acme.job(id).await["status"], "done");
    }
    app.end(&twice).await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_callback_that_cannot_be_kept_is_not_answered_as_if_it_were() {
    let app = TestApp::builder()
        .set("MAX_CALLBACK_BYTES", 2000)
        .start()
        .await;
    let (id, attempt, gladia_id) = processing(&app).await;
    let bodies = [
        "no JSON".to_owned(),
        success(&gladia_id, &"beyond the limit ".repeat(1000)),
        success(&gladia_id, "words"),
    ];
    fail_commits(&app, "INSERT ON callbacks", "true").await;
    for body in &bodies {
        let answer = app.call_back(attempt.id, body.clone()).await;
        answer.problem(500, "internal");
    }
    assert_eq!(app.rows("callbacks").await, 0);
    assert_eq!(app.acme.job(&id).await["status"], "processing");
    let_commits_succeed(&app).await;
    for body in bodies {
        app.call_back(attempt.id, body).await.expect(200);
    }
    let outcomes = app.callback_outcomes(&id).await;
    assert_eq!(outcomes, ["quarantined", "too_large", "completed"]);
    app.acme.wait_until_done(&id).await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_gladia_has_twice_is_counted_once_that_is_committed() {
    let app = TestApp::start().await;
    let (id, older, gladia_id) = missing(&app).await;
    app.acme.retry_at_any_cost(&id).await.expect(202);
    app.acme.wait_until(&id, "processing").await;
    // A process of its own counts for itself.
    let mut process = Process::serve(&app, &[]);
    let base = format!("http://{}", process.address().await);
    let counted = async || {
        let metrics = app.acme.at(&base).with_key(None).get("/metrics").await;
        let metrics = metrics.text();
        let name = "gateway_surplus_jobs_total{by_retry=\"true\"} ";
        let count = metrics.lines().find_map(|line| line.strip_prefix(name));
        count.unwrap_or_else(|| panic!("no {name}")).to_owned()
    };
    let url = app.callback_url_at(&base, older.id);
    let call_back = async || {
        let late = success(&gladia_id, "late");
        Answer::to(app.http.post(url.clone()).body(late)).await
    };
    fail_commits(&app, "UPDATE ON jobs", "NEW.status = 'done'").await;
    call_back().await.expect(200);
    assert_eq!(app.callback_outcomes(&id).await, ["quarantined"]);
    assert_eq!(counted().await, "0");
    let_commits_succeed(&app).await;
    call_back().await.expect(200);
    assert_eq!(app.callback_outcomes(&id).await, ["completed"]);
    assert_eq!(counted().await, "1");
    process.terminate();
    process.log().await;
    app.end(&id).await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_kept_is_not_logged_as_quarantined() {
    let app = TestApp::start().await;
    let (id, attempt, gladia_id) = processing(&app).await;
    let mut process = Process::serve(&app, &[]);
    let base = format!("http://{}", process.address().await);
    let url = app.callback_url_at(&base, attempt.id);
    let call_back = async || {
        let body = success(&gladia_id, "words");
        Answer::to(app.http.post(url.clone()).body(body)).await
    };
    fail_commits(&app, "INSERT ON callbacks", "true").await;
    call_back().await.problem(500, "internal");
    let_commits_succeed(&app).await;
    process.terminate();
    let log = process.log().await.join("\n");
    assert!(log.contains("Could not carry out a callback"), "{log}");
    assert!(!log.to_lowercase().contains("quarantined"), "{log}");
    app.call_back(attempt.id, success(&gladia_id, "words"))
        .await
        .expect(200);
    app.acme.wait_until_done(&id).await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outcome_that_postgres_refuses_is_left_to_the_lease() {
    let app = TestApp::start().await;
    for statement in [
        // A sequence counts also what is rolled back.
        "CREATE SEQUENCE tries",
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
         $$ BEGIN PERFORM nextval('tries'); RAISE 'an outcome that is refused'; END $$",
        "CREATE TRIGGER refuses BEFORE UPDATE ON attempts
         FOR EACH ROW WHEN (NEW.state = 'accepted') EXECUTE FUNCTION refuse()",
    ] {
        app.execute(statement).await;
    }
    let id = app.acme.start("endless.mp3").await;
    // With others', and by itself.
    eventually("outcome that was to be recorded twice", async || {
        (app.scalar::<i64>("SELECT last_value FROM tries").await >= 2).then_some(())
    })
    .await;
    // It is not at it any more, and ends without being given up.
    let shutdown = &app.replicas[0].shutdown;
    shutdown.soft.cancel();
    shutdown.tracker.close();
    let ended = tokio::time::timeout(BOUND, shutdown.tracker.wait()).await;
    ended.expect("nothing is under way any more");
    assert_eq!(app.attempt(&id).await.state, "submitting");
    app.stop().await;
}
