//! Jobs that may be billed twice if they are tried again.

use gladia_gateway::domain::access::Scope;
use serde_json::json;
use uuid::Uuid;

use super::{TestApp, callbacks::processing, look_ups::lose_creates, rows::AttemptRow};

/// A job that Gladia accepted and of which nothing came in time; its attempt, and Gladia's id of it.
pub async fn missing(app: &TestApp) -> (String, AttemptRow, String) {
    let (id, attempt, gladia_id) = processing(app).await;
    app.set_clock_ahead("3 hours").await;
    let job = app.acme.wait_until(&id, "error").await;
    assert_eq!(job["error"]["type"], "result_missing");
    (id, attempt, gladia_id)
}

/// A job whose create was never answered, and that an operator gave up.
pub async fn given_up(app: &TestApp, audio: &str) -> (String, Uuid) {
    lose_creates(app, 1).await;
    let id = app.acme.start(audio).await;
    let attempt = app.wait_for_attempt(&id, "unknown").await;
    let admin = app.caller("operators", Scope::Admin).await;
    let path = format!("/v1/admin/attempts/{}/resolve", attempt.id);
    let decision = json!({ "resolution": "failed" });
    admin.post(&path, &decision).await.expect(200);
    let job = app.acme.job(&id).await;
    assert_eq!(job["error"]["type"], "outcome_unknown");
    (id, attempt.id)
}

/// Gladia's jobs that are noted as one too many for a job of ours.
pub async fn surplus(app: &TestApp, id: &str) -> Vec<String> {
    let query =
        "SELECT gladia_id FROM upstream_deletions WHERE job_id = $1::uuid AND reason = 'surplus'";
    sqlx::query_scalar(query)
        .bind(id)
        .fetch_all(&app.pool)
        .await
        .unwrap()
}
