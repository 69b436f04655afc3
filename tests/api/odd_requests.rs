//! Requests with characters that Postgres cannot hold in a text.

use serde_json::json;

use crate::support::{TestApp, looks::lose_callbacks};

#[tokio::test(flavor = "multi_thread")]
async fn a_nul_in_a_request_does_not_keep_its_acceptance_from_being_recorded() {
    let app = TestApp::builder()
        .set("RECONCILE_AFTER_SECONDS", 60)
        .start()
        .await;
    lose_callbacks(&app).await;
    let body = json!({
        "audio_url": "https://audio.example/a.mp3",
        "diarization": true,
        "custom_metadata": { "name": "before\u{0}after" },
        "extra_options": { "x": "nul\u{0}" },
    });
    let answer = app.acme.transcribe(&body).await;
    let job = answer.expect(202);
    let id = job["id"].as_str().unwrap();
    app.wait_for_attempt(id, "accepted").await;
    app.set_clock_ahead("30 minutes").await;
    app.acme.wait_until_done(id).await;
    app.finish().await;
}
