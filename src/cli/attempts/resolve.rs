//! `attempts resolve`: what an operator says of an attempt.

use std::process::ExitCode;

use anyhow::{Context, bail, ensure};
use clap::{Args, ValueEnum};
use sqlx::Connection;
use tokio_util::sync::CancellationToken;

use crate::{
    cli::{connect::connect, output},
    config::{AskGladiaSettings, DatabaseSettings},
    db::attempts::decisions::{Decided, Decision, decide},
    domain::ids::AttemptId,
    gladia::{client::GladiaClient, create::is_plausible_typed_id},
    journal::fetch::{MadeBy, made_by},
};

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

    #[command(flatten)]
    gladia: AskGladiaSettings,
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
    if is_plausible_typed_id(text) {
        Ok(text.to_owned())
    } else {
        Err("must be an id as Gladia's dashboard shows it".into())
    }
}

/// Settles the attempt.
///
/// # Errors
/// Where the database does not, the attempt is not of unknown outcome, or Gladia says otherwise.
pub async fn run(args: ResolveArgs) -> anyhow::Result<ExitCode> {
    let id = args.id;
    let decision = match (args.resolution, &args.gladia_id) {
        (Resolution::Accepted, Some(gladia_id)) => Decision::Accepted { gladia_id },
        (Resolution::NotSent, None) => Decision::NotSent,
        (Resolution::Failed, None) => Decision::Failed,
        _ => bail!("--gladia-id goes with --as accepted, and that with --gladia-id"),
    };
    if let Decision::Accepted { gladia_id } = decision
        && !args.gladia.gladia_zero_data_retention
    {
        check(&args.gladia, id, gladia_id).await?;
    }
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

/// Whether Gladia says as well that the attempt has made this job. Another's result would be shown as its transcription's.
async fn check(gladia: &AskGladiaSettings, id: AttemptId, gladia_id: &str) -> anyhow::Result<()> {
    let settings = gladia.settings().context(
        "GLADIA_API_KEY: it is needed here, since Gladia is asked whether it has this job",
    )?;
    let client = GladiaClient::new(&settings)?;
    let made_by = made_by(&client, gladia_id, id, &CancellationToken::new())
        .await
        .context("Gladia could not be asked for this job, and nothing was decided")?;
    let made_by = made_by.context("Gladia does not have this job")?;
    ensure!(
        made_by != MadeBy::Another,
        "this Gladia job belongs to another attempt"
    );
    ensure!(
        made_by == MadeBy::This,
        "no gateway has made this Gladia job: its metadata has no gladia_gateway_attempt"
    );
    Ok(())
}
