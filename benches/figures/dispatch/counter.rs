//! Gladia that accepts whatever comes at once, and counts.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use axum::{Router, body::Bytes, extract::State, http::StatusCode, http::header, routing::post};
use tokio::{net::TcpListener, time::sleep};

/// When each create came.
#[derive(Clone, Default)]
pub struct Creates(Arc<Mutex<Vec<Instant>>>);

impl Creates {
    /// Serves it on a port of its own. Gives its address.
    pub async fn serve(&self) -> anyhow::Result<String> {
        let router = Router::new()
            .route("/v2/pre-recorded", post(create))
            .with_state(self.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        tokio::spawn(async move { axum::serve(listener, router).await });
        Ok(url)
    }

    /// Begins anew.
    pub fn forget(&self) {
        self.0.lock().unwrap().clear();
    }

    /// Waits for so many, and gives how long they took, from the first to the last.
    pub async fn wait(&self, wanted: usize, bound: Duration) -> anyhow::Result<Duration> {
        let start = Instant::now();
        loop {
            {
                let times = self.0.lock().unwrap();
                if let (Some(first), Some(last)) = (times.first(), times.get(wanted - 1)) {
                    return Ok(*last - *first);
                }
                anyhow::ensure!(
                    start.elapsed() < bound,
                    "only {} of {wanted} jobs were sent",
                    times.len()
                );
            }
            sleep(Duration::from_millis(20)).await;
        }
    }
}

async fn create(
    State(creates): State<Creates>,
    // Read, as Gladia would.
    _: Bytes,
) -> (StatusCode, [(header::HeaderName, &'static str); 1], String) {
    creates.0.lock().unwrap().push(Instant::now());
    let id = uuid::Uuid::new_v4();
    (
        StatusCode::CREATED,
        [(header::CONTENT_TYPE, "application/json")],
        format!(r#"{{"id":"{id}","result_url":"https://api.gladia.io/v2/pre-recorded/{id}"}}"#),
    )
}
