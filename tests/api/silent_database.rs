//! A database that takes what it is sent, and says nothing: as behind a network path that is gone.

use std::time::Duration;

use tokio::time::timeout;

use crate::support::TestApp;

/// Longer than any statement of a create may take, and than the wait for the one before it.
const BOUND: Duration = Duration::from_secs(45);

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_falls_silent_does_not_hold_creates_for_ever() {
    let app = TestApp::builder().with_database_relay().start().await;
    let body = serde_json::json!({ "audio_url": "https://audio.example/spoken.mp3" });
    // Just used, a connection is trusted.
    app.acme.transcribe(&body).await.expect(202);
    app.database_relay().hold_answers();
    // As many as statements may be under way, so that nobody else gets through beside them.
    let creates = async { tokio::join!(app.acme.transcribe(&body), app.acme.transcribe(&body)) };
    let (one, other) = timeout(BOUND, creates)
        .await
        .expect("both are answered although the database is not there");
    for answer in [one, other] {
        answer.problem(503, "database-unavailable");
    }
    app.database_relay().release_answers();
    app.acme.transcribe(&body).await.expect(202);
    app.finish().await;
}
