//! Deliveries that nobody sends: their lanes rest, so that tests can look at them in peace.

use uuid::Uuid;

use super::{Caller, TestApp, eventually};

/// A delivery to be inserted.
#[derive(Debug, Clone)]
pub struct Row {
    pub endpoint: Option<Uuid>,
    pub job: Option<String>,
    pub event: i64,
    pub status: &'static str,
    pub dead_reason: Option<&'static str>,
    /// How long ago it was made, in SQL.
    pub age: String,
}

impl Default for Row {
    fn default() -> Self {
        Self {
            endpoint: None,
            job: None,
            event: 1,
            status: "dead",
            dead_reason: Some("exhausted"),
            age: "0 seconds".to_owned(),
        }
    }
}

impl TestApp {
    /// An endpoint of a tenant, at an address where nobody listens.
    pub async fn resting_endpoint(&self, caller: &Caller) -> Uuid {
        let id = Uuid::now_v7();
        let tenant = caller.tenant_id;
        self.execute(&format!(
            "INSERT INTO webhook_endpoints (id, tenant_id, url, description, includes_result, status)
             VALUES ('{id}', '{tenant}', 'http://127.0.0.1:1/told', '', false, 'enabled')"
        ))
        .await;
        self.resting_lane(caller, id, None).await;
        id
    }

    /// A lane in which nothing is sent before the end of time.
    pub async fn resting_lane(&self, caller: &Caller, id: Uuid, origin: Option<&str>) {
        let tenant = caller.tenant_id;
        let origin = origin.map_or("NULL".to_owned(), |origin| format!("'{origin}'"));
        self.execute(&format!(
            "INSERT INTO delivery_lanes (id, tenant_id, origin, failures, failing_since, last_failure_at, open_until)
             VALUES ('{id}', '{tenant}', {origin}, 5, gateway_now(), gateway_now(), '2100-01-01')"
        ))
        .await;
    }

    /// A job that is done, and the number of the event that says so. All of its events are numbered, so none of them makes
    /// deliveries any more.
    pub async fn done_and_told(&self) -> (String, i64) {
        let id = self.acme.start("a.mp3").await;
        self.acme.wait_until_done(&id).await;
        let query = format!(
            "SELECT number FROM events WHERE job_id = '{id}' AND type = 'transcription.done'"
        );
        let number = eventually("number of the last event", async || {
            self.scalar::<Option<i64>>(&query).await
        })
        .await;
        (id, number)
    }

    /// Inserts a delivery, and gives its id.
    pub async fn insert_delivery(&self, caller: &Caller, row: &Row) -> String {
        let id = Uuid::now_v7().to_string();
        let quoted = |value: Option<String>| {
            value.map_or_else(|| "NULL".to_owned(), |value| format!("'{value}'"))
        };
        let (tenant, event, status, age) = (caller.tenant_id, row.event, row.status, &row.age);
        let endpoint = quoted(row.endpoint.map(|id| id.to_string()));
        let lane = row.endpoint.unwrap_or(caller.tenant_id);
        let job = quoted(row.job.clone());
        let reason = quoted(row.dead_reason.map(str::to_owned));
        let finished = if status == "pending" {
            "NULL"
        } else {
            "gateway_now()"
        };
        self.execute(&format!(
            "INSERT INTO deliveries (id, tenant_id, lane_id, endpoint_id, event_number, event_type, job_id, status,
                                     dead_reason, tries, created_at, finished_at)
             VALUES ('{id}', '{tenant}', '{lane}', {endpoint}, {event}, 'transcription.done', {job}, '{status}',
                     {reason}, 3, gateway_now() - interval '{age}', {finished})"
        ))
        .await;
        id
    }
}
