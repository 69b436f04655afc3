//! Webhook endpoints, and deliveries that wait for them.

use gladia_gateway::{
    db,
    domain::{
        ids::{EndpointId, TenantId},
        signing_secret::StoredSecret,
    },
    notify::sealing::Sealer,
};
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Answer, Caller, TestApp};

/// Nobody is there: the name has no address.
pub const NOBODY: &str = "https://receiver.invalid/told";

impl Caller {
    /// Asks for an endpoint.
    pub async fn create_endpoint(&self, body: &Value) -> Answer {
        self.post("/v1/webhook-endpoints", body).await
    }

    /// Makes an endpoint where nobody is, and gives its id and its secret.
    pub async fn endpoint(&self) -> (String, String) {
        let made = self.create_endpoint(&json!({ "url": NOBODY })).await;
        let made = made.expect(201);
        let text = |field: &str| made[field].as_str().unwrap().to_owned();
        (text("id"), text("secret"))
    }

    /// An endpoint as it is now.
    pub async fn endpoint_now(&self, id: &str) -> Value {
        self.get(&format!("/v1/webhook-endpoints/{id}"))
            .await
            .expect(200)
    }

    pub async fn change_endpoint(&self, id: &str, body: &Value) -> Answer {
        let path = format!("/v1/webhook-endpoints/{id}");
        Answer::to(self.request(Method::PATCH, &path).json(body)).await
    }

    pub async fn delete_endpoint(&self, id: &str) -> Answer {
        let path = format!("/v1/webhook-endpoints/{id}");
        Answer::to(self.request(Method::DELETE, &path)).await
    }

    /// `enable`, `disable` or `test`, and `rotate-secret` with its defaults.
    pub async fn tell_endpoint(&self, id: &str, verb: &str) -> Answer {
        let path = format!("/v1/webhook-endpoints/{id}/{verb}");
        Answer::to(self.request(Method::POST, &path)).await
    }

    /// Rotates an endpoint's secret, or the tenant's own, and gives the new one.
    pub async fn rotate_secret(&self, endpoint: Option<&str>, body: &Value) -> String {
        let path = endpoint.map_or("/v1/callback-secret/rotate".to_owned(), |id| {
            format!("/v1/webhook-endpoints/{id}/rotate-secret")
        });
        let rotated = self.post(&path, body).await.expect(200);
        rotated["secret"].as_str().unwrap().to_owned()
    }
}

impl TestApp {
    /// Adds a delivery to an endpoint of `acme`, as the sequencer would, that is not due for a long time. `lease` is SQL.
    pub async fn add_delivery(&self, endpoint: &str, status: &str, lease: &str) -> Uuid {
        let finished = if status == "pending" {
            "NULL"
        } else {
            "gateway_now()"
        };
        self.scalar(&format!(
            "INSERT INTO deliveries (id, tenant_id, lane_id, endpoint_id, event_number, event_type, status, next_try_at,
                                     lease_until, finished_at)
             VALUES (gen_random_uuid(), '{}', '{endpoint}', '{endpoint}', 1, 'transcription.done', '{status}',
                     gateway_now() + interval '10 hours', {lease}, {finished})
             RETURNING id",
            self.acme.tenant_id
        ))
        .await
    }

    /// Where a delivery is, and why it is dead.
    pub async fn delivery(&self, id: Uuid) -> (String, Option<String>) {
        sqlx::query_as("SELECT status, dead_reason FROM deliveries WHERE id = $1")
            .bind(id)
            .fetch_one(&self.pool)
            .await
            .unwrap()
    }

    /// The secrets that sign now, opened, the current one first.
    pub async fn usable_secrets(&self, caller: &Caller, endpoint: Option<&str>) -> Vec<String> {
        let sealer = Sealer::new(self.callback_keys.derive_sealing_keys()).unwrap();
        let stored = self.stored_secrets(caller, endpoint).await;
        stored
            .iter()
            .map(|secret| sealer.open(secret).unwrap().expose())
            .collect()
    }

    /// The same as they are stored.
    pub async fn stored_secrets(
        &self,
        caller: &Caller,
        endpoint: Option<&str>,
    ) -> Vec<StoredSecret> {
        let mut conn = self.pool.acquire().await.unwrap();
        let endpoint_id = endpoint.map(|id| id.parse::<EndpointId>().unwrap());
        let tenant_id = TenantId(caller.tenant_id);
        db::signing_secrets::list_usable(&mut conn, tenant_id, endpoint_id)
            .await
            .unwrap()
    }
}
