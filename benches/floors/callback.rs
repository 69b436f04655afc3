//! The least that could keep a callback: its body read into memory, compressed, and inserted in one transaction.
//!
//! Nobody asks whose it is, what it says, or whether it was here before, and no job ends.

use axum::{
    Router,
    body::Bytes,
    extract::{DefaultBodyLimit, State},
    http::StatusCode,
    routing::post,
};
use sqlx::PgPool;
use tokio::net::TcpListener;

/// Serves until it is killed. Prints its address first.
pub async fn serve(database_url: &str) -> anyhow::Result<()> {
    let pool = super::connect(database_url).await?;
    for statement in [
        "CREATE TABLE IF NOT EXISTS callbacks (id uuid PRIMARY KEY, body bytea NOT NULL)",
        "ALTER TABLE callbacks ALTER COLUMN body SET STORAGE EXTERNAL",
    ] {
        sqlx::query(statement).execute(&pool).await?;
    }
    let router = Router::new()
        .route("/", post(take))
        .layer(DefaultBodyLimit::disable())
        .with_state(pool);
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    eprintln!("Listening on {}", listener.local_addr()?);
    axum::serve(listener, router).await?;
    Ok(())
}

async fn take(State(pool): State<PgPool>, body: Bytes) -> StatusCode {
    let Ok(compressed) = zstd::bulk::compress(&body, 1) else {
        return StatusCode::INTERNAL_SERVER_ERROR;
    };
    let inserted = sqlx::query("INSERT INTO callbacks (id, body) VALUES ($1, $2)")
        .bind(uuid::Uuid::now_v7())
        .bind(compressed)
        .execute(&pool)
        .await;
    inserted.map_or(StatusCode::INTERNAL_SERVER_ERROR, |_| StatusCode::OK)
}
