//! Results arrive: once, twice, early, late, wrong.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use uuid::Uuid;

use crate::support::{
    Answer, TestApp,
    callbacks::processing,
    database::until_statements_wait,
    rows::{failure, success},
    trickle::trickle,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_duplicate_changes_nothing() {
    let app = TestApp::start().await;
    let id = app.acme.start("a.mp3").await;
    let before = app.acme.wait_until_done(&id).await;
    let events = app.events(&id).await;
    let gladia_id = before["gladia_id"].as_str().unwrap();
    for _ in 0..3 {
        assert_eq!(app.upstream.resend_callback(gladia_id).await, 200);
    }
    assert_eq!(app.acme.job(&id).await, before);
    assert_eq!(app.events(&id).await, events);
    assert_eq!(app.callback_outcomes(&id).await, ["completed"]);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn callbacks_that_gladia_sends_twice_complete_once() {
    let app = TestApp::start().await;
    let fault = json!({ "operation": "callback", "kind": "duplicate" });
    app.upstream.fault(&fault).await;
    let id = app.acme.start("a.mp3").await;
    app.acme.wait_until_done(&id).await;
    app.upstream.wait_for("callbacks_delivered", 2).await;
    assert_eq!(app.callback_outcomes(&id).await, ["completed"]);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_token_is_told_nothing_and_leaves_no_row() {
    let app = TestApp::start().await;
    let (id, attempt, gladia_id) = processing(&app).await;
    let right = app.callback_url(0, attempt.id);
    let (address, token) = right.rsplit_once('/').unwrap();
    let (_, tag) = token.split_once('.').unwrap();
    let base = &app.replicas[0].base;
    let other_attempt = app.callback_url(0, Uuid::now_v7());
    let (_, other_token) = other_attempt.rsplit_once('/').unwrap();
    let mut flipped = token.to_owned();
    let last = if flipped.pop() == Some('A') { 'E' } else { 'A' };
    flipped.push(last);
    for url in [
        format!("{address}/{tag}"),
        format!("{address}/test."),
        format!("{address}/test.AAAA"),
        format!("{address}/other.{tag}"),
        format!("{address}/{other_token}"),
        format!("{address}/{flipped}"),
        format!("{address}/%00%ff"),
        format!("{base}/callbacks/gladia/{}/{token}", Uuid::now_v7()),
        format!("{base}/callbacks/gladia/not-an-id/{token}"),
        format!("{base}/callbacks/gladia/%ff/{token}"),
    ] {
        let request = app.http.post(&url).body(success(&gladia_id, "forged"));
        let answer = Answer::to(request).await;
        assert_eq!(answer.status, 404, "{url}");
    }
    // A valid token of an attempt that is nowhere: of a database that lags behind, say. It is wanted later.
    let request = app
        .http
        .post(&other_attempt)
        .body(success(&gladia_id, "early"));
    Answer::to(request)
        .await
        .problem(503, "database-unavailable");
    assert_eq!(app.rows("callbacks").await, 0);
    assert_eq!(app.acme.job(&id).await["status"], "processing");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_callback_may_come_by_put_and_by_no_other_method() {
    let app = TestApp::start().await;
    let (id, attempt, gladia_id) = processing(&app).await;
    let url = app.callback_url(0, attempt.id);
    for method in [Method::GET, Method::DELETE, Method::PATCH] {
        let request = app.http.request(method, &url);
        Answer::to(request).await.problem(405, "method-not-allowed");
    }
    let request = app.http.put(&url).body(success(&gladia_id, "by put"));
    assert_eq!(Answer::to(request).await.status, 200);
    let done = app.acme.job(&id).await;
    assert_eq!(done["status"], "done");
    assert_eq!(done["result"]["transcription"]["full_transcript"], "by put");
    let method: String = app.scalar("SELECT method FROM callbacks").await;
    assert_eq!(method, "PUT");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_callback_that_comes_before_the_creates_answer_completes_the_job() {
    let app = TestApp::builder().with_gladia_relay().start().await;
    app.gladia().hold_answers();
    let id = app.acme.start("a.mp3").await;
    let done = app.acme.wait_until_done(&id).await;
    let attempt = app.attempt(&id).await;
    assert_eq!(attempt.state, "done");
    assert_eq!(done["gladia_id"].as_str(), attempt.gladia_id.as_deref());
    assert_eq!(app.events(&id).await, ["queued", "submitting", "done"]);
    // The answer, which now comes, says the same and changes nothing.
    app.gladia().release_answers();
    app.acme
        .wait_until_done(&app.acme.start("b.mp3").await)
        .await;
    assert_eq!(app.acme.job(&id).await, done);
    assert_eq!(app.upstream.count("creates_received").await, 2);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_ends_the_job_with_its_code_and_message() {
    let app = TestApp::start().await;
    let (id, attempt, gladia_id) = processing(&app).await;
    let message = "The audio is longer than 135 minutes";
    let answer = app
        .call_back(attempt.id, failure(&gladia_id, 413, message))
        .await;
    assert_eq!(answer.status, 200);
    let job = app.acme.job(&id).await;
    assert_eq!(job["status"], "error");
    assert_eq!(
        job["error"],
        json!({
            "type": "transcription_failed", "code": 413, "message": message, "retry": job["error"]["retry"],
        })
    );
    assert_eq!(app.slots_held().await, 0);
    assert_eq!(app.attempt(&id).await.state, "error");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_success_wins_over_an_error() {
    let app = TestApp::start().await;
    let (id, attempt, gladia_id) = processing(&app).await;
    app.call_back(attempt.id, failure(&gladia_id, 500, "worker lost"))
        .await;
    assert_eq!(app.acme.job(&id).await["status"], "error");
    let answer = app
        .call_back(attempt.id, success(&gladia_id, "after all"))
        .await;
    assert_eq!(answer.status, 200);
    let job = app.acme.job(&id).await;
    assert_eq!(job["status"], "done");
    assert_eq!(job["error"], serde_json::Value::Null);
    assert_eq!(
        job["result"]["transcription"]["full_transcript"],
        "after all"
    );
    assert_eq!(app.callback_outcomes(&id).await, ["failed", "completed"]);
    let events = app.events(&id).await;
    assert_eq!(events[3..], ["error", "done"]);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_after_a_success_changes_nothing() {
    let app = TestApp::start().await;
    let (id, attempt, gladia_id) = processing(&app).await;
    app.call_back(attempt.id, success(&gladia_id, "words"))
        .await;
    let before = app.acme.job(&id).await;
    let answer = app
        .call_back(attempt.id, failure(&gladia_id, 500, "worker lost"))
        .await;
    assert_eq!(answer.status, 200);
    let other = app
        .call_back(attempt.id, success(&gladia_id, "other words"))
        .await;
    assert_eq!(other.status, 200);
    assert_eq!(app.acme.job(&id).await, before);
    assert_eq!(
        app.callback_outcomes(&id).await,
        ["completed", "superseded", "superseded"]
    );
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_is_kept_and_changes_nothing() {
    let app = TestApp::start().await;
    let (id, attempt, gladia_id) = processing(&app).await;
    let bodies: Vec<Vec<u8>> = vec![
        Vec::new(),
        b"\xff\xfe\x00 no JSON".to_vec(),
        b"[]".to_vec(),
        success(&gladia_id, "cut off").into_bytes()[..60].to_vec(),
        json!({ "id": gladia_id, "event": "transcription.started" })
            .to_string()
            .into_bytes(),
        json!({ "id": gladia_id, "event": "transcription.success" })
            .to_string()
            .into_bytes(),
        format!("{}1{}", "[".repeat(5000), "]".repeat(5000)).into_bytes(),
    ];
    for body in &bodies {
        assert_eq!(app.call_back(attempt.id, body.clone()).await.status, 200);
    }
    let outcomes = app.callback_outcomes(&id).await;
    assert_eq!(outcomes.len(), bodies.len());
    assert!(outcomes.iter().all(|outcome| outcome == "quarantined"));
    let kept: Vec<Vec<u8>> =
        sqlx::query_scalar("SELECT body FROM callbacks ORDER BY received_at, id")
            .fetch_all(&app.pool)
            .await
            .unwrap();
    for (kept, sent) in kept.iter().zip(&bodies) {
        assert_eq!(&zstd::decode_all(kept.as_slice()).unwrap(), sent);
    }
    assert_eq!(app.acme.job(&id).await["status"], "processing");
    assert_eq!(app.slots_held().await, 1);
    // What comes whole later completes the job as ever.
    app.call_back(attempt.id, success(&gladia_id, "words"))
        .await;
    app.acme.wait_until_done(&id).await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_success_without_a_result_is_kept_and_the_real_one_completes_the_job() {
    let app = TestApp::start().await;
    let (id, attempt, gladia_id) = processing(&app).await;
    let others = [
        json!({}),
        json!({ "foo": 1 }),
        json!({ "metadata": null, "transcription": null }),
        json!({ "metadata": "x", "transcription": [1] }),
    ];
    for payload in &others {
        let body = json!({ "id": gladia_id, "event": "transcription.success", "payload": payload });
        let answer = app.call_back(attempt.id, body.to_string()).await;
        assert_eq!(answer.status, 200, "{payload}");
    }
    assert_eq!(app.callback_outcomes(&id).await, ["quarantined"; 4]);
    assert_eq!(app.acme.job(&id).await["status"], "processing");
    app.call_back(attempt.id, success(&gladia_id, "the real one"))
        .await;
    let done = app.acme.wait_until_done(&id).await;
    assert_eq!(
        done["result"]["transcription"]["full_transcript"],
        "the real one"
    );
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_carried_out_is_kept_and_changes_nothing() {
    let app = TestApp::start().await;
    let (id, attempt, gladia_id) = processing(&app).await;
    app.execute("ALTER TABLE jobs ADD CONSTRAINT a_mistake_of_ours CHECK (status <> 'done')")
        .await;
    let body = success(&gladia_id, "words");
    let answer = app.call_back(attempt.id, body.clone()).await;
    assert_eq!(answer.status, 200);
    assert_eq!(app.callback_outcomes(&id).await, ["quarantined"]);
    let kept: Vec<u8> = app.scalar("SELECT body FROM callbacks").await;
    assert_eq!(zstd::decode_all(kept.as_slice()).unwrap(), body.as_bytes());
    assert_eq!(app.acme.job(&id).await["status"], "processing");
    assert_eq!(app.slots_held().await, 1);
    // The mistake mended, the same one completes the job when it comes again.
    app.execute("ALTER TABLE jobs DROP CONSTRAINT a_mistake_of_ours")
        .await;
    app.call_back(attempt.id, body).await;
    assert_eq!(app.callback_outcomes(&id).await, ["completed"]);
    app.acme.wait_until_done(&id).await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_callback_whose_sender_hangs_up_is_carried_out_all_the_same() {
    let app = TestApp::start().await;
    let (id, attempt, gladia_id) = processing(&app).await;
    let mut holds_up = app.pool.begin().await.unwrap();
    sqlx::query("SELECT id FROM jobs FOR UPDATE")
        .execute(&mut *holds_up)
        .await
        .unwrap();

    let url: url::Url = app.callback_url(0, attempt.id).parse().unwrap();
    let body = success(&gladia_id, "words");
    let request = format!(
        "POST {} HTTP/1.1\r\nhost: gateway\r\ncontent-length: {}\r\n\r\n{body}",
        url.path(),
        body.len()
    );
    let address = (url.host_str().unwrap().to_owned(), url.port().unwrap());
    let mut connection = TcpStream::connect(address).await.unwrap();
    connection.write_all(request.as_bytes()).await.unwrap();
    until_statements_wait(&app, 1).await;
    drop(connection);
    // Long enough for the gateway to notice; were it too short, the test would only show less.
    tokio::time::sleep(Duration::from_millis(200)).await;
    holds_up.rollback().await.unwrap();
    app.acme.wait_until_done(&id).await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_contradicting_id_of_a_canceled_job_leaves_no_content() {
    let app = TestApp::start().await;
    let (id, attempt, gladia_id) = processing(&app).await;
    app.acme.cancel(&id).await.expect(200);
    let other = Uuid::new_v4().to_string();
    for body in [success(&other, "not ours"), "no JSON".to_owned()] {
        assert_eq!(app.call_back(attempt.id, body).await.status, 200);
    }
    assert_eq!(app.callback_outcomes(&id).await, ["discarded", "discarded"]);
    let kept: i64 = app
        .scalar("SELECT count(*) FROM callbacks WHERE body IS NOT NULL")
        .await;
    assert_eq!((kept, app.slots_held().await), (0, 1));
    app.call_back(attempt.id, success(&gladia_id, "words"))
        .await;
    assert_eq!(app.slots_held().await, 0);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_contradicting_id_is_kept_and_changes_nothing() {
    let app = TestApp::start().await;
    let (id, attempt, gladia_id) = processing(&app).await;
    let other = Uuid::new_v4().to_string();
    let answer = app.call_back(attempt.id, success(&other, "not ours")).await;
    assert_eq!(answer.status, 200);
    assert_eq!(app.callback_outcomes(&id).await, ["quarantined"]);
    assert_eq!(app.acme.job(&id).await["status"], "processing");
    assert_eq!(app.attempt(&id).await.gladia_id, Some(gladia_id.clone()));
    assert_eq!(app.slots_held().await, 1);
    app.call_back(attempt.id, success(&gladia_id, "ours")).await;
    let done = app.acme.wait_until_done(&id).await;
    assert_eq!(done["result"]["transcription"]["full_transcript"], "ours");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_at_the_same_instant_on_two_replicas_complete_the_job_once() {
    let app = TestApp::builder().replicas(2).start().await;
    for round in 0..5 {
        let (id, attempt, gladia_id) = processing(&app).await;
        let send = |replica: usize, words: &str| {
            let url = app.callback_url(replica, attempt.id);
            let body = success(&gladia_id, words);
            Answer::to(app.http.post(url).body(body))
        };
        // The same body, and another one.
        let second = if round % 2 == 0 { "one" } else { "two" };
        let (left, right) = tokio::join!(send(0, "one"), send(1, second));
        assert_eq!((left.status, right.status), (200, 200));
        let outcomes = app.callback_outcomes(&id).await;
        let completed = outcomes.iter().filter(|name| *name == "completed").count();
        assert_eq!(completed, 1, "{outcomes:?}");
        assert_eq!(outcomes.len(), if round % 2 == 0 { 1 } else { 2 });
        let events = app.events(&id).await;
        assert_eq!(events.iter().filter(|event| *event == "done").count(), 1);
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_callback_that_comes_slowly_is_taken_as_long_as_it_goes_on_coming() {
    let app = TestApp::builder()
        .set("REQUEST_TIMEOUT_SECONDS", 1)
        .start()
        .await;
    let (id, attempt, gladia_id) = processing(&app).await;
    let body = success(&gladia_id, &"words ".repeat(100_000));
    let (beginning, rest) = body.as_bytes().split_at(body.len() / 2);
    let (sender, pieces) = trickle();
    let request = app
        .acme
        .http
        .post(app.callback_url(0, attempt.id))
        .body(pieces)
        .send();
    let request = tokio::spawn(request);
    sender.send(beginning).await;
    // Longer than other bodies may take.
    tokio::time::sleep(Duration::from_millis(1500)).await;
    sender.send(rest).await;
    drop(sender);
    assert_eq!(request.await.unwrap().unwrap().status(), 200);
    app.acme.wait_until_done(&id).await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn senders_who_go_silent_do_not_cost_others_their_callbacks() {
    let app = TestApp::start().await;
    let (id, attempt, gladia_id) = processing(&app).await;
    let body = success(&gladia_id, "words");
    let url: url::Url = app.callback_url(0, attempt.id).parse().unwrap();
    let address = (url.host_str().unwrap(), url.port().unwrap());
    let request = format!(
        "POST {} HTTP/1.1\r\nhost: gateway\r\nexpect: 100-continue\r\ncontent-length: {}\r\n\r\n",
        url.path(),
        body.len()
    );
    // As many as have their turn at once. Leave to send on is given with the turn.
    let mut silent = Vec::new();
    for _ in 0..16 {
        let mut connection = TcpStream::connect(address).await.unwrap();
        connection.write_all(request.as_bytes()).await.unwrap();
        let mut leave = [0; 25];
        connection.read_exact(&mut leave).await.unwrap();
        assert_eq!(&leave, b"HTTP/1.1 100 Continue\r\n\r\n");
        silent.push(connection);
    }
    assert_eq!(app.call_back(attempt.id, body).await.status, 200);
    assert_eq!(app.callback_outcomes(&id).await, ["completed"]);
    for mut connection in silent {
        let mut answer = vec![0; 2000];
        let length = connection.read(&mut answer).await.unwrap();
        let answer = String::from_utf8_lossy(&answer[..length]).into_owned();
        assert!(answer.contains("HTTP/1.1 408"), "{answer}");
    }
    app.finish().await;
}
