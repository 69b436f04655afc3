//! Jobs whose callbacks the test sends itself.

use super::{TestApp, rows::AttemptRow};

/// A job that Gladia works on without an end, its attempt, and Gladia's id of it.
pub async fn processing(app: &TestApp) -> (String, AttemptRow, String) {
    let id = app.acme.start("endless.mp3").await;
    app.acme.wait_until(&id, "processing").await;
    let attempt = app.attempt(&id).await;
    let gladia_id = attempt.gladia_id.clone().unwrap();
    (id, attempt, gladia_id)
}
