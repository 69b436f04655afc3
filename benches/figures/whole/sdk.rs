//! When callers know that their job has ended: the official Python SDK, which polls Gladia (here: the simulator), and a caller
//! of the gateway whose request waits. Jobs take between four and nine seconds at both, and begin at odd moments.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, SystemTime},
};

use anyhow::{Context, ensure};
use chrono::{DateTime, Utc};
use futures_util::future::try_join_all;
use gladia_gateway::dev_tools::simulator::{Script, Simulator, SimulatorSettings};
use reqwest::Client;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::{process::Command, time::timeout};

use crate::kit::{
    API_KEY, Scale,
    path::count,
    processes::Program,
    start_postgres,
    table::{Goal, Row, median},
};

/// What the SDK is installed from: as its test has it.
const REQUIREMENTS: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/clients/sdk-python-newest/requirements.txt"
);

const POLL: &str = include_str!("poll.py");

const INSTALL_BOUND: Duration = Duration::from_mins(3);

const BOUND: Duration = Duration::from_mins(1);

/// The simulator's, which the SDK and the gateway present.
const GLADIA_KEY: &str = "bench";

#[derive(Clone, Serialize)]
struct Job {
    audio_url: String,
    begins_after: f64,
    #[serde(skip)]
    seconds: f64,
}

#[derive(Deserialize)]
struct Known {
    audio_url: String,
    known_at: f64,
}

/// How one way of waiting did.
struct Outcome {
    requests_per_job: f64,
    delays_ms: Vec<f64>,
}

/// Measures both, one after the other.
pub(super) async fn compare(scale: Scale) -> anyhow::Result<Vec<Row>> {
    let jobs = jobs(scale.of(60, 24));
    let waited = wait_at_gateway(&jobs).await?;
    let polled = match install().await {
        Ok(python) => Some(poll_with_sdk(&python, &jobs).await?),
        Err(error) => {
            eprintln!("The Python SDK cannot be installed, its rows are left out: {error:#}");
            None
        }
    };
    let rows_of = |name: &str, outcome: &Outcome| {
        let delay = median(outcome.delays_ms.clone());
        [
            Row::single(
                format!("whole, Gladia's requests a job, {name}"),
                "",
                outcome.requests_per_job,
            ),
            Row::single(format!("whole, known after its end, {name}"), "ms", delay),
        ]
    };
    let mut rows = Vec::from(rows_of("waiting", &waited));
    if let Some(polled) = polled {
        rows.extend(rows_of("SDK", &polled));
        let times = median(polled.delays_ms) / median(waited.delays_ms);
        let sooner = Row::single("whole, times sooner than the SDK", "", times);
        rows.push(sooner.goal(Goal::AtLeast(100.0)));
    }
    Ok(rows)
}

/// Lengths and beginnings differ by steps that no interval of polling divides.
fn jobs(count_of: usize) -> Vec<Job> {
    (0..count_of)
        .map(|nth| Job {
            audio_url: format!("https://audio.example.com/{nth}.mp3"),
            begins_after: (count(nth) * 0.377) % 3.0,
            seconds: 4.0 + (count(nth) * 0.731) % 5.0,
        })
        .collect()
}

async fn start_simulator(jobs: &[Job]) -> anyhow::Result<Simulator> {
    let entries: Vec<Value> = jobs
        .iter()
        .map(|job| json!({ "match": job.audio_url, "duration": job.seconds }))
        .collect();
    let script: Script = json!({ "entries": entries }).to_string().parse()?;
    Simulator::start(SimulatorSettings {
        api_keys: vec![GLADIA_KEY.to_owned()],
        speed: 1.0,
        script: Some(script),
        max_running: 1000,
        ..SimulatorSettings::default()
    })
    .await
}

async fn wait_at_gateway(jobs: &[Job]) -> anyhow::Result<Outcome> {
    let simulator = start_simulator(jobs).await?;
    let postgres = start_postgres().await?;
    let url = simulator.url().as_str().trim_end_matches('/').to_owned();
    let gateway = Program::gateway(&postgres.url("gateway"), &url, &[]).await?;
    let http = Client::builder().no_proxy().build()?;
    let known = try_join_all(
        jobs.iter()
            .map(|job| wait_for_job(&http, &gateway.url, job)),
    )
    .await?;
    let outcome = Outcome::read(&http, &simulator, &known).await;
    drop(gateway);
    postgres.stop().await?;
    simulator.shutdown().await;
    outcome
}

async fn wait_for_job(http: &Client, gateway: &str, job: &Job) -> anyhow::Result<Known> {
    tokio::time::sleep(Duration::from_secs_f64(job.begins_after)).await;
    let create = http
        .post(format!("{gateway}/v1/transcriptions?wait=60"))
        .bearer_auth(API_KEY)
        .json(&json!({ "audio_url": job.audio_url }));
    let answer: Value = create.send().await?.error_for_status()?.json().await?;
    let known_at = SystemTime::UNIX_EPOCH.elapsed()?.as_secs_f64();
    ensure!(answer["status"] == "done", "not done: {answer}");
    Ok(Known {
        audio_url: job.audio_url.clone(),
        known_at,
    })
}

async fn poll_with_sdk(python: &Path, jobs: &[Job]) -> anyhow::Result<Outcome> {
    let simulator = start_simulator(jobs).await?;
    let url = simulator.url().as_str().trim_end_matches('/').to_owned();
    let mut polling = Command::new(python);
    polling
        .args(["-c", POLL, &url, GLADIA_KEY, &serde_json::to_string(jobs)?])
        .env("NO_PROXY", "*")
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let output = timeout(BOUND, polling.output())
        .await
        .context("the SDK takes too long")??;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "the SDK failed: {}", said.trim());
    let known = String::from_utf8(output.stdout)?
        .lines()
        .map(serde_json::from_str)
        .collect::<Result<Vec<Known>, _>>()?;
    let http = Client::builder().no_proxy().build()?;
    let outcome = Outcome::read(&http, &simulator, &known).await;
    simulator.shutdown().await;
    outcome
}

impl Outcome {
    /// From when each job ended at Gladia to when its caller knew.
    async fn read(http: &Client, simulator: &Simulator, known: &[Known]) -> anyhow::Result<Self> {
        let ledger = simulator.url().join("_simulator/ledger")?;
        let ledger: Value = http.get(ledger).send().await?.json().await?;
        let mut ended = HashMap::new();
        for job in ledger["jobs"].as_array().context("no jobs")? {
            let finished_at: DateTime<Utc> = serde_json::from_value(job["finished_at"].clone())?;
            let milliseconds = f64::from(u32::try_from(finished_at.timestamp_millis() % DAY_MS)?);
            ended.insert(job["audio_url"].as_str().unwrap_or_default(), milliseconds);
        }
        ensure!(ended.len() == known.len(), "not every job is known of");
        let delays = known.iter().map(|known| {
            let known_ms = (known.known_at * 1000.0) % DAY_MS_F;
            let ended_ms = ended.get(known.audio_url.as_str()).copied();
            // Midnight may lie between.
            ended_ms.map(|ended_ms| (known_ms - ended_ms + DAY_MS_F) % DAY_MS_F)
        });
        let delays_ms: Vec<f64> = delays.collect::<Option<_>>().context("an unknown job")?;
        let counts = &ledger["counts"];
        let requests = counts["creates_received"].as_u64().unwrap_or_default()
            + counts["gets"].as_u64().unwrap_or_default();
        Ok(Self {
            requests_per_job: count(usize::try_from(requests)?) / count(known.len()),
            delays_ms,
        })
    }
}

/// The day is enough of an instant, and is exact as a number.
const DAY_MS: i64 = 24 * 60 * 60 * 1000;
const DAY_MS_F: f64 = 86_400_000.0;

/// Installs the SDK, unless it is there. The Python that has it.
async fn install() -> anyhow::Result<PathBuf> {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent();
    let directory = target.context("no directory")?.join("bench/sdk");
    let (python, installed) = (
        directory.join("bin/python"),
        directory.join("installed.txt"),
    );
    let requirements = std::fs::read_to_string(REQUIREMENTS)?;
    if std::fs::read_to_string(&installed).is_ok_and(|installed| installed == requirements) {
        return Ok(python);
    }
    eprintln!("Installing the Python SDK in {}", directory.display());
    let mut make = Command::new("python3");
    make.args(["-m", "venv", "--clear"]).arg(&directory);
    finish(make).await?;
    let mut fill = Command::new(&python);
    fill.args(["-m", "pip", "install", "--quiet", "--no-deps"]);
    fill.args(["--disable-pip-version-check", "--requirement", REQUIREMENTS]);
    finish(fill).await?;
    std::fs::write(&installed, requirements)?;
    Ok(python)
}

async fn finish(mut command: Command) -> anyhow::Result<()> {
    command.stdin(Stdio::null()).kill_on_drop(true);
    let output = timeout(INSTALL_BOUND, command.output())
        .await
        .context("it takes too long")??;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{}", said.trim());
    Ok(())
}
