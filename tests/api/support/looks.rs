//! Looks at what has not come back.

use serde_json::{Value, json};

use super::{TestApp, eventually};

/// No callback arrives any more.
pub async fn lose_callbacks(app: &TestApp) {
    app.upstream
        .fault(&json!({ "operation": "callback", "kind": "lose" }))
        .await;
}

impl TestApp {
    /// A job that is done at Gladia, and whose callback was lost.
    pub async fn start_and_lose_callback(&self, audio: &str) -> String {
        lose_callbacks(self).await;
        let id = self.acme.start(audio).await;
        self.upstream.wait_for("callbacks_lost", 1).await;
        self.acme.wait_until(&id, "processing").await;
        id
    }

    /// Waits until the first attempt of a job was asked for this often without an end. Gives for how many seconds it then
    /// rests.
    pub async fn wait_for_looks(&self, job: &str, looks: i32) -> f64 {
        let query = format!(
            "SELECT coalesce(max(extract(epoch FROM next_look_at - gateway_now())), 0)::float8 FROM attempts
             WHERE job_id = '{job}' AND number = 1 AND looks = {looks} AND next_look_at IS NOT NULL"
        );
        eventually(
            &format!("attempt that was asked for {looks} times"),
            async || {
                let rests: f64 = self.scalar(&query).await;
                (rests > 0.0).then_some(rests)
            },
        )
        .await
    }

    /// What a look at the first attempt of a job left in a column.
    pub async fn absences(&self, job: &str) -> i32 {
        self.scalar(&format!(
            "SELECT absences FROM attempts WHERE job_id = '{job}' AND number = 1"
        ))
        .await
    }

    /// How often Gladia was asked for single jobs.
    pub async fn gets(&self) -> u64 {
        self.upstream.count("gets").await
    }

    /// The exact bytes of a job's result at Gladia.
    pub async fn result_at_gladia(&self, job: &str) -> bytes::Bytes {
        let gladia_id = self.attempt(job).await.gladia_id.unwrap();
        let url = format!(
            "{}_simulator/jobs/{gladia_id}/result",
            self.upstream.simulator.url()
        );
        let response = self.http.get(url).send().await.unwrap();
        assert_eq!(response.status(), 200);
        response.bytes().await.unwrap()
    }

    /// The bodies with which Gladia's creates came.
    pub async fn create_bodies(&self) -> Vec<Value> {
        let jobs = self.upstream.jobs().await;
        jobs.into_iter()
            .map(|mut job| job["request_body"].take())
            .collect()
    }
}
