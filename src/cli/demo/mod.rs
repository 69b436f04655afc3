//! `demo`: the whole way of a recording, on this machine alone.
//!
//! An embedded Postgres, a simulated Gladia and the real service on free loopback ports; the recording goes in through the
//! REST API like any caller's. Nothing is left behind. With a key of Gladia's the real one takes the simulator's place: it
//! cannot call back to this machine, so it is asked for results.

mod caller;
mod progress;
mod recording;
mod transcript;
mod upstream;

use std::{path::PathBuf, process::ExitCode, time::Duration};

use anyhow::{Context, anyhow, bail};
use secrecy::SecretString;
use serde_json::Value;
use url::Url;

use self::{
    caller::DemoCaller, progress::say, recording::Recording, transcript::transcript,
    upstream::Upstream,
};
use super::{
    local_gateway::{self, Account},
    output,
};
use crate::{
    config::{DatabaseUrl, base_url, gladia_key},
    db,
    dev_tools::postgres::{EmbeddedPostgres, Options},
    shutdown::Shutdown,
};

/// The demo's own database in the embedded server.
const DATABASE: &str = "gateway";

/// Show the whole way of a recording on this machine: no account, no database, nothing to set up.
///
/// Starts a Postgres of its own, a simulator of Gladia's API and the gateway on free loopback ports, transcribes the bundled
/// recording and every FILE through the REST API, and then stays up for your own requests until Ctrl-C. Where GLADIA_API_KEY
/// is set, the real Gladia transcribes instead of the simulator.
#[expect(
    clippy::doc_markdown,
    reason = "help texts: backticks around a setting or an example would be pasted along with it"
)]
#[derive(Debug, clap::Args)]
pub struct DemoArgs {
    /// Recordings to transcribe besides the bundled one
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,

    /// Exit once all are transcribed: with 0 only if every one was
    #[arg(long)]
    once: bool,

    /// A Postgres database to use instead of an embedded one.
    ///
    /// The demo keeps its tables in a schema of its own, so that a real gateway's jobs in the same database are never sent
    /// to the simulator. It leaves them there.
    ///
    /// Example: DATABASE_URL=postgres://gateway:password@localhost/gateway
    #[arg(long, env = "DATABASE_URL", hide_env_values = true, value_name = "URL")]
    database_url: Option<DatabaseUrl>,

    /// The key of a Gladia account that transcribes, and bills, instead of the simulator.
    ///
    /// Gladia cannot call back to this machine, so it is asked for results, as with COMPLETION=poll.
    ///
    /// Example: GLADIA_API_KEY=12345678-90ab-…
    #[arg(
        long,
        env = "GLADIA_API_KEY",
        hide_env_values = true,
        value_name = "KEY",
        value_parser = gladia_key
    )]
    gladia_api_key: Option<SecretString>,

    /// The base address of Gladia's API. Counts only together with a key.
    ///
    /// Example: GLADIA_API_URL=https://api.gladia.io
    #[arg(
        long,
        env = "GLADIA_API_URL",
        value_name = "URL",
        default_value = "https://api.gladia.io",
        value_parser = base_url
    )]
    gladia_api_url: Url,
}

/// Runs the demo.
///
/// # Errors
/// Where a part of it does not start, or its output cannot be written.
pub async fn run(args: DemoArgs, shutdown: Shutdown) -> anyhow::Result<ExitCode> {
    for file in &args.files {
        let readable = std::fs::metadata(file)
            .with_context(|| format!("{} cannot be read", file.display()))?;
        if !readable.is_file() {
            bail!("{} is no file", file.display());
        }
    }
    let (postgres, database_url) = if let Some(url) = &args.database_url {
        let schema = Upstream::schema(args.gladia_api_key.is_some());
        let options = db::in_own_schema(url.options(), schema)
            .await
            .with_context(|| {
                format!("DATABASE_URL, which is set in the environment or in .env: cannot use the database at {url}; without it the demo starts one of its own")
            })?;
        (None, options.into())
    } else {
        say("Starting a Postgres of its own …");
        let postgres = EmbeddedPostgres::start(Options::default()).await?;
        postgres.create_database(DATABASE, None).await?;
        let url = postgres
            .url(DATABASE)
            .parse()
            .map_err(|error: String| anyhow!(error))?;
        (Some(postgres), url)
    };
    let upstream = match &args.gladia_api_key {
        Some(key) => Upstream::real(key.clone(), args.gladia_api_url.clone()),
        None => Upstream::simulated().await?,
    };

    let shown = show(&args, database_url, &upstream, &shutdown).await;

    // Everything ends here, whatever came of it.
    shutdown.soft.cancel();
    shutdown.drain(Duration::from_secs(5)).await;
    upstream.shutdown().await;
    if let Some(postgres) = postgres {
        postgres.stop().await?;
    }
    Ok(if shown? {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Answers whether every file came back transcribed.
async fn show(
    args: &DemoArgs,
    database_url: DatabaseUrl,
    upstream: &Upstream,
    shutdown: &Shutdown,
) -> anyhow::Result<bool> {
    let account = Account {
        key: upstream.key(),
        url: upstream.url(),
        completion: upstream.completion(),
        callback_key: args.database_url.as_ref().map(local_gateway::key_of),
    };
    let (gateway, base) = local_gateway::start(database_url, &account, &[], shutdown).await?;
    let key = local_gateway::make_key(&gateway, "demo").await?;
    let demo = DemoCaller::new(base.clone(), key)?;
    say(&format!(
        "The gateway listens on {base}, with {}",
        upstream.describe()
    ));

    let mut failed = 0;
    let mut example = Value::Null;
    let bundled = Recording::Bundled;
    for recording in
        std::iter::once(bundled).chain(args.files.iter().map(|path| Recording::File(path)))
    {
        let transcribed = tokio::select! {
            transcribed = demo.transcribe(&recording) => transcribed,
            () = shutdown.soft.cancelled() => bail!("interrupted"),
        };
        match transcribed {
            Ok(job) => {
                output::text(&transcript(&recording.name(), &job))?;
                example = job;
            }
            Err(error) => {
                failed += 1;
                say(&format!("error: {}: {error:#}", recording.name()));
            }
        }
    }
    if args.once {
        return Ok(failed == 0);
    }
    output::text(&demo.invitation(&example))?;
    shutdown.soft.cancelled().await;
    say("Stopping …");
    Ok(failed == 0)
}
