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
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use secrecy::SecretString;
use serde_json::Value;
use url::Url;

use self::{
    caller::DemoCaller, progress::say, recording::Recording, transcript::transcript,
    upstream::Upstream,
};
use super::output;
use crate::{
    app::{Gateway, Listeners},
    config::{DatabaseUrl, ServeSettings, base_url, header_secret},
    db::{self, api_keys::NewApiKey},
    dev_tools::postgres::{EmbeddedPostgres, Options},
    domain::{
        access::{ApiKey, Scope, TenantName},
        ids::Ids,
    },
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
    /// Example: GLADIA_API_KEY=12345678-90ab-cdef-1234-567890abcdef
    #[arg(
        long,
        env = "GLADIA_API_KEY",
        hide_env_values = true,
        value_name = "KEY",
        value_parser = header_secret
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
    let (gateway, base) = start_gateway(database_url, upstream, shutdown).await?;
    let key = make_key(&gateway).await?;
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

/// Starts the service as `serve` would, on a free port.
async fn start_gateway(
    database_url: DatabaseUrl,
    upstream: &Upstream,
    shutdown: &Shutdown,
) -> anyhow::Result<(Gateway, Url)> {
    let callback_keys = format!(
        "demo:{}",
        BASE64_URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>())
    );
    let mut settings = ServeSettings::from_values([
        ("DATABASE_URL", "postgres://replaced.below/"),
        ("GLADIA_API_KEY", upstream.key()),
        ("GLADIA_API_URL", upstream.url().as_str()),
        ("COMPLETION", upstream.completion()),
        ("PUBLIC_URL", "http://replaced.below/"),
        ("CALLBACK_KEYS", &callback_keys),
        ("LISTEN_ADDR", "127.0.0.1:0"),
        // Receivers run on the same machine.
        ("WEBHOOK_ALLOWED_NETWORKS", "127.0.0.0/8,::1"),
    ])?;
    settings.database.database_url = database_url;
    let listeners = Listeners::bind(&settings.addresses).await?;
    let base = Url::parse(&format!("http://{}/", listeners.main_addr()?))?;
    settings.addresses.public_url = Some(base.clone());
    let gateway = Gateway::start(settings, listeners, shutdown.clone()).await?;
    Ok((gateway, base))
}

/// Makes an API key for this run.
async fn make_key(gateway: &Gateway) -> anyhow::Result<SecretString> {
    let ids = Ids::random();
    let key = ApiKey::from_random(rand::random());
    let tenant: TenantName = "demo".parse().map_err(|error: &str| anyhow!(error))?;
    let mut conn = gateway.pool.acquire().await?;
    let tenant_id = db::api_keys::find_or_insert_tenant(&mut conn, ids.next(), &tenant).await?;
    let new = NewApiKey {
        id: ids.next(),
        tenant_id,
        name: "demo",
        scope: Scope::Write,
        hash: key.hash(),
    };
    db::api_keys::insert(&mut conn, new).await?;
    Ok(key.expose().into())
}
