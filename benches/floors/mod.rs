//! The least that could serve: one small honest program a figure. This same program runs them, as processes of their own.

pub mod accept;
pub mod callback;
pub mod news;
pub mod read;
pub mod rows;
pub mod told;
pub mod upload;

use std::env;

use sqlx::{PgPool, postgres::PgPoolOptions};

/// Names the floor that a process is.
pub const NAME: &str = "FLOOR";

/// Serves until killed. Prints `Listening on ADDRESS` to standard error first.
pub async fn serve(name: &str) -> anyhow::Result<()> {
    let database_url = env::var("FLOOR_DATABASE_URL").unwrap_or_default();
    match name {
        "accept" => accept::serve(&database_url).await,
        "callback" => callback::serve(&database_url).await,
        "news" => news::serve(&database_url, env::var("FLOOR_TARGET")?).await,
        "read" => read::serve(&database_url).await,
        "rows" => rows::serve(&database_url).await,
        "told" => told::serve(&database_url, env::var("FLOOR_TARGET")?).await,
        "upload" => upload::serve(env::var("FLOOR_TARGET")?).await,
        other => anyhow::bail!("there is no floor {other}"),
    }
}

/// As many connections as the gateway has, none of which is asked whether it lives where it has just been used.
async fn connect(database_url: &str) -> sqlx::Result<PgPool> {
    PgPoolOptions::new()
        .max_connections(20)
        .test_before_acquire(false)
        .connect(database_url)
        .await
}
