//! Webhook endpoints and callbacks of a test, and what became of their deliveries.

use gladia_gateway::{db::signing_secrets, notify::sealing::Sealer};
use serde_json::json;
use sqlx::AssertSqlSafe;
use uuid::Uuid;

use super::{Caller, TestApp, eventually};

/// An endpoint as its tenant knows it.
#[derive(Debug, Clone)]
pub struct Endpoint {
    pub id: Uuid,
    pub secret: String,
}

/// A delivery's row.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct DeliveryRow {
    pub id: Uuid,
    pub event_type: String,
    pub status: String,
    pub dead_reason: Option<String>,
    pub tries: i32,
}

/// A try's row.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct TryRow {
    pub number: i32,
    pub http_status: Option<i32>,
    pub error: Option<String>,
    pub response_start: Option<String>,
}

impl TestApp {
    /// An endpoint of a tenant for events of these types, without results.
    pub async fn add_endpoint(&self, caller: &Caller, url: &str, types: &[&str]) -> Endpoint {
        self.add_endpoint_with(caller, url, types, false).await
    }

    pub async fn add_endpoint_with(
        &self,
        caller: &Caller,
        url: &str,
        types: &[&str],
        includes_result: bool,
    ) -> Endpoint {
        let body = json!({ "url": url, "event_types": types, "include_result": includes_result });
        let made = caller.create_endpoint(&body).await.expect(201);
        Endpoint {
            id: made["id"].as_str().unwrap().parse().unwrap(),
            secret: made["secret"].as_str().unwrap().to_owned(),
        }
    }

    /// Has the end of a job told to a URL, as the request's `callback_config` does.
    pub async fn set_callback(&self, job: &str, url: &str, method: &str) {
        let callback = json!({ "url": url, "method": method });
        let set = self
            .execute(&format!(
                "UPDATE jobs SET callback = '{callback}' WHERE id = '{job}' AND finished_at IS NULL"
            ))
            .await;
        assert_eq!(set, 1, "{job} has ended");
    }

    /// The secret that signs the callbacks of a tenant's jobs.
    pub async fn callback_secret(&self, caller: &Caller) -> String {
        let mut conn = self.pool.acquire().await.unwrap();
        let tenant_id = caller.tenant_id.into();
        let stored = signing_secrets::list_usable(&mut conn, tenant_id, None)
            .await
            .unwrap();
        let sealer = Sealer::new(self.callback_keys.derive_sealing_keys()).unwrap();
        assert_eq!(stored.len(), 1);
        sealer.open(&stored[0]).unwrap().expose()
    }

    /// Deliveries, in the order of their events.
    pub async fn deliveries(&self, condition: &str) -> Vec<DeliveryRow> {
        let query = format!(
            "SELECT id, event_type, status, dead_reason, tries FROM deliveries WHERE {condition} ORDER BY event_number, id"
        );
        sqlx::query_as(AssertSqlSafe(query))
            .fetch_all(&self.pool)
            .await
            .unwrap()
    }

    pub async fn deliveries_to(&self, endpoint: &Endpoint) -> Vec<DeliveryRow> {
        self.deliveries(&format!("endpoint_id = '{}'", endpoint.id))
            .await
    }

    /// Waits until an endpoint's deliveries have these statuses, in the order of their events.
    pub async fn wait_for_deliveries(
        &self,
        endpoint: &Endpoint,
        statuses: &[&str],
    ) -> Vec<DeliveryRow> {
        eventually(&format!("deliveries that are {statuses:?}"), async || {
            let rows = self.deliveries_to(endpoint).await;
            rows.iter()
                .map(|row| row.status.as_str())
                .eq(statuses.iter().copied())
                .then_some(rows)
        })
        .await
    }

    /// Waits until at least so many tries are recorded of the deliveries that meet a condition, and none is under way.
    pub async fn wait_for_tries(&self, condition: &str, tries: i64) {
        let query = format!(
            "SELECT (SELECT count(*) FROM delivery_attempts a JOIN deliveries d ON d.id = a.delivery_id WHERE {condition})
                  - 1000 * (SELECT count(*) FROM deliveries d WHERE lease_until IS NOT NULL AND {condition})"
        );
        eventually(&format!("try number {tries}"), async || {
            (self.scalar::<i64>(&query).await >= tries).then_some(())
        })
        .await;
    }

    /// The tries of a delivery.
    pub async fn tries(&self, delivery: Uuid) -> Vec<TryRow> {
        sqlx::query_as(
            "SELECT number, http_status, error, response_start FROM delivery_attempts
             WHERE delivery_id = $1 ORDER BY number",
        )
        .bind(delivery)
        .fetch_all(&self.pool)
        .await
        .unwrap()
    }

    /// How the lane of an endpoint is: failures, and whether its circuit is open.
    pub async fn lane(&self, endpoint: &Endpoint) -> (i32, bool) {
        sqlx::query_as(
            "SELECT failures, open_until > gateway_now() IS TRUE FROM delivery_lanes WHERE id = $1",
        )
        .bind(endpoint.id)
        .fetch_one(&self.pool)
        .await
        .unwrap()
    }
}
