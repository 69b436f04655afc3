//! Results of many hours: larger than any that is held in memory, or than what is read at all.

use bytes::Bytes;
use futures_util::stream;

use serde_json::json;

#[cfg(target_os = "linux")]
use crate::support::process::Process;
use crate::support::{
    Answer, TestApp,
    app::attempt_of,
    callbacks::processing,
    eventually,
    rows::{failure, success},
};

/// A success whose body has this many bytes or a few more, in pieces, and the words that it ends with.
fn pieces(gladia_id: &str, bytes: usize) -> Vec<Bytes> {
    let head = format!(
        r#"{{"id":"{gladia_id}","event":"transcription.success","payload":{{"metadata":{{"audio_duration":7.5}},"transcription":{{"utterances":["#
    );
    let word = r#"{"text":"word and word","start":0.6399999999999999,"end":1.28,"words":[]},"#;
    let piece = Bytes::from(word.repeat(1000));
    let mut pieces = vec![Bytes::from(head)];
    pieces.extend(std::iter::repeat_n(piece.clone(), bytes / piece.len() + 1));
    pieces.push(Bytes::from_static(
        br#"{"text":"the end"}],"full_transcript":"long"}}}"#,
    ));
    pieces
}

fn streamed(pieces: Vec<Bytes>) -> reqwest::Body {
    reqwest::Body::wrap_stream(stream::iter(pieces.into_iter().map(std::io::Result::Ok)))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_callback_of_sixty_megabytes_that_comes_in_pieces_completes_the_job() {
    let app = TestApp::start().await;
    let (id, attempt, gladia_id) = processing(&app).await;
    let body = pieces(&gladia_id, 60_000_000);
    let bytes: usize = body.iter().map(Bytes::len).sum();
    let url = app.callback_url(0, attempt.id);
    let answer = Answer::to(app.http.post(url).body(streamed(body))).await;
    assert_eq!(answer.status, 200);
    let row = "SELECT status FROM jobs";
    assert_eq!(app.scalar::<String>(row).await, "done");
    assert_eq!(app.callback_outcomes(&id).await, ["completed"]);
    let kept: i64 = app.scalar("SELECT body_bytes FROM callbacks").await;
    assert_eq!(usize::try_from(kept).unwrap(), bytes);
    app.finish().await;
}

/// Where the kernel says how much memory a process has had.
#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn memory_does_not_grow_with_a_callback() {
    let app = TestApp::start().await;
    let mut process = Process::serve(&app, &[("MAX_CALLBACK_BYTES", "200000000")]);
    let base = format!("http://{}", process.address().await);
    let (id, attempt, gladia_id) = processing(&app).await;
    let url = app.callback_url_at(&base, attempt.id);
    let (before, _) = process.memory();
    let body = streamed(pieces(&gladia_id, 100_000_000));
    let answer = Answer::to(app.http.post(url).body(body)).await;
    assert_eq!(answer.status, 200);
    let (_, most) = process.memory();
    // Compressed, as it is kept, it is less than one.
    let megabytes = most.saturating_sub(before) / 1_000_000;
    assert!(megabytes < 50, "{megabytes} MB for a callback of 100");
    assert_eq!(app.callback_outcomes(&id).await, ["completed"]);
    process.terminate();
    process.log().await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_callback_beyond_the_limit_is_noted_and_its_result_is_asked_for() {
    let app = TestApp::builder()
        .set("MAX_CALLBACK_BYTES", 2000)
        .start()
        .await;
    let (id, attempt, gladia_id) = processing(&app).await;
    let body = success(&gladia_id, &"word ".repeat(1000));
    for body in [body.clone().into(), streamed(vec![body.into()])] {
        let answer = app.call_back(attempt.id, body).await;
        assert_eq!(answer.status, 200);
    }
    // The second one is the same as the first.
    assert_eq!(app.callback_outcomes(&id).await, ["too_large"]);
    let noted = "SELECT body IS NULL AND body_bytes = 2000 AND reason IS NULL FROM callbacks";
    assert!(app.scalar::<bool>(noted).await);
    let asked = "SELECT next_look_at <= gateway_now() OR looks > 0 FROM attempts";
    assert!(app.scalar::<bool>(asked).await);
    assert_eq!(app.acme.job(&id).await["status"], "processing");
    app.call_back(attempt.id, success(&gladia_id, "short"))
        .await;
    app.acme.wait_until_done(&id).await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_callback_beyond_the_limit_that_comes_before_the_creates_answer_tells_gladias_id() {
    let app = TestApp::builder()
        .with_gladia_relay()
        .set("MAX_CALLBACK_BYTES", 2000)
        .start()
        .await;
    app.gladia().hold_answers();
    let id = app.acme.start("endless.mp3").await;
    let attempt = app.attempt(&id).await;
    let gladia_id = eventually("job at Gladia", async || {
        let jobs = app.upstream.jobs().await;
        let job = jobs
            .iter()
            .find(|job| attempt_of(job) == attempt.id.to_string())?;
        Some(job["id"].as_str()?.to_owned())
    })
    .await;
    let body = success(&gladia_id, &"word ".repeat(1000));
    assert_eq!(app.call_back(attempt.id, body).await.status, 200);
    let accepted = app.attempt(&id).await;
    assert_eq!(accepted.state, "accepted");
    assert_eq!(accepted.gladia_id, Some(gladia_id.clone()));
    assert_eq!(app.acme.job(&id).await["status"], "processing");
    app.gladia().release_answers();
    app.call_back(attempt.id, success(&gladia_id, "short"))
        .await;
    app.acme.wait_until_done(&id).await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_whose_callback_is_beyond_the_limit_is_fetched() {
    let app = TestApp::builder()
        .set("MAX_CALLBACK_BYTES", 1000)
        .start()
        .await;
    let id = app.acme.start("lengthy.mp3").await;
    let done = app.acme.wait_until_done(&id).await;
    assert_eq!(done["result"]["metadata"]["audio_duration"], 20.0);
    let mut outcomes = app.callback_outcomes(&id).await;
    outcomes.sort();
    assert_eq!(outcomes, ["completed", "too_large"]);
    let methods: Vec<String> = sqlx::query_scalar("SELECT method FROM callbacks ORDER BY outcome")
        .fetch_all(&app.pool)
        .await
        .unwrap();
    assert_eq!(methods, ["GET", "POST"]);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_beyond_the_limit_is_fetched_whatever_failure_is_delivered_then() {
    let app = TestApp::builder()
        .set("MAX_CALLBACK_BYTES", 1000)
        .start()
        .await;
    let fault = json!({ "operation": "get", "kind": "status", "status": 503 });
    app.upstream.fault(&fault).await;
    let id = app.acme.start("lengthy.mp3").await;
    app.wait_for_looks(&id, 1).await;
    assert_eq!(app.callback_outcomes(&id).await, ["too_large"]);
    let attempt = app.attempt(&id).await;
    let body = failure(&attempt.gladia_id.unwrap(), 500, "the end");
    app.call_back(attempt.id, body).await.expect(200);
    assert_eq!(app.acme.job(&id).await["status"], "error");
    app.upstream.clear_faults().await;
    app.set_clock_ahead("20 minutes").await;
    let done = app.acme.wait_until_done(&id).await;
    assert_eq!(done["result"]["metadata"]["audio_duration"], 20.0);
    // Once it was fetched, nothing is asked for.
    let is_asked_for = "SELECT next_look_at IS NOT NULL FROM attempts";
    assert!(!app.scalar::<bool>(is_asked_for).await);
    app.finish().await;
}
