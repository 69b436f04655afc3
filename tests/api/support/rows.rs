//! What the tables say, and the clock that they go by.

use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Decode, Postgres, Type, postgres::PgRow};
use uuid::Uuid;

use super::{Answer, TestApp, eventually};
use gladia_gateway::domain::ids::AttemptId;

/// An attempt's row, as far as tests look at it.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct AttemptRow {
    pub id: Uuid,
    pub state: String,
    pub gladia_id: Option<String>,
    pub http_status: Option<i32>,
}

impl TestApp {
    /// The one value of a query.
    pub async fn scalar<T>(&self, query: &str) -> T
    where
        T: for<'r> Decode<'r, Postgres> + Type<Postgres> + Send + Unpin,
        (T,): for<'r> sqlx::FromRow<'r, PgRow>,
    {
        sqlx::query_scalar(AssertSqlSafe(query.to_owned()))
            .fetch_one(&self.pool)
            .await
            .unwrap_or_else(|error| panic!("{query}: {error}"))
    }

    pub async fn execute(&self, statement: &str) -> u64 {
        sqlx::query(AssertSqlSafe(statement.to_owned()))
            .execute(&self.pool)
            .await
            .unwrap_or_else(|error| panic!("{statement}: {error}"))
            .rows_affected()
    }

    /// How many rows a table has.
    pub async fn rows(&self, table: &str) -> i64 {
        self.scalar(&format!("SELECT count(*) FROM {table}")).await
    }

    /// Moves the clock of the database, and with it every replica's, ahead of the real one. Its own clock a replica reads too, and
    /// that always moves along (`builder.rs`).
    pub async fn set_clock_ahead(&self, interval: &str) {
        self.execute(&format!(
            "CREATE OR REPLACE FUNCTION gateway_now() RETURNS timestamptz LANGUAGE sql VOLATILE PARALLEL SAFE
             AS 'SELECT clock_timestamp() + interval ''{interval}'''"
        ))
        .await;
    }

    /// The attempts of a job, oldest first.
    pub async fn attempts(&self, job: &str) -> Vec<AttemptRow> {
        sqlx::query_as(
            "SELECT id, state, gladia_id, http_status FROM attempts WHERE job_id = $1::uuid ORDER BY number",
        )
        .bind(job)
        .fetch_all(&self.pool)
        .await
        .unwrap()
    }

    /// The latest attempt of a job, once it has one.
    pub async fn attempt(&self, job: &str) -> AttemptRow {
        eventually("attempt", async || self.attempts(job).await.pop()).await
    }

    /// Waits until the latest attempt is in a state.
    pub async fn wait_for_attempt(&self, job: &str, state: &str) -> AttemptRow {
        eventually(&format!("attempt that is {state}"), async || {
            let last = self.attempts(job).await.pop();
            last.filter(|attempt| attempt.state == state)
        })
        .await
    }

    /// The events of a job, without their common prefix.
    pub async fn events(&self, job: &str) -> Vec<String> {
        sqlx::query_scalar(
            "SELECT substr(type, length('transcription.') + 1) FROM events WHERE job_id = $1::uuid ORDER BY position",
        )
        .bind(job)
        .fetch_all(&self.pool)
        .await
        .unwrap()
    }

    /// What callbacks of a job did, in their order.
    pub async fn callback_outcomes(&self, job: &str) -> Vec<String> {
        sqlx::query_scalar(
            "SELECT outcome FROM callbacks WHERE attempt_id IN (SELECT id FROM attempts WHERE job_id = $1::uuid)
             ORDER BY received_at, id",
        )
        .bind(job)
        .fetch_all(&self.pool)
        .await
        .unwrap()
    }

    pub async fn slots_held(&self) -> i64 {
        self.scalar("SELECT count(*) FROM slots WHERE attempt_id IS NOT NULL")
            .await
    }

    /// Keeps jobs in the queue until [`Self::resume_dispatch`].
    pub async fn pause_dispatch(&self) {
        self.execute(
            "UPDATE dispatch SET paused_until = gateway_now() + interval '10 hours', pause_reason = 'not_sent'",
        )
        .await;
    }

    pub async fn resume_dispatch(&self) {
        self.execute("UPDATE dispatch SET paused_until = NULL, pause_reason = NULL")
            .await;
    }

    /// The address that belongs to an attempt, at a replica.
    pub fn callback_url(&self, replica: usize, attempt: Uuid) -> String {
        self.callback_url_at(&self.replicas[replica].base, attempt)
    }

    /// The same at a process of its own.
    pub fn callback_url_at(&self, base: &str, attempt: Uuid) -> String {
        self.callback_keys
            .callback_url(&base.parse().unwrap(), AttemptId(attempt))
            .into()
    }

    /// Calls back as Gladia would, at the first replica that runs.
    pub async fn call_back(&self, attempt: Uuid, body: impl Into<reqwest::Body>) -> Answer {
        let running = self
            .replicas
            .iter()
            .position(|replica| !replica.shutdown.soft.is_cancelled());
        let url = self.callback_url(running.expect("a replica runs"), attempt);
        let request = self
            .http
            .post(url)
            .header("content-type", "application/json")
            .body(body);
        Answer::to(request).await
    }
}

/// The callback of a success.
pub fn success(gladia_id: &str, words: &str) -> String {
    json!({
        "id": gladia_id,
        "event": "transcription.success",
        "payload": {
            "metadata": { "audio_duration": 3.5, "number_of_distinct_channels": 1, "billing_time": 3.5 },
            "transcription": { "full_transcript": words, "utterances": [], "languages": ["en"] },
        },
    })
    .to_string()
}

/// The callback of a failure.
pub fn failure(gladia_id: &str, code: i64, message: &str) -> String {
    let error: Value = json!({ "code": code, "message": message });
    json!({ "id": gladia_id, "event": "transcription.error", "error": error }).to_string()
}
