//! `simulate`: the simulator of Gladia's API alone.

use std::{io::Write as _, net::SocketAddr, path::PathBuf};

use anyhow::ensure;
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::dev_tools::simulator::{Script, Simulator, SimulatorSettings, WebhookSettings};

/// Runs a simulator of Gladia's pre-recorded API: decodes audio for real, transcribes it by a script.
///
/// What it received and sent is at /_simulator/ledger; faults are switched on at /_simulator/faults.
#[derive(Clone, Debug, clap::Args)]
pub struct SimulateArgs {
    /// Where it listens; port 0 takes a free one
    #[arg(long, env = "SIMULATOR_LISTEN", default_value = "127.0.0.1:8090")]
    listen: SocketAddr,

    /// A key that is accepted in x-gladia-key; can be repeated
    #[arg(
        long = "api-key",
        env = "SIMULATOR_API_KEY",
        value_delimiter = ',',
        default_value = "simulated-key",
        hide_env_values = true
    )]
    api_keys: Vec<String>,

    /// How many seconds of audio are processed in one second
    #[arg(long, env = "SIMULATOR_SPEED", default_value_t = 20.0)]
    speed: f64,

    /// A JSON file that says which file name or URL gives which words; the bundled script stays behind it
    #[arg(long, env = "SIMULATOR_SCRIPT", value_name = "FILE")]
    script: Option<PathBuf>,

    /// The base of `result_url` and `audio_url`, if it is reached by another address than its own
    #[arg(long, env = "SIMULATOR_PUBLIC_URL", value_name = "URL")]
    public_url: Option<Url>,

    /// Jobs that run at the same time
    #[arg(long, env = "SIMULATOR_MAX_RUNNING", default_value_t = 25)]
    max_running: usize,

    /// Jobs that may wait behind those that run; more are refused with 429
    #[arg(long, env = "SIMULATOR_MAX_QUEUED", default_value_t = 300)]
    max_queued: usize,

    /// Whether audio is fetched from, and callbacks are sent to, loopback and private addresses
    #[arg(long = "allow-loopback", env = "SIMULATOR_ALLOW_LOOPBACK", default_value_t = true, action = clap::ArgAction::Set, num_args = 0..=1, default_missing_value = "true", value_name = "BOOL")]
    allow_private: bool,

    /// Where the account's webhook sends events about every job
    #[arg(
        long,
        env = "SIMULATOR_WEBHOOK_URL",
        value_name = "URL",
        requires = "webhook_secret"
    )]
    webhook_url: Option<Url>,

    /// How often a callback or webhook is sent until it is answered with 2xx; the first pause is half a second and doubles
    #[arg(long, env = "SIMULATOR_CALLBACK_ATTEMPTS", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..), value_name = "NUMBER")]
    callback_attempts: u32,

    /// The secret that signs the account's webhook, whsec_ and base64
    #[arg(
        long,
        env = "SIMULATOR_WEBHOOK_SECRET",
        value_name = "SECRET",
        hide_env_values = true
    )]
    webhook_secret: Option<String>,

    /// Refuse unknown and discontinued options rather than ignore them
    #[arg(long, env = "SIMULATOR_STRICT_OPTIONS", default_value_t = false, action = clap::ArgAction::Set, num_args = 0..=1, default_missing_value = "true", value_name = "BOOL")]
    strict_options: bool,

    /// Keep nothing: refuse uploads and every look at a job, and give a result up once its callback was answered with 2xx
    #[arg(long, env = "SIMULATOR_ZERO_DATA_RETENTION", default_value_t = false, action = clap::ArgAction::Set, num_args = 0..=1, default_missing_value = "true", value_name = "BOOL")]
    zero_data_retention: bool,

    /// Makes faults with a probability happen in the same places again; random without it
    #[arg(long, env = "SIMULATOR_SEED", value_name = "NUMBER")]
    seed: Option<u64>,
}

impl SimulateArgs {
    fn into_settings(self) -> anyhow::Result<SimulatorSettings> {
        ensure!(
            self.speed.is_finite() && self.speed > 0.0,
            "--speed must be a positive number of seconds of audio a second, for example 20"
        );
        ensure!(
            self.max_running > 0,
            "--max-running must be at least 1, or no job ever runs"
        );
        ensure!(
            self.webhook_url.is_some() == self.webhook_secret.is_some(),
            "--webhook-url and --webhook-secret go together: the secret signs what is sent to the URL"
        );
        let script = self.script.as_deref().map(Script::read).transpose()?;
        let webhook = self
            .webhook_url
            .zip(self.webhook_secret)
            .map(|(url, secret)| WebhookSettings { url, secret });
        Ok(SimulatorSettings {
            listen: self.listen,
            api_keys: self.api_keys,
            speed: self.speed,
            script,
            public_url: self.public_url,
            max_running: self.max_running,
            max_queued: self.max_queued,
            allow_private: self.allow_private,
            webhook,
            callback_attempts: self.callback_attempts,
            strict_options: self.strict_options,
            zero_data_retention: self.zero_data_retention,
            seed: self.seed,
            ..SimulatorSettings::default()
        })
    }
}

/// Runs until told to stop.
///
/// # Errors
///
/// If a setting is wrong or the address is taken.
pub async fn run(args: SimulateArgs, stop: CancellationToken) -> anyhow::Result<()> {
    let simulator = Simulator::start(args.into_settings()?).await?;
    let url = simulator.url();
    writeln!(
        std::io::stdout(),
        "Simulating Gladia's API at {url}\nLedger: {url}_simulator/ledger\nFaults: {url}_simulator/faults"
    )?;
    tokio::select! {
        () = stop.cancelled() => {}
        () = simulator.stopped() => {
            anyhow::bail!("the simulator's listener failed");
        }
    }
    simulator.shutdown().await;
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: SimulateArgs,
    }

    #[test]
    fn callbacks_are_sent_as_often_as_is_said_and_at_least_once() {
        let attempts = |argument: &str| {
            let line = Line::try_parse_from(["simulate", argument]).ok()?;
            Some(line.args.into_settings().unwrap().callback_attempts)
        };
        assert_eq!(attempts("--speed=1"), Some(5));
        assert_eq!(attempts("--callback-attempts=1"), Some(1));
        assert_eq!(attempts("--callback-attempts=0"), None);
    }
}
