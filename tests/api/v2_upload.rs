//! Files that come as they come to Gladia.

use reqwest::{
    Method,
    multipart::{Form, Part},
};
use serde_json::{Value, json};

use crate::support::{Answer, Caller, TestApp, audio};

fn form(file: Vec<u8>, name: &str) -> Form {
    Form::new().part("audio", Part::bytes(file).file_name(name.to_owned()))
}

async fn upload_url(caller: &Caller, audio_url: &str) -> Answer {
    let request = caller.as_gladias_client(Method::POST, "/v2/upload");
    Answer::to(request.json(&json!({ "audio_url": audio_url }))).await
}

fn assert_is_upload(body: &Value, name: &str) -> String {
    let metadata = &body["audio_metadata"];
    let id = metadata["id"].as_str().unwrap();
    let url = body["audio_url"].as_str().unwrap();
    assert!(url.ends_with(&format!("/file/{id}")), "{body}");
    assert_eq!(metadata["filename"], name);
    assert_eq!(metadata["extension"], "wav");
    assert!(metadata["size"].as_i64().unwrap() > 0, "{body}");
    assert!(metadata["audio_duration"].is_number(), "{body}");
    assert_eq!(metadata["number_of_channels"], 1);
    url.to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_uploaded_once_and_used_in_both_apis() {
    let app = TestApp::builder()
        .set("API_URL", "https://gateway.example/below/")
        .start()
        .await;
    let answer = app
        .acme
        .v2_upload("/v2/upload/", form(audio::short(), "a.wav"));
    let body = answer.await.expect(200);
    let url = assert_is_upload(&body, "a.wav");
    assert!(
        url.starts_with("https://gateway.example/below/file/"),
        "{url}"
    );
    assert_eq!(body["audio_metadata"].get("source"), None);

    let request = json!({ "audio_url": url });
    let by_v2 = app.acme.v2_start(&request).await;
    let by_v1 = app.acme.transcribe(&request).await.expect(202);
    let by_batch = app
        .acme
        .post("/v1/batches", &json!({ "requests": [request] }))
        .await
        .expect(202);
    app.acme.wait_until_done(&by_v2).await;
    let by_v1 = by_v1["id"].as_str().unwrap();
    assert_eq!(
        app.acme.wait_until_done(by_v1).await["file"]["filename"],
        "a.wav"
    );
    let of_batch: String = app
        .scalar("SELECT id::text FROM jobs WHERE batch_id IS NOT NULL")
        .await;
    assert_eq!(
        app.acme.wait_until_done(&of_batch).await["file"]["filename"],
        "a.wav"
    );
    assert!(by_batch["id"].is_string());
    for job in app.upstream.jobs().await {
        let sent = job["audio_url"].as_str().unwrap();
        assert!(!sent.contains("gateway.example"), "{sent}");
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_api_url_links_follow_the_host_that_was_asked() {
    let app = TestApp::start().await;
    let body = app
        .acme
        .v2_upload("/v2/upload", form(audio::short(), "a.wav"));
    let url = assert_is_upload(&body.await.expect(200), "a.wav");
    assert!(url.starts_with(&app.replicas[0].base), "{url}");
    let request = app
        .acme
        .v2_create_request(&json!({ "audio_url": url }))
        .header("x-forwarded-proto", "HTTPS, http")
        .header("host", "speech.example");
    let created = Answer::to(request).await.expect(201);
    let id = created["id"].as_str().unwrap();
    let result = format!("https://speech.example/v2/pre-recorded/{id}");
    assert_eq!(created["result_url"], result);
    app.acme.wait_until_done(id).await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_by_address_is_fetched_by_gladia() {
    let app = TestApp::start().await;
    let kept = app
        .acme
        .v2_upload("/v2/upload", form(audio::short(), "a.wav"));
    let url = kept.await.expect(200)["audio_url"]
        .as_str()
        .unwrap()
        .to_owned();
    // What Gladia cannot fetch is told in its words.
    let answer = upload_url(&app.acme, "https://audio.invalid/a.mp3").await;
    let message = answer.envelope(400)["message"].as_str().unwrap().to_owned();
    let told = "Failed to download or upload the input file with error: ";
    assert!(message.starts_with(told), "{message}");
    assert!(!message.contains("Gladia request"), "{message}");
    for wrong in [
        "",
        "call.mp3",
        "ftp://audio.example/a",
        "https:/audio.example/a",
        "https://audio.example/a b",
    ] {
        let errors = &upload_url(&app.acme, wrong).await.envelope(400)["validation_errors"];
        assert_eq!(errors[0], "audio_url must be a URL address");
    }
    // Nobody has the account's key open another tenant's file.
    upload_url(&app.globex, &url).await.envelope(400);
    assert_eq!(app.rows("uploads").await, 1);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn forms_are_refused_where_gladia_refuses_them() {
    let app = TestApp::start().await;
    let request = app
        .acme
        .as_gladias_client(Method::POST, "/v2/upload")
        .header("content-type", "multipart/form-data");
    let answer = Answer::to(request.body("--b--")).await;
    let message = "Content-Type is missing Multipart Boundary.";
    assert_eq!(answer.envelope(400)["message"], message);
    let none = Form::new().text("language", "en");
    app.acme.v2_upload("/v2/upload", none).await.envelope(400);
    let letter = form(b"Dear Sir or Madam".to_vec(), "letter.txt");
    let answer = app.acme.v2_upload("/v2/upload", letter).await;
    let message = answer.envelope(400)["message"].as_str().unwrap().to_owned();
    assert!(
        message.starts_with("Failed to download or upload"),
        "{message}"
    );
    app.finish_with_nothing_kept().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_that_nobody_asks_for_are_passed_over() {
    let app = TestApp::start().await;
    let among_others = Form::new()
        .text("before", "words")
        .part("audio", Part::bytes(audio::short()).file_name("a.wav"))
        .text("after", "words");
    let answer = app.acme.v2_upload("/v2/upload", among_others).await;
    assert_is_upload(&answer.expect(200), "a.wav");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_tenants_file_is_not_there() {
    let app = TestApp::start().await;
    let kept = app
        .acme
        .v2_upload("/v2/upload", form(audio::short(), "a.wav"));
    let url = kept.await.expect(200)["audio_url"]
        .as_str()
        .unwrap()
        .to_owned();
    let theirs = app.globex.v2_create(&json!({ "audio_url": url })).await;
    let errors = &theirs.envelope(400)["validation_errors"];
    assert!(
        errors[0].as_str().unwrap().starts_with("audio_url "),
        "{errors}"
    );
    let by_v1 = app.globex.transcribe(&json!({ "audio_url": url })).await;
    by_v1.problem(404, "audio-not-found");
    assert_eq!(app.rows("jobs").await, 0);
    app.finish().await;
}
