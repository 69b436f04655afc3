//! Attempts of unknown outcome, and what is known of them.

use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    TestApp, eventually,
    rows::{AttemptRow, success},
};

/// Gladia's own error envelope for a filter that it does not understand.
pub const FILTER_REFUSED: &str = r#"{"statusCode":400,"message":"Bad Request","timestamp":"2026-01-02T03:04:05.678Z",
    "path":"/v2/pre-recorded","request_id":"G-1","validation_errors":["custom_metadata must be an object"]}"#;

/// The next creates are accepted, and their answers are lost.
pub async fn lose_creates(app: &TestApp, times: u32) {
    let fault = json!({ "operation": "create", "kind": "drop_after", "times": times });
    app.upstream.fault(&fault).await;
}

/// The next creates fail before anything is accepted, in a way that does not say so.
pub async fn refuse_creates(app: &TestApp, times: u32) {
    let fault = json!({ "operation": "create", "kind": "status", "status": 503, "times": times });
    app.upstream.fault(&fault).await;
}

/// Starts a job whose attempt becomes unknown, and waits until whatever is sent from then on is its witness.
pub async fn start_unknown(app: &TestApp, audio: &str) -> (String, AttemptRow) {
    let id = app.acme.start(audio).await;
    let unknown = app.wait_for_attempt(&id, "unknown").await;
    app.wait_until_a_witness_may_be_sent(unknown.id).await;
    (id, unknown)
}

/// The same of one that Gladia has, while its list does not answer.
pub async fn start_unknown_without_list(app: &TestApp) -> (String, AttemptRow) {
    let faults = json!([
        { "operation": "create", "kind": "drop_after", "times": 1 },
        { "operation": "list", "kind": "status", "status": 503 },
    ]);
    app.upstream.fault(&faults).await;
    start_unknown(app, "endless.mp3").await
}

impl TestApp {
    /// Waits until nothing of an attempt could be on its way any more, so that whatever is sent from now on is its witness. For
    /// gateways with a settling time of a second.
    pub async fn wait_until_a_witness_may_be_sent(&self, attempt: Uuid) {
        let query = format!(
            "SELECT send_until + interval '1 second' <= gateway_now() FROM attempts WHERE id = '{attempt}'"
        );
        eventually("end of the settling time", async || {
            self.scalar::<bool>(&query).await.then_some(())
        })
        .await;
    }

    /// Waits until an attempt stays unknown for a reason.
    pub async fn wait_for_unknown_reason(&self, attempt: Uuid, reason: &str) {
        let query = format!("SELECT unknown_reason FROM attempts WHERE id = '{attempt}'");
        eventually(
            &format!("attempt that is unknown for {reason}"),
            async || {
                let found: Option<String> = self.scalar(&query).await;
                (found.as_deref() == Some(reason)).then_some(())
            },
        )
        .await;
    }

    /// Waits until an attempt was looked for once more, in vain.
    pub async fn wait_for_another_look_up(&self, attempt: Uuid) {
        let query = format!("SELECT looks FROM attempts WHERE id = '{attempt}'");
        let before: i32 = self.scalar(&query).await;
        eventually("another look", async || {
            (self.scalar::<i32>(&query).await > before).then_some(())
        })
        .await;
    }

    /// What settled the first attempt of a job.
    pub async fn settled_by(&self, job: &str) -> Option<String> {
        self.scalar(&format!(
            "SELECT settled_by FROM attempts WHERE job_id = '{job}' AND number = 1"
        ))
        .await
    }

    /// The queries with which Gladia's list was asked for.
    pub async fn list_queries(&self) -> Vec<String> {
        let ledger = self.upstream.ledger().await;
        let requests = ledger["requests"].as_array().unwrap();
        requests
            .iter()
            .filter(|request| request["path"] == "/v2/pre-recorded" && request["method"] == "GET")
            .map(|request| request["query"].as_str().unwrap_or_default().to_owned())
            .collect()
    }

    /// The attempts that Gladia's list was asked for one by one, and about which it said something, in this order.
    pub async fn attempts_asked_for(&self) -> Vec<String> {
        let ledger = self.upstream.ledger().await;
        let requests = ledger["requests"].as_array().unwrap();
        let answered = requests.iter().filter(|request| request["status"] == 200);
        answered
            .filter_map(|request| {
                let query = request["query"].as_str()?;
                let mut pairs = url::form_urlencoded::parse(query.as_bytes());
                let (_, wanted) = pairs.find(|(key, _)| key == "custom_metadata")?;
                let wanted: Value = serde_json::from_str(&wanted).unwrap();
                Some(wanted["gladia_gateway_attempt"].as_str()?.to_owned())
            })
            .collect()
    }

    /// Ends a job in Gladia's place.
    pub async fn end(&self, job: &str) {
        let attempt = eventually("attempt that Gladia has", async || {
            let attempts = self.attempts(job).await;
            attempts
                .into_iter()
                .rev()
                .find(|attempt| attempt.gladia_id.is_some())
        })
        .await;
        let gladia_id = attempt.gladia_id.unwrap();
        self.call_back(attempt.id, success(&gladia_id, "the end"))
            .await;
    }
}
