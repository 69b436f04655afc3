//! `callbacks`: what Gladia delivered and the gateway could not carry out. It is kept as it came; after a fix, or in a newer
//! version, it can be tried again.

use std::process::ExitCode;

use chrono::SecondsFormat;
use clap::{Args, Subcommand};
use sqlx::{Connection, PgConnection};

use super::{connect::connect, output};
use crate::{
    config::DatabaseSettings,
    db::{
        callbacks::CallbackOutcome,
        quarantine::{self, QuarantinedCallback},
    },
    domain::ids::{CallbackId, Ids},
    gladia::callback::Shape,
    journal::{body::KeptBody, carry_out::carry_out},
};

/// What to do with callbacks.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// List the callbacks that are quarantined, oldest first, with the reason of each.
    List(DatabaseSettings),
    /// Try a quarantined callback again, or all of them.
    ///
    /// One that can be carried out now completes its transcription as if it had just arrived. One that cannot stays where it
    /// is. Doing it twice is the same as once.
    Replay(ReplayArgs),
}

/// Which callbacks to try again.
#[derive(Args, Debug)]
pub struct ReplayArgs {
    /// The callback's id, from `callbacks list`
    #[arg(required_unless_present = "all", conflicts_with = "all")]
    id: Option<CallbackId>,

    /// Every quarantined callback
    #[arg(long)]
    all: bool,

    #[command(flatten)]
    database: DatabaseSettings,
}

/// Does it.
///
/// # Errors
/// Where the database does not, or a callback is not quarantined.
pub async fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::List(database) => list(&database).await,
        Command::Replay(args) => replay(args).await,
    }
}

async fn list(database: &DatabaseSettings) -> anyhow::Result<ExitCode> {
    let mut conn = connect(database).await?;
    let rows: Vec<_> = quarantine::list(&mut conn)
        .await?
        .into_iter()
        .map(row)
        .collect();
    conn.close().await?;
    output::table(
        ["ID", "TRANSCRIPTION", "RECEIVED", "BYTES", "REASON"],
        &rows,
    )?;
    Ok(ExitCode::SUCCESS)
}

fn row(callback: QuarantinedCallback) -> [String; 5] {
    [
        callback.id.to_string(),
        callback.job_id.to_string(),
        callback
            .received_at
            .to_rfc3339_opts(SecondsFormat::Secs, true),
        callback.body_bytes.to_string(),
        callback.reason,
    ]
}

/// Exits with 1 where one of them stays quarantined.
async fn replay(args: ReplayArgs) -> anyhow::Result<ExitCode> {
    let mut conn = connect(&args.database).await?;
    let ids = match args.id {
        Some(id) => vec![id],
        None => quarantine::list(&mut conn)
            .await?
            .into_iter()
            .map(|callback| callback.id)
            .collect(),
    };
    let mut code = ExitCode::SUCCESS;
    for id in ids {
        let Some(outcome) = replay_one(&mut conn, id).await? else {
            anyhow::bail!(
                "there is no quarantined callback {id}; `callbacks list` shows those that there are"
            );
        };
        if matches!(
            outcome,
            CallbackOutcome::Duplicate | CallbackOutcome::Quarantined
        ) {
            code = ExitCode::FAILURE;
            output::line(&format!("{id}: still quarantined"))?;
        } else {
            output::line(&format!("{id}: {}", outcome.as_str()))?;
        }
    }
    conn.close().await?;
    Ok(code)
}

async fn replay_one(
    conn: &mut PgConnection,
    id: CallbackId,
) -> anyhow::Result<Option<CallbackOutcome>> {
    let Some(kept) = quarantine::find(conn, id).await? else {
        return Ok(None);
    };
    let shape = Shape::of_method(&kept.method);
    let body = KeptBody::read(zstd::Decoder::new(kept.compressed_body.as_slice())?, shape)?;
    // A new id for the row that takes the place of the quarantined one.
    let new_id = Ids::random().next();
    Ok(Some(
        carry_out(conn, new_id, kept.attempt_id, &kept.method, &body).await?,
    ))
}
