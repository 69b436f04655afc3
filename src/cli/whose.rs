//! `whose`: what an id from the log is of, and which tenant's.

use std::{fmt::Write, process::ExitCode};

use anyhow::bail;
use clap::Args;
use sqlx::Connection;
use url::Url;

use super::{connect::connect, output};
use crate::{
    config::DatabaseSettings,
    db::owners::{self, Owned},
};

/// An id.
#[derive(Args, Debug)]
pub struct WhoseArgs {
    /// The id of a transcription, attempt, callback, batch, upload, webhook endpoint, delivery, API key or tenant, or Gladia's
    /// id of a job
    id: String,

    #[command(flatten)]
    database: DatabaseSettings,
}

/// Runs the subcommand.
///
/// # Errors
/// Where the database does not answer, or knows no such id.
pub async fn run(args: WhoseArgs) -> anyhow::Result<ExitCode> {
    let id = args.id.trim();
    let mut conn = connect(&args.database).await?;
    let found = owners::find(&mut conn, id).await?;
    conn.close().await?;
    if found.is_empty() {
        bail!(
            "nothing in this database has the id {id}; deliveries and uploads are deleted in the course of time"
        );
    }
    let shown: Vec<String> = found.iter().map(|owned| render(id, owned)).collect();
    output::text(&shown.join("\n"))?;
    Ok(ExitCode::SUCCESS)
}

fn render(id: &str, owned: &Owned) -> String {
    let mut text = String::new();
    let mut add = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            // A string takes everything.
            let _ = writeln!(text, "{name:<15}{value}");
        }
    };
    add("id", Some(id.to_owned()));
    add("what", Some(owned.kind.clone()));
    add("state", owned.state.clone());
    add("tenant", Some(owned.tenant.clone()));
    add("tenant id", Some(owned.tenant_id.to_string()));
    add("transcription", owned.job_id.map(|id| id.to_string()));
    add("attempt", owned.attempt_id.map(|id| id.to_string()));
    add("endpoint", owned.endpoint_id.map(|id| id.to_string()));
    add("receiver", owned.receiver.as_deref().map(origin));
    text
}

/// Of a receiver's URL no more than where it leads: the rest may be what opens it.
fn origin(url: &str) -> String {
    Url::parse(url).map_or_else(
        |_| "unknown".to_owned(),
        |url| url.origin().ascii_serialization(),
    )
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn of_a_receiver_the_origin_alone_is_shown() {
        let owned = Owned {
            kind: "webhook endpoint".to_owned(),
            tenant_id: Uuid::nil().into(),
            tenant: "acme".to_owned(),
            state: Some("enabled".to_owned()),
            job_id: None,
            attempt_id: None,
            endpoint_id: Some(Uuid::max()),
            receiver: Some("https://user:word@hooks.example:8443/in?token=secret".to_owned()),
        };
        let shown = "id             x\nwhat           webhook endpoint\nstate          enabled\n\
                     tenant         acme\ntenant id      00000000-0000-0000-0000-000000000000\n\
                     endpoint       ffffffff-ffff-ffff-ffff-ffffffffffff\nreceiver       https://hooks.example:8443\n";
        assert_eq!(render("x", &owned), shown);
    }
}
