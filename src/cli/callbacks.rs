//! `callbacks`: what Gladia delivered and the gateway could not carry out. It is kept as it came; after a fix, or in a newer
//! version, it can be tried again.

use std::process::ExitCode;

use anyhow::Context;
use chrono::SecondsFormat;
use clap::{Args, Subcommand};
use sqlx::Connection;

use super::{connect::connect, output};
use crate::{
    config::DatabaseSettings,
    db::{
        callback_keys,
        callbacks::{
            CallbackOutcome,
            quarantine::{self, QuarantinedCallback},
        },
    },
    domain::ids::{CallbackId, Ids},
    journal::replay::{ReplayError, replay},
};

/// What to do with callbacks.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// List the callbacks that are quarantined, oldest first, with the reason of each.
    List(DatabaseSettings),
    /// Print the body of a quarantined callback, unpacked and byte for byte.
    ///
    /// With zero data retention it may be the only copy of a transcript.
    Show(OneArgs),
    /// Try a quarantined callback again, or all of them.
    ///
    /// One that can be carried out now completes its transcription as if it had just arrived. One that cannot stays where it
    /// is. Doing it twice is the same as once.
    Replay(ReplayArgs),
    /// Say that nobody needs a callback: it is not listed nor counted any more.
    ///
    /// It stays in the database, with its body, until its transcription is erased. `show` and `replay` still take its id.
    Dismiss(OneArgs),
    /// Show which of `CALLBACK_KEYS` are still needed: by how many unfinished attempts and since when, and by how many of the
    /// secrets that sign outgoing webhooks, which the next start of a gateway encrypts anew with its first key.
    ///
    /// One that is listed must stay configured, else the gateway does not start. Remove one a day after it is no longer listed:
    /// attempts that were given up are not counted, but a callback that is late all the same completes its transcription for as
    /// long as the key verifies it, and with zero data retention it is the only copy.
    Keys(DatabaseSettings),
}

/// Which callback is meant.
#[derive(Args, Debug)]
pub struct OneArgs {
    /// The callback's id, from `callbacks list`
    id: CallbackId,

    #[command(flatten)]
    database: DatabaseSettings,
}

/// Which callbacks to try again.
#[derive(Args, Debug)]
pub struct ReplayArgs {
    #[command(flatten)]
    which: Which,

    #[command(flatten)]
    database: DatabaseSettings,
}

/// One of them or all. A group, so that whoever gives neither is told of both.
#[derive(Args, Debug)]
#[group(required = true, multiple = false)]
struct Which {
    /// The callback's id, from `callbacks list`
    id: Option<CallbackId>,

    /// Every quarantined callback
    #[arg(long)]
    all: bool,
}

/// Runs the subcommand.
///
/// # Errors
/// Where the database does not answer, or a callback is not quarantined.
pub async fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::List(database) => list(&database).await,
        Command::Show(args) => show(args).await,
        Command::Replay(args) => replay_all(args).await,
        Command::Dismiss(args) => dismiss(args).await,
        Command::Keys(database) => keys(&database).await,
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

async fn show(args: OneArgs) -> anyhow::Result<ExitCode> {
    let id = args.id;
    let mut conn = connect(&args.database).await?;
    let kept = quarantine::find(&mut conn, id).await?;
    conn.close().await?;
    let kept = kept.ok_or_else(|| none(id))?;
    let body = zstd::Decoder::new(kept.compressed_body.as_slice())?;
    output::copy(body)
        .with_context(|| format!("the body of callback {id} was not printed whole"))?;
    Ok(ExitCode::SUCCESS)
}

async fn dismiss(args: OneArgs) -> anyhow::Result<ExitCode> {
    let id = args.id;
    let mut conn = connect(&args.database).await?;
    let job_id = quarantine::dismiss(&mut conn, id).await?;
    conn.close().await?;
    let job_id = job_id.ok_or_else(|| none(id))?;
    output::line(&format!(
        "{id}: dismissed; it is kept until transcription {job_id} is erased"
    ))?;
    Ok(ExitCode::SUCCESS)
}

fn none(id: CallbackId) -> anyhow::Error {
    anyhow::anyhow!(
        "there is no quarantined callback {id}; `callbacks list` shows those that there are"
    )
}

/// Exits with 1 where one of them stays quarantined. None of them keeps the others from being tried.
async fn replay_all(args: ReplayArgs) -> anyhow::Result<ExitCode> {
    let ids = Ids::random();
    let mut conn = connect(&args.database).await?;
    let callbacks = match args.which.id {
        Some(id) => vec![id],
        None => quarantine::list(&mut conn)
            .await?
            .into_iter()
            .map(|callback| callback.id)
            .collect(),
    };
    let mut code = ExitCode::SUCCESS;
    for id in callbacks {
        // A new id for the row that takes the place of the quarantined one.
        let outcome = match replay(&mut conn, id, ids.next()).await {
            Ok(Some(CallbackOutcome::Duplicate | CallbackOutcome::Quarantined)) => {
                code = ExitCode::FAILURE;
                "still quarantined".to_owned()
            }
            Ok(Some(outcome)) => outcome.as_str().to_owned(),
            Ok(None) if args.which.all => "no longer quarantined".to_owned(),
            Ok(None) => return Err(none(id)),
            Err(error @ ReplayError::Unreadable(_)) => {
                code = ExitCode::FAILURE;
                error.to_string()
            }
            Err(ReplayError::Database(error)) => return Err(error.into()),
        };
        output::line(&format!("{id}: {outcome}"))?;
    }
    conn.close().await?;
    Ok(code)
}

async fn keys(database: &DatabaseSettings) -> anyhow::Result<ExitCode> {
    let mut conn = connect(database).await?;
    let keys = callback_keys::list_needed(&mut conn).await?;
    conn.close().await?;
    let rows: Vec<_> = keys
        .into_iter()
        .map(|key| {
            let oldest_at = key
                .oldest_at
                .map(|at| at.to_rfc3339_opts(SecondsFormat::Secs, true));
            [
                key.key_id,
                key.attempts.to_string(),
                oldest_at.unwrap_or_else(|| "-".to_owned()),
                key.signing_secrets.to_string(),
            ]
        })
        .collect();
    output::table(
        ["KEY", "ATTEMPTS", "OLDEST SINCE", "SIGNING SECRETS"],
        &rows,
    )?;
    Ok(ExitCode::SUCCESS)
}
