//! The least that could tell somebody of a callback: one row committed, one task woken, one POST.
//!
//! No signature, no outbox, no retries, nothing that survives a crash after the commit. What the gateway does beyond this
//! is what its guarantees cost.

use axum::{Router, body::Bytes, extract::State, http::HeaderMap, routing::post};
use sqlx::PgPool;
use tokio::{net::TcpListener, sync::mpsc};

/// Names a callback: passed on to the receiver.
pub const KEY: &str = "x-key";

#[derive(Clone)]
struct Floor {
    pool: PgPool,
    told: mpsc::UnboundedSender<String>,
}

/// Serves until it is killed. Prints its address first.
pub async fn serve(database_url: &str, receiver: String) -> anyhow::Result<()> {
    let pool = super::connect(database_url).await?;
    sqlx::query("CREATE TABLE IF NOT EXISTS told (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, body bytea NOT NULL)")
        .execute(&pool)
        .await?;
    let (told, mut to_tell) = mpsc::unbounded_channel::<String>();
    let http = reqwest::Client::builder().no_proxy().build()?;
    tokio::spawn(async move {
        while let Some(key) = to_tell.recv().await {
            let request = http.post(&receiver).header(KEY, key).body("{}");
            tokio::spawn(async move { drop(request.send().await) });
        }
    });
    let router = Router::new()
        .route("/", post(take))
        .with_state(Floor { pool, told });
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    eprintln!("Listening on {}", listener.local_addr()?);
    axum::serve(listener, router).await?;
    Ok(())
}

async fn take(State(floor): State<Floor>, headers: HeaderMap, body: Bytes) -> &'static str {
    let stored = sqlx::query("INSERT INTO told (body) VALUES ($1)")
        .bind(&body[..])
        .execute(&floor.pool)
        .await;
    let key = headers.get(KEY).and_then(|key| key.to_str().ok());
    if let (Ok(_), Some(key)) = (stored, key) {
        let _ = floor.told.send(key.to_owned());
    }
    "ok"
}
