//! An account at which Gladia keeps nothing.

use serde_json::json;

use crate::support::{Answer, TestApp, audio, upstream::GLADIA_KEY};

async fn start() -> TestApp {
    TestApp::builder()
        .set("GLADIA_ZERO_DATA_RETENTION", true)
        .start()
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_refused_before_anything_of_them_is_read() {
    let app = start().await;
    for path in ["/v1/uploads", "/v1/transcriptions/upload"] {
        // A form that never comes: the answer does not wait for it.
        let never = futures_util::stream::pending::<Result<Vec<u8>, std::io::Error>>();
        let request = app.acme.raw(
            path,
            "multipart/form-data; boundary=x",
            reqwest::Body::wrap_stream(never),
        );
        let problem = Answer::to(request)
            .await
            .problem(403, "zero-data-retention");
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains("audio_url"), "{detail}");
    }
    let answer = app.acme.upload(audio::short(), "a.wav", None).await;
    answer.problem(403, "zero-data-retention");
    assert_eq!(app.upstream.count("uploads").await, 0);
    app.finish_with_nothing_kept().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transcription_ends_and_is_erased_without_asking_gladia_for_anything() {
    let app = start().await;
    let id = app.acme.start("a.mp3").await;
    let job = app.acme.wait_until_done(&id).await;
    let address = format!("/v1/transcriptions/{id}");
    let answer = app.acme.get(&format!("{address}/audio")).await;
    answer.problem(403, "zero-data-retention");
    assert_eq!(app.acme.delete(&id).await.status, 204);
    let problem = app.acme.get(&address).await;
    let problem = problem.problem(410, "transcription-deleted");
    let gladia = &problem["erased"]["gladia"];
    assert_eq!(gladia, &json!({ "status": "kept", "at": null }));
    assert_eq!(app.rows("upstream_deletions").await, 0);
    for operation in ["deletes", "gets", "lists", "files"] {
        assert_eq!(app.upstream.count(operation).await, 0, "{operation}");
    }
    // It would have had nothing to say.
    let gladia_id = job["gladia_id"].as_str().unwrap();
    let url = format!(
        "{}v2/pre-recorded/{gladia_id}",
        app.upstream.simulator.url()
    );
    let asked = app.http.get(url).header("x-gladia-key", GLADIA_KEY);
    assert_eq!(asked.send().await.unwrap().status(), 403);
    app.finish().await;
}
