//! What a deletion erases, here and at Gladia, and the receipt that stays.

use serde_json::json;

use crate::support::{
    TestApp, audio,
    database::until_statements_wait,
    receipts::{receipt, wait_for_receipt},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_job_is_deleted_at_gladia_and_leaves_a_receipt() {
    let app = TestApp::start().await;
    let id = app.acme.start("a.mp3").await;
    app.acme.wait_until_done(&id).await;
    assert_eq!(app.acme.delete(&id).await.status, 204);
    let receipt = wait_for_receipt(&app.acme, &id, "deleted").await;
    assert_eq!(receipt["by"], "request");
    assert!(receipt["erased_at"].is_string() && receipt["gladia"]["at"].is_string());
    assert_eq!(app.upstream.count("deletes").await, 1);
    // Every way to it gives the receipt.
    let address = format!("/v1/transcriptions/{id}");
    for answer in [
        app.acme.result(&id).await,
        app.acme.get(&format!("{address}/audio")).await,
        app.acme.cancel(&id).await,
    ] {
        assert_eq!(
            answer.problem(410, "transcription-deleted")["erased"],
            receipt
        );
    }
    app.globex.get(&address).await.problem(404, "not-found");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_never_reached_gladia_needs_no_deletion_there() {
    let app = TestApp::start().await;
    app.pause_dispatch().await;
    let id = app.acme.start("a.mp3").await;
    assert_eq!(app.acme.delete(&id).await.status, 204);
    let receipt = receipt(&app.acme, &id).await;
    assert_eq!(
        receipt["gladia"],
        json!({ "status": "not_sent", "at": null })
    );
    assert_eq!(app.rows("upstream_deletions").await, 0);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_version_before_erases_leaves_nothing_behind_either() {
    let app = TestApp::builder()
        .set("USAGE_METADATA_KEYS", "team")
        .start()
        .await;
    app.pause_dispatch().await;
    let body = json!({
        "audio_url": "https://audio.example/a.mp3",
        "custom_metadata": { "patient": "Jane Doe", "team": "sales" },
        "custom_vocabulary": true,
        "custom_vocabulary_config": { "vocabulary": ["Jane"], "default_intensity": 0.9 },
    });
    let id = app.acme.transcribe(&body).await.expect(202)["id"].clone();
    let id = id.as_str().unwrap();
    assert_ne!(app.acme.job(id).await["warnings"], json!([]));
    app.acme.cancel(id).await.expect(200);
    // All that it knows of.
    app.execute(&format!(
        "UPDATE jobs SET deleted_at = gateway_now(), erased_by = 'request', discard = true, request = NULL,
                audio_url = NULL, upload_id = NULL, result_callback_id = NULL, addon_errors = NULL,
                error_message = NULL WHERE id = '{id}'"
    ))
    .await;
    let left: Vec<(String, bool)> = sqlx::query_as(
        "SELECT key, (SELECT warnings IS NULL FROM jobs WHERE id = job_id) FROM job_metadata",
    )
    .fetch_all(&app.pool)
    .await
    .unwrap();
    assert_eq!(left, [("team".to_owned(), true)]);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_key_of_a_deleted_job_stays_its_own() {
    let app = TestApp::start().await;
    let body = json!({ "audio_url": "https://audio.example/a.mp3" });
    let job = app.acme.transcribe_once("order-7", &body).await.expect(202);
    let id = job["id"].as_str().unwrap();
    app.acme.wait_until_done(id).await;
    assert_eq!(app.acme.delete(id).await.status, 204);
    let again = app.acme.transcribe_once("order-7", &body).await;
    let problem = again.problem(410, "transcription-deleted");
    assert_eq!(problem["erased"]["by"], "request");
    let other = json!({ "audio_url": "https://audio.example/b.mp3" });
    let answer = app.acme.transcribe_once("order-7", &other).await;
    answer.problem(422, "idempotency-key-reused");
    app.acme.transcribe_once("order-8", &body).await.expect(202);
    app.upstream.wait_for("creates_accepted", 2).await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_goes_while_a_request_begins_to_use_it_is_not_found() {
    let app = TestApp::start().await;
    let job = app
        .acme
        .upload(audio::short(), "a.wav", None)
        .await
        .expect(202);
    let id = job["id"].as_str().unwrap().to_owned();
    app.acme.wait_until_done(&id).await;
    let audio_url = job["audio_url"].as_str().unwrap();
    // Another replica, in the middle of deleting the job.
    let mut tx = app.pool.begin().await.unwrap();
    for statement in ["UPDATE jobs SET upload_id = NULL", "DELETE FROM uploads"] {
        sqlx::query(statement).execute(&mut *tx).await.unwrap();
    }
    let body = json!({ "audio_url": audio_url });
    let request = tokio::spawn({
        let caller = app.acme.clone();
        async move { caller.transcribe_once("order-7", &body).await }
    });
    until_statements_wait(&app, 1).await;
    tx.commit().await.unwrap();
    request.await.unwrap().problem(404, "audio-not-found");
    // The key is free again.
    let body = json!({ "audio_url": "https://audio.example/b.mp3" });
    app.acme.transcribe_once("order-7", &body).await.expect(202);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_a_request_begins_to_use_stays_when_its_job_is_deleted() {
    let app = TestApp::start().await;
    let job = app
        .acme
        .upload(audio::short(), "a.wav", None)
        .await
        .expect(202);
    let id = job["id"].as_str().unwrap().to_owned();
    app.acme.wait_until_done(&id).await;
    // Another replica, in the middle of accepting a job of the same file.
    let mut tx = app.pool.begin().await.unwrap();
    sqlx::query(
        "INSERT INTO jobs (id, tenant_id, api_key_id, status, finished_at, request, audio_url, upload_id)
         SELECT gen_random_uuid(), tenant_id, api_key_id, 'canceled', gateway_now(), request, audio_url, upload_id FROM jobs",
    )
    .execute(&mut *tx)
    .await
    .unwrap();
    let request = tokio::spawn({
        let (caller, id) = (app.acme.clone(), id.clone());
        async move { caller.delete(&id).await }
    });
    until_statements_wait(&app, 1).await;
    tx.commit().await.unwrap();
    assert_eq!(request.await.unwrap().status, 204);
    assert_eq!(app.rows("uploads").await, 1);
    app.finish().await;
}
