//! `attempts`: what may or may not have reached Gladia, and what an operator says of it.

mod resolve;

use std::process::ExitCode;

use chrono::{DateTime, SecondsFormat, Utc};
use clap::{Args, Subcommand};
use sqlx::Connection;

use self::resolve::ResolveArgs;
use super::{connect::connect, output};
use crate::{
    config::DatabaseSettings,
    db::attempts::{
        decisions::{self, UndecidedAttempt},
        in_flight::{self, HeldSlot},
    },
    domain::cursor::Cursor,
};

/// How many are read at once.
const PAGE: i64 = 500;

/// What to do with attempts.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// List the attempts of unknown outcome, oldest first: they may or may not have reached Gladia.
    ///
    /// With `--in-flight` all that hold slots, longest first: whose they are, since and until when.
    List(ListArgs),
    /// Say what became of an attempt of unknown outcome.
    ///
    /// Look into Gladia's dashboard first: the attempt's id stands in the metadata of Gladia's job, under
    /// `gladia_gateway_attempt`. A transcription that is sent again although Gladia has it is billed twice. With `--as accepted`
    /// Gladia is asked whether it does.
    Resolve(ResolveArgs),
}

/// Which attempts to list.
#[derive(Args, Debug)]
pub struct ListArgs {
    /// Those that hold slots, whatever is known of them
    #[arg(long)]
    in_flight: bool,

    #[command(flatten)]
    database: DatabaseSettings,
}

/// Runs the subcommand.
///
/// # Errors
/// Where the database does not answer, or the attempt is not of unknown outcome.
pub async fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::List(args) if args.in_flight => list_in_flight(&args.database).await,
        Command::List(args) => list(&args.database).await,
        Command::Resolve(args) => resolve::run(args).await,
    }
}

async fn list(database: &DatabaseSettings) -> anyhow::Result<ExitCode> {
    let mut conn = connect(database).await?;
    let mut rows = Vec::new();
    let mut after = None;
    loop {
        let page = decisions::list(&mut conn, after, PAGE).await?;
        let Some(last) = page.last() else { break };
        after = Some(Cursor {
            created_at: last.created_at,
            id: last.id,
        });
        rows.extend(page.into_iter().map(row));
    }
    conn.close().await?;
    let header = [
        "ID",
        "TRANSCRIPTION",
        "BEGUN",
        "LOOKS",
        "ABSENT",
        "WAITS FOR",
        "DETAIL",
    ];
    output::table(header, &rows)?;
    Ok(ExitCode::SUCCESS)
}

fn row(attempt: UndecidedAttempt) -> [String; 7] {
    let detail = attempt.detail.unwrap_or_default();
    [
        attempt.id.to_string(),
        attempt.job_id.to_string(),
        seconds(attempt.created_at),
        attempt.looks.to_string(),
        attempt.absences.to_string(),
        attempt.unknown_reason.unwrap_or_default(),
        match attempt.http_status {
            Some(status) => format!("{status}: {detail}"),
            None => detail,
        },
    ]
}

async fn list_in_flight(database: &DatabaseSettings) -> anyhow::Result<ExitCode> {
    let mut conn = connect(database).await?;
    let held = in_flight::list_held_slots(&mut conn).await?;
    conn.close().await?;
    let rows: Vec<_> = held.into_iter().map(in_flight_row).collect();
    let header = [
        "ID",
        "TRANSCRIPTION",
        "TENANT",
        "SINCE",
        "UNTIL",
        "STATE",
        "STATUS",
    ];
    output::table(header, &rows)?;
    Ok(ExitCode::SUCCESS)
}

fn in_flight_row(held: HeldSlot) -> [String; 7] {
    [
        held.attempt_id.to_string(),
        held.job_id.to_string(),
        held.tenant,
        seconds(held.taken_at),
        seconds(held.deadline_at),
        held.state,
        held.job_status,
    ]
}

fn seconds(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}
