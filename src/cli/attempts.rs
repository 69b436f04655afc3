//! `attempts`: what may or may not have reached Gladia, and what an operator says of it.

use std::process::ExitCode;

use anyhow::bail;
use chrono::{DateTime, SecondsFormat, Utc};
use clap::{Args, Subcommand, ValueEnum};
use sqlx::Connection;

use super::{connect::connect, output};
use crate::{
    config::DatabaseSettings,
    db::decisions::{self, Decided, Decision, UndecidedAttempt, decide},
    domain::{cursor::Cursor, ids::AttemptId},
    gladia::create::is_plausible_id,
};

/// How many are read at once.
const PAGE: i64 = 500;

/// What to do with attempts.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// List the attempts of unknown outcome, oldest first: they may or may not have reached Gladia.
    List(DatabaseSettings),
    /// Say what became of an attempt of unknown outcome.
    ///
    /// Look into Gladia's dashboard first: the attempt's id stands in the metadata of Gladia's job, under
    /// `gladia_gateway_attempt`. A transcription that is sent again although Gladia has it is billed twice.
    Resolve(ResolveArgs),
}

/// A decision.
#[derive(Args, Debug)]
pub struct ResolveArgs {
    /// The attempt's id, from `attempts list`
    id: AttemptId,

    /// What became of it
    #[arg(long = "as", value_enum, value_name = "RESOLUTION")]
    resolution: Resolution,

    /// Gladia's id of the job, with `--as accepted`
    #[arg(
        long,
        value_name = "ID",
        required_if_eq("resolution", "accepted"),
        value_parser = gladia_id
    )]
    gladia_id: Option<String>,

    #[command(flatten)]
    database: DatabaseSettings,
}

/// What an attempt is resolved as.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Resolution {
    /// Gladia does not have it: it is sent again, ahead of its tenant's others
    NotSent,
    /// Gladia has it, under --gladia-id
    Accepted,
    /// It is given up: its transcription fails and is not sent again
    Failed,
}

fn gladia_id(text: &str) -> Result<String, String> {
    if is_plausible_id(text) {
        Ok(text.to_owned())
    } else {
        Err("must be an id as Gladia's dashboard shows it".into())
    }
}

/// Does it.
///
/// # Errors
/// Where the database does not, or the attempt is not of unknown outcome.
pub async fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::List(database) => list(&database).await,
        Command::Resolve(args) => resolve(args).await,
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
    let seconds = |at: DateTime<Utc>| at.to_rfc3339_opts(SecondsFormat::Secs, true);
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

async fn resolve(args: ResolveArgs) -> anyhow::Result<ExitCode> {
    let id = args.id;
    let decision = match (args.resolution, &args.gladia_id) {
        (Resolution::Accepted, Some(gladia_id)) => Decision::Accepted { gladia_id },
        (Resolution::NotSent, None) => Decision::NotSent,
        (Resolution::Failed, None) => Decision::Failed,
        _ => bail!("--gladia-id goes with --as accepted, and that with --gladia-id"),
    };
    let mut conn = connect(&args.database).await?;
    let decided = decide(&mut conn, id, decision).await?;
    conn.close().await?;
    match decided {
        Decided::Resolved { job_id } => {
            let what = match args.resolution {
                Resolution::NotSent => "is sent again, unless it has ended",
                Resolution::Accepted => "waits for its result, unless it has ended",
                Resolution::Failed => "has failed, unless it had ended otherwise",
            };
            output::line(&format!("{id}: resolved; transcription {job_id} {what}"))?;
            Ok(ExitCode::SUCCESS)
        }
        Decided::Settled(state) => {
            bail!("there is nothing to decide: attempt {id} is {state}")
        }
        Decided::Taken => bail!("this Gladia job belongs to another attempt"),
        Decided::NotFound => {
            bail!("there is no attempt {id}; `attempts list` shows those of unknown outcome")
        }
    }
}
