//! The least that could serve: one small honest program a figure. This same program runs them, as processes of their own.

pub mod accept;
pub mod callback;
pub mod news;
pub mod read;
pub mod told;
pub mod upload;

use std::env;

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
        "told" => told::serve(&database_url, env::var("FLOOR_TARGET")?).await,
        "upload" => upload::serve(env::var("FLOOR_TARGET")?).await,
        other => anyhow::bail!("there is no floor {other}"),
    }
}
