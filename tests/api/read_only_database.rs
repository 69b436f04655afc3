//! A database that answers and takes no writes, as a standby does.

use serde_json::json;
use sqlx::{AssertSqlSafe, Connection, PgConnection};

use crate::support::{TestApp, callbacks::processing, eventually, rows::success};

/// A connection that stays as it is, whatever happens to the others.
struct Apart(PgConnection);

impl Apart {
    async fn of(app: &TestApp) -> Self {
        let connection = PgConnection::connect(app.database_url()).await;
        Self(connection.unwrap())
    }

    async fn run(&mut self, statement: &str) {
        sqlx::raw_sql(AssertSqlSafe(statement.to_owned()))
            .execute(&mut self.0)
            .await
            .unwrap();
    }

    async fn cut_off_all_others(&mut self) {
        self.run(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
             WHERE datname = current_database() AND pid <> pg_backend_pid()",
        )
        .await;
    }

    /// Has connections that are opened from now on take writes, or none.
    async fn set_read_only(&mut self, is_read_only: bool) {
        let name: String = sqlx::query_scalar("SELECT current_database()")
            .fetch_one(&mut self.0)
            .await
            .unwrap();
        self.run(&format!(
            "ALTER DATABASE {name} SET default_transaction_read_only = {is_read_only}"
        ))
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_takes_no_writes_counts_as_away_until_it_takes_them_again() {
    let app = TestApp::start().await;
    let body = json!({ "audio_url": "https://audio.example/spoken.mp3" });
    let anonymous = app.acme.with_key(None);
    let (id, attempt, gladia_id) = processing(&app).await;
    let mut apart = Apart::of(&app).await;

    apart.set_read_only(true).await;
    apart.cut_off_all_others().await;
    eventually("end of readiness", async || {
        let ready = anonymous.get("/readyz?for=api").await;
        (ready.text() == "the database takes no writes\n").then(|| assert_eq!(ready.status, 503))
    })
    .await;
    for _ in 0..3 {
        let refused = app.acme.transcribe(&body).await;
        refused.problem(503, "database-unavailable");
        assert!(refused.header("retry-after").is_some());
        let called_back = app.call_back(attempt.id, success(&gladia_id, "words"));
        assert_eq!(called_back.await.status, 503);
    }
    assert_eq!(anonymous.get("/readyz").await.status, 503);
    let metrics = anonymous.get("/metrics").await.text();
    assert!(metrics.contains("\ngateway_database_up 0\n"), "{metrics}");

    // Nobody is cut off now: what was opened meanwhile would go on taking no writes.
    apart.set_read_only(false).await;
    for _ in 0..8 {
        app.acme.transcribe(&body).await.expect(202);
    }
    assert_eq!(anonymous.get("/readyz?for=api").await.status, 200);
    let called_back = app.call_back(attempt.id, success(&gladia_id, "words"));
    assert_eq!(called_back.await.status, 200);
    app.acme.wait_until_done(&id).await;
    app.finish().await;
}
