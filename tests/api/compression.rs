//! In what encoding answers are sent.

use std::io::Read;

use flate2::read::GzDecoder;
use gladia_gateway::domain::access::Scope;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, Caller, TestApp, callbacks::processing, rows::success};

/// Asks and says what encodings are welcome.
async fn ask(caller: &Caller, method: Method, path: &str, accepted: &str) -> Answer {
    let request = caller.request(method, path);
    Answer::to(request.header("accept-encoding", accepted)).await
}

async fn get(caller: &Caller, path: &str, accepted: &str) -> Answer {
    ask(caller, Method::GET, path, accepted).await
}

/// The body, whatever its encoding.
fn decoded(answer: &Answer) -> Vec<u8> {
    let mut body = Vec::new();
    match answer.header("content-encoding") {
        None => body.extend_from_slice(&answer.bytes),
        Some("zstd") => body = zstd::decode_all(&answer.bytes[..]).unwrap(),
        Some("gzip") => {
            GzDecoder::new(&answer.bytes[..])
                .read_to_end(&mut body)
                .unwrap();
        }
        Some(other) => panic!("{other} was never asked for"),
    }
    body
}

/// A job that is done with a result of some length; and its id.
async fn done(app: &TestApp) -> String {
    let (id, attempt, gladia_id) = processing(app).await;
    let body = success(&gladia_id, &"word and word ".repeat(500));
    assert_eq!(app.call_back(attempt.id, body).await.status, 200);
    app.acme.wait_until_done(&id).await;
    id
}

/// Whether results have a frame of their own.
const HAS_FRAME: &str =
    "SELECT result_frame_start IS NOT NULL FROM callbacks WHERE outcome = 'completed'";

#[tokio::test(flavor = "multi_thread")]
async fn a_result_is_sent_as_it_is_stored_to_whoever_takes_zstd() {
    let app = TestApp::start().await;
    let id = done(&app).await;
    let path = format!("/v1/transcriptions/{id}/result");
    let plain = app.acme.get(&path).await;
    plain.expect(200);
    assert_eq!(plain.header("content-encoding"), None);
    let stored: Vec<u8> = app
        .scalar("SELECT substring(body FROM result_frame_start + 1 FOR result_frame_length) FROM callbacks")
        .await;
    for accepted in ["zstd", "gzip, br, zstd", "gzip;q=0.9, zstd", "*"] {
        let packed = get(&app.acme, &path, accepted).await;
        assert_eq!(packed.header("content-encoding"), Some("zstd"));
        assert!(packed.bytes == stored, "{accepted}");
        assert_eq!(decoded(&packed), plain.bytes);
        for name in ["content-type", "vary", "etag", "cache-control"] {
            assert!(packed.header(name).is_some(), "{name}");
            assert_eq!(packed.header(name), plain.header(name), "{name}");
        }
        assert_eq!(packed.header("vary"), Some("accept-encoding"));
    }
    for accepted in ["", "zstd;q=0", "identity, zstd;q=0.5", "br"] {
        let answer = get(&app.acme, &path, accepted).await;
        assert_eq!(answer.header("content-encoding"), None, "{accepted}");
        assert_eq!(answer.bytes, plain.bytes);
    }
    let gzip = get(&app.acme, &path, "gzip, zstd;q=0.1").await;
    assert_eq!(gzip.header("content-encoding"), Some("gzip"));
    assert_eq!(decoded(&gzip), plain.bytes);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_goes_out_around_its_stored_result_as_one_frame() {
    let app = TestApp::start().await;
    let (small, large) = (done(&app).await, {
        let (id, attempt, gladia_id) = processing(&app).await;
        let words: Vec<String> = (0..80_000).map(|word| word.to_string()).collect();
        let text = words.join(" word ");
        let body = success(&gladia_id, &text);
        assert_eq!(app.call_back(attempt.id, body).await.status, 200);
        app.acme.wait_until_done(&id).await;
        id
    });
    for id in [small, large] {
        let path = format!("/v1/transcriptions/{id}");
        let plain = app.acme.get(&path).await;
        plain.expect(200);
        let packed = get(&app.acme, &path, "zstd").await;
        assert_eq!(packed.header("content-encoding"), Some("zstd"));
        // By a reader that stops where the first frame ends.
        let mut read = Vec::new();
        let decoder = zstd::Decoder::with_buffer(&packed.bytes[..]).unwrap();
        decoder.single_frame().read_to_end(&mut read).unwrap();
        assert!(read == plain.bytes);
        let length = packed.bytes.len().to_string();
        assert_eq!(packed.header("content-length"), Some(length.as_str()));
        for name in ["content-type", "vary", "etag", "cache-control"] {
            assert!(packed.header(name).is_some(), "{name}");
            assert_eq!(packed.header(name), plain.header(name), "{name}");
        }
        let stored: Vec<u8> = sqlx::query_scalar(
            "SELECT substring(body FROM result_frame_start + 1 FOR result_frame_length)
             FROM callbacks c JOIN jobs j ON j.result_callback_id = c.id WHERE j.id = $1::uuid",
        )
        .bind(&id)
        .fetch_one(&app.pool)
        .await
        .unwrap();
        // But for its head, and the mark of its last block.
        let middle = &stored[stored.len() / 2 - 8..stored.len() / 2 + 8];
        assert!(
            packed
                .bytes
                .windows(middle.len())
                .any(|part| part == middle)
        );
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_that_was_stored_within_one_frame_is_served_like_any_other() {
    let app = TestApp::start().await;
    let id = done(&app).await;
    let path = format!("/v1/transcriptions/{id}/result");
    let expected = app.acme.get(&path).await;
    let frames: Vec<u8> = app.scalar("SELECT body FROM callbacks").await;
    let body = zstd::decode_all(frames.as_slice()).unwrap();
    sqlx::query(
        "UPDATE callbacks SET body = $1, result_frame_start = NULL, result_frame_length = NULL",
    )
    .bind(zstd::encode_all(body.as_slice(), 1).unwrap())
    .execute(&app.pool)
    .await
    .unwrap();
    for accepted in ["identity", "gzip", "zstd"] {
        let answer = get(&app.acme, &path, accepted).await;
        assert_eq!(answer.status, 200);
        assert!(answer.header("content-encoding").unwrap_or("identity") == accepted);
        assert_eq!(decoded(&answer), expected.bytes);
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_has_its_own_frame_however_it_came() {
    let fetching = TestApp::builder()
        .set("VERIFY_CALLBACKS", "fetch")
        .start()
        .await;
    let id = fetching.acme.start("spoken.mp3").await;
    let job = fetching.acme.wait_until_done(&id).await;
    assert!(fetching.scalar::<bool>(HAS_FRAME).await);
    assert_eq!(fetching.acme.result(&id).await.json(), job["result"]);
    fetching.finish().await;

    let replaying = TestApp::start().await;
    let (id, attempt, gladia_id) = processing(&replaying).await;
    replaying
        .execute("ALTER TABLE jobs ADD CONSTRAINT a_mistake_of_ours CHECK (status <> 'done')")
        .await;
    let body = success(&gladia_id, "words");
    replaying.call_back(attempt.id, body.clone()).await;
    replaying
        .execute("ALTER TABLE jobs DROP CONSTRAINT a_mistake_of_ours")
        .await;
    let callback: uuid::Uuid = replaying.scalar("SELECT id FROM callbacks").await;
    let admin = replaying.caller("operators", Scope::Admin).await;
    let path = format!("/v1/admin/callbacks/{callback}/replay");
    assert_eq!(
        admin.post(&path, &json!({})).await.expect(200)["outcome"],
        "completed"
    );
    assert!(replaying.scalar::<bool>(HAS_FRAME).await);
    let sent: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(replaying.acme.result(&id).await.json(), sent["payload"]);
    replaying.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn text_of_some_length_is_compressed_on_its_way() {
    let app = TestApp::start().await;
    let id = done(&app).await;
    for path in [
        format!("/v1/transcriptions/{id}"),
        format!("/v1/transcriptions/{id}/export/srt"),
        "/metrics".to_owned(),
    ] {
        let plain = app.acme.get(&path).await;
        assert_eq!(plain.status, 200, "{path}");
        let length = plain.bytes.len().to_string();
        assert_eq!(plain.header("content-length"), Some(length.as_str()));
        for encoding in ["gzip", "zstd"] {
            let answer = get(&app.acme, &path, encoding).await;
            assert_eq!(answer.status, 200, "{path}");
            assert_eq!(answer.header("content-encoding"), Some(encoding), "{path}");
            assert_eq!(answer.header("vary"), Some("accept-encoding"));
            assert!(answer.bytes.len() < plain.bytes.len() / 2, "{path}");
            // The metrics have gone on.
            if path != "/metrics" {
                assert!(decoded(&answer) == plain.bytes, "{path}");
            }
        }
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_needs_a_key_for_takes_no_encoder_however_slowly_it_is_taken() {
    let app = TestApp::start().await;
    for path in ["/openapi.json", "/docs/", "/docs/swagger-ui-bundle.js"] {
        let answer = get(&app.acme.with_key(None), path, "zstd, gzip").await;
        assert_eq!(answer.status, 200, "{path}");
        assert_eq!(answer.header("content-encoding"), None, "{path}");
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_short_is_sent_as_it_is() {
    let app = TestApp::start().await;
    let missing = get(&app.acme, "/v1/transcriptions/none", "zstd, gzip").await;
    assert_eq!(missing.header("content-encoding"), None);
    missing.problem(404, "not-found");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_who_takes_no_encoding_at_all_is_answered_in_plain_text() {
    let app = TestApp::start().await;
    let body = json!({ "audio_url": "https://audio.example/spoken.mp3" });
    for accepted in ["*;q=0", "identity;q=0"] {
        let request = app
            .acme
            .request(Method::POST, "/v1/transcriptions")
            .header("accept-encoding", accepted)
            .json(&body);
        let answer = Answer::to(request).await;
        // What was created must not look as if it was not.
        let job = answer.expect(202);
        assert_eq!(answer.header("content-encoding"), None);
        app.acme.wait_until_done(job["id"].as_str().unwrap()).await;
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_headers_alone_are_those_of_the_whole_answer() {
    let app = TestApp::start().await;
    let id = done(&app).await;
    for path in [
        format!("/v1/transcriptions/{id}"),
        format!("/v1/transcriptions/{id}/result"),
    ] {
        for accepted in ["identity", "gzip", "zstd"] {
            let whole = get(&app.acme, &path, accepted).await;
            let head = ask(&app.acme, Method::HEAD, &path, accepted).await;
            assert_eq!((head.status, head.bytes.len()), (200, 0));
            for name in [
                "content-type",
                "content-encoding",
                "content-length",
                "etag",
                "vary",
            ] {
                assert_eq!(
                    head.header(name),
                    whole.header(name),
                    "{path} {accepted} {name}"
                );
            }
        }
    }
    app.finish().await;
}
