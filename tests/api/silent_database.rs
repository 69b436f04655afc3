//! A database that takes what it is sent, and says nothing: as behind a network path that is gone.

use std::time::Duration;

use tokio::time::timeout;

use crate::support::{TestApp, eventually};

/// Longer than any statement of a create may take, and than the wait for those before it.
const BOUND: Duration = Duration::from_mins(1);

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_falls_silent_does_not_hold_creates_for_ever() {
    // Room for creates beside every worker that waits for the same lock.
    let app = TestApp::builder()
        .with_database_relay()
        .set("DATABASE_POOL_SIZE", "16")
        .start()
        .await;
    let body = serde_json::json!({ "audio_url": "https://audio.example/spoken.mp3" });
    // Of this key it is known whose it is.
    app.acme.transcribe(&body).await.expect(202);
    // In the middle of its statement when the answers stop.
    let mut somebody = app.pool.begin().await.unwrap();
    sqlx::query("LOCK TABLE jobs")
        .execute(&mut *somebody)
        .await
        .unwrap();
    let creates = async { tokio::join!(app.acme.transcribe(&body), app.acme.transcribe(&body)) };
    let falls_silent = async {
        eventually("statement that waits", async || {
            let waiting =
                "pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%WITH asked AS%'";
            (app.rows(waiting).await > 0).then_some(())
        })
        .await;
        app.database_relay().hold_answers();
        somebody.rollback().await.unwrap();
    };
    let ((one, other), ()) = timeout(BOUND, async { tokio::join!(creates, falls_silent) })
        .await
        .expect("both are answered although the database is not there");
    for answer in [one, other] {
        answer.problem(503, "database-unavailable");
    }
    app.database_relay().release_answers();
    app.acme.transcribe(&body).await.expect(202);
    app.finish().await;
}
