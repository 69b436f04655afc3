//! `with-gateway`: run a command beside a gateway that is there for it alone.
//!
//! For developers only, and hidden from `--help`: `./dev clients` runs each client with it. An embedded Postgres, a
//! simulated Gladia and the service on free loopback ports, and the command finds in its environment what a caller needs:
//!
//! - `GATEWAY_URL` and `GATEWAY_KEY`: the base address, without a slash at its end, and a key of a tenant that has no jobs.
//! - `AUDIO`: the path of a recording of half a minute, between two people.
//! - `AUDIO_URL`, `FAILING_AUDIO_URL`, `LONG_AUDIO_URL`: recordings that the simulator knows by their address. The first is
//!   done at once, the second ends in an error, the third is processed for longer than any command runs.
//! - `GATEWAY_CUT_URL`, `GATEWAY_LOST_URL`, `GATEWAY_503_URL`: the gateway by a line that fails once for each create: it
//!   breaks before the answer, or with the answer on it, or says 503 in its place.
//! - `SIMULATOR_URL`: what reached Gladia is at `/_simulator/ledger` there.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context, anyhow};
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use super::{
    child,
    local_gateway::{self, Account},
};
use crate::{
    dev_tools::{
        lossy_line::{Fails, LossyLine},
        postgres::{EmbeddedPostgres, Options},
        simulator::{BUNDLED_RECORDING, BUNDLED_RECORDING_NAME, Simulator, SimulatorSettings},
    },
    shutdown::Shutdown,
};

const DATABASE: &str = "gateway";
const SIMULATOR_KEY: &str = "simulated-key";
const TENANT: &str = "acme";

/// How long requests that still run may take once the command has ended.
const DRAIN: Duration = Duration::from_secs(5);

/// What the simulator knows; the bundled script stays behind it.
const SCRIPT: &str = r#"{"entries": [
    {"match": "https://recordings.example/failing*", "duration": 1.0,
     "error": {"code": 422, "message": "The audio holds nothing that can be heard"}},
    {"match": "https://recordings.example/long*", "duration": 8000.0}
]}"#;
const AUDIO_URL: &str = "https://recordings.example/call.mp3";
const FAILING_AUDIO_URL: &str = "https://recordings.example/failing.mp3";
const LONG_AUDIO_URL: &str = "https://recordings.example/long.mp3";

/// What `with-gateway` runs.
#[derive(Debug, clap::Args)]
pub struct WithGatewayArgs {
    /// How many seconds of audio the simulator processes in one second.
    #[arg(long, default_value_t = 40.0)]
    speed: f64,
    /// A setting of the gateway, as `serve` has it; can be repeated.
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = setting)]
    settings: Vec<(String, String)>,
    /// The command and its arguments.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
    command: Vec<String>,
}

fn setting(text: &str) -> Result<(String, String), &'static str> {
    let (name, value) = text.split_once('=').ok_or("must be NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

/// Starts everything, runs the command, stops everything, and ends as the command did.
///
/// # Errors
/// Where a part does not start, or the command cannot be run.
pub async fn run(args: WithGatewayArgs) -> anyhow::Result<ExitCode> {
    let postgres = EmbeddedPostgres::start(Options::default()).await?;
    postgres.create_database(DATABASE, None).await?;
    let recording = Recording::write()?;
    let simulator = Simulator::start(SimulatorSettings {
        api_keys: vec![SIMULATOR_KEY.to_owned()],
        speed: args.speed,
        script: Some(SCRIPT.parse()?),
        ..SimulatorSettings::default()
    })
    .await?;
    let shutdown = Shutdown::manual();
    let ended = beside_gateway(&args, &postgres, &simulator, &recording, &shutdown).await;

    // Everything ends here, whatever came of it.
    shutdown.soft.cancel();
    shutdown.drain(DRAIN).await;
    simulator.shutdown().await;
    postgres.stop().await?;
    ended
}

async fn beside_gateway(
    args: &WithGatewayArgs,
    postgres: &EmbeddedPostgres,
    simulator: &Simulator,
    recording: &Recording,
    shutdown: &Shutdown,
) -> anyhow::Result<ExitCode> {
    let database_url = postgres
        .url(DATABASE)
        .parse()
        .map_err(|error: String| anyhow!(error))?;
    let account = Account {
        key: SIMULATOR_KEY,
        url: simulator.url(),
        completion: "callback",
        callback_key: None,
    };
    let settings: Vec<(&str, &str)> = args
        .settings
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    let (gateway, base) = local_gateway::start(database_url, &account, &settings, shutdown).await?;
    let key: SecretString = local_gateway::make_key(&gateway, TENANT).await?;
    let cut = LossyLine::start(&base, Fails::BeforeTheAnswer).await?;
    let lost = LossyLine::start(&base, Fails::AtTheAnswer).await?;
    let unavailable = LossyLine::start(&base, Fails::AfterTheAnswer).await?;
    let variables = [
        ("GATEWAY_URL", without_slash(&base)),
        ("GATEWAY_CUT_URL", without_slash(cut.url())),
        ("GATEWAY_LOST_URL", without_slash(lost.url())),
        ("GATEWAY_503_URL", without_slash(unavailable.url())),
        ("GATEWAY_KEY", key.expose_secret().to_owned()),
        ("SIMULATOR_URL", without_slash(&simulator.url())),
        ("AUDIO", recording.path()?.to_owned()),
        ("AUDIO_URL", AUDIO_URL.to_owned()),
        ("FAILING_AUDIO_URL", FAILING_AUDIO_URL.to_owned()),
        ("LONG_AUDIO_URL", LONG_AUDIO_URL.to_owned()),
    ];
    child::run(&args.command, variables).await
}

/// As paths are put behind it.
fn without_slash(url: &Url) -> String {
    url.as_str().trim_end_matches('/').to_owned()
}

/// The bundled recording as a file, until it is dropped.
struct Recording {
    directory: PathBuf,
    file: PathBuf,
}

impl Recording {
    fn write() -> anyhow::Result<Self> {
        let name = format!("gladia-gateway-recording-{}", uuid::Uuid::new_v4());
        let directory = std::env::temp_dir().join(name);
        std::fs::create_dir(&directory)
            .with_context(|| format!("making {} failed", directory.display()))?;
        let file = directory.join(BUNDLED_RECORDING_NAME);
        let recording = Self { directory, file };
        std::fs::write(&recording.file, BUNDLED_RECORDING)
            .with_context(|| format!("writing {} failed", recording.file.display()))?;
        Ok(recording)
    }

    fn path(&self) -> anyhow::Result<&str> {
        Path::to_str(&self.file).context("the directory for temporary files has no UTF-8 name")
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        // What stays behind lies among temporary files.
        std::fs::remove_dir_all(&self.directory).ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn exit_of(settings: &[(&str, &str)], script: &str) -> anyhow::Result<ExitCode> {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        run(WithGatewayArgs {
            speed: 1000.0,
            settings: settings.iter().map(owned).collect(),
            command: ["sh", "-c", script].map(str::to_owned).to_vec(),
        })
        .await
    }

    #[tokio::test]
    async fn the_command_finds_a_gateway_and_its_exit_code_is_ours() -> anyhow::Result<()> {
        let script = r#"
            test -s "$AUDIO" || exit 1
            curl --silent --fail --max-time 30 --output /dev/null --header "Authorization: Bearer $GATEWAY_KEY" \
                "$GATEWAY_URL/v1/transcriptions" && exit 7
        "#;
        assert_eq!(exit_of(&[], script).await?, ExitCode::from(7));
        Ok(())
    }

    #[tokio::test]
    async fn a_setting_that_is_wrong_is_named() {
        let error = exit_of(&[("MAX_IN_FLIGHT", "many")], "true").await;
        let error = error.expect_err("the setting is wrong").to_string();
        assert!(error.contains("MAX_IN_FLIGHT"), "{error}");
    }
}
