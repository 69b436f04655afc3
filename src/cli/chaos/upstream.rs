//! The simulator as a process of its own: what it is told to do wrong, and its ledger, which is the truth about what
//! reached it.

use std::{
    collections::BTreeMap,
    fmt,
    path::Path,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context, ensure};
use chrono::{DateTime, Utc};
use reqwest::{Client, Response};
use serde::Deserialize;
use serde_json::{Value, json};
use url::Url;
use uuid::Uuid;

use super::{
    load::{FAILS, HIDDEN},
    processes::{Process, Spec},
};
use crate::domain::options::RESERVED_METADATA_KEY;

/// The key that it accepts.
pub const GLADIA_KEY: &str = "chaos-key";

/// Seconds of audio that pass in one second.
const SPEED: &str = "40";

/// So many run at once that no queue hides a cap that is passed.
const MAX_RUNNING: &str = "500";

const START_TIMEOUT: Duration = Duration::from_secs(30);

/// A simulator that runs.
#[derive(Debug)]
pub struct Upstream {
    process: Process,
    pub url: Url,
    client: Client,
    /// What goes wrong now, by the number of the fault that says so.
    faults: Mutex<BTreeMap<usize, Value>>,
    /// Held while they are sent, so that the last list sent is the newest.
    sending: tokio::sync::Mutex<()>,
}

/// A job of the simulator's.
#[derive(Debug, Clone, Deserialize)]
pub struct UpstreamJob {
    pub id: Uuid,
    /// `done` or `error`, once it has ended.
    pub status: String,
    /// When it was accepted, and when it ended.
    pub created_at: DateTime<Utc>,
    pub finished_at: Option<DateTime<Utc>>,
    custom_metadata: Option<Value>,
    /// SHA-256 of the exact bytes of its result.
    pub result_sha256: Option<String>,
    callbacks: Vec<UpstreamCallback>,
}

#[derive(Debug, Clone, Deserialize)]
struct UpstreamCallback {
    note: Option<String>,
}

impl UpstreamJob {
    /// The attempt that made it.
    pub fn attempt(&self) -> Option<Uuid> {
        let metadata = self.custom_metadata.as_ref()?;
        metadata.get(RESERVED_METADATA_KEY)?.as_str()?.parse().ok()
    }

    /// Whether a callback of it was cut to half.
    pub fn was_truncated(&self) -> bool {
        let mut notes = self.callbacks.iter().filter_map(|call| call.note.as_ref());
        notes.any(|note| note.contains("truncat"))
    }
}

/// Everything that the simulator saw.
#[derive(Debug, Deserialize)]
pub struct Ledger {
    pub counts: Counts,
    pub jobs: Vec<UpstreamJob>,
}

/// Its sums.
#[derive(Debug, Deserialize)]
pub struct Counts {
    pub creates_accepted: u64,
    pub in_flight: u64,
    pub max_in_flight_seen: u64,
    pub callbacks_sent: u64,
    pub callbacks_lost: u64,
    pub faults_applied: u64,
    pub lists: u64,
    pub gets: u64,
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Gladia accepted {} creates, had {} in flight at most, sent {} callbacks and lost {}, answered {} looks at \
             jobs and {} at lists; {} things went wrong with it",
            self.creates_accepted,
            self.max_in_flight_seen,
            self.callbacks_sent,
            self.callbacks_lost,
            self.gets,
            self.lists,
            self.faults_applied
        )
    }
}

impl Upstream {
    /// Starts one. Its script and its log go to `directory`.
    pub async fn start(directory: &Path, seed: u64) -> anyhow::Result<Self> {
        let script = directory.join("script.json");
        std::fs::write(&script, script_text().to_string())?;
        let script = script.to_str().context("the directory has no plain name")?;
        let mut process = Process::start(&Spec {
            arguments: &[
                "simulate",
                "--listen=127.0.0.1:0",
                "--api-key",
                GLADIA_KEY,
                "--speed",
                SPEED,
                "--max-running",
                MAX_RUNNING,
                "--max-queued=100000",
                "--script",
                script,
            ],
            settings: &[("SIMULATOR_SEED", seed.to_string())],
            log: &directory.join("simulator.log"),
        })
        .await
        .context("starting the simulator failed")?;
        let url = process
            .wait_for_text("Simulating Gladia's API at ", "\n", START_TIMEOUT)
            .await
            .context("starting the simulator failed")?
            .parse()?;
        let client = Client::builder()
            .no_proxy()
            .connect_timeout(Duration::from_secs(5))
            .timeout(Duration::from_mins(1))
            .build()?;
        Ok(Self {
            process,
            url,
            client,
            faults: Mutex::default(),
            sending: tokio::sync::Mutex::default(),
        })
    }

    /// Lets something go wrong from now on, besides what goes wrong already.
    pub async fn add_fault(&self, number: usize, fault: Value) -> anyhow::Result<()> {
        self.change(|faults| faults.insert(number, fault)).await
    }

    /// Ends it.
    pub async fn remove_fault(&self, number: usize) -> anyhow::Result<()> {
        self.change(|faults| faults.remove(&number)).await
    }

    /// Ends all of them.
    pub async fn clear_faults(&self) -> anyhow::Result<()> {
        self.change(|faults| {
            faults.clear();
            None
        })
        .await
    }

    async fn change(
        &self,
        change: impl FnOnce(&mut BTreeMap<usize, Value>) -> Option<Value>,
    ) -> anyhow::Result<()> {
        let _sending = self.sending.lock().await;
        let all: Vec<Value> = {
            let mut faults = self.faults.lock().unwrap_or_else(PoisonError::into_inner);
            change(&mut faults);
            faults.values().cloned().collect()
        };
        let request = self.client.put(self.control("faults")?).json(&all);
        let answer = request.send().await.context("the simulator is gone")?;
        let status = answer.status();
        ensure!(
            status.is_success(),
            "the simulator refuses a fault ({status}): {}",
            answer.text().await.unwrap_or_default()
        );
        Ok(())
    }

    /// The sums alone.
    pub async fn counts(&self) -> anyhow::Result<Counts> {
        #[derive(Deserialize)]
        struct Sums {
            counts: Counts,
        }
        let request = self.client.get(self.control("ledger?counts=true")?);
        let answer = request.send().await.and_then(Response::error_for_status);
        let sums: Sums = answer.context("the simulator is gone")?.json().await?;
        Ok(sums.counts)
    }

    /// Everything that it saw.
    pub async fn ledger(&self) -> anyhow::Result<Ledger> {
        let request = self.client.get(self.control("ledger")?);
        let answer = request.send().await.and_then(Response::error_for_status);
        Ok(answer.context("the simulator is gone")?.json().await?)
    }

    fn control(&self, what: &str) -> anyhow::Result<Url> {
        Ok(self.url.join("_simulator/")?.join(what)?)
    }

    /// Ends it.
    pub async fn stop(self) -> anyhow::Result<()> {
        let stopped = self.process.stop(Duration::from_secs(10)).await;
        stopped.map(|_| ()).context("stopping the simulator failed")
    }
}

/// Audio that does not exist, by the number of seconds in its address; some of it cannot be transcribed.
fn script_text() -> Value {
    let lengths = [20, 40, 60, 80, 120];
    let mut entries = vec![json!({
        "match": format!("*/{FAILS}/*"),
        "duration": 30,
        "error": { "code": 500, "message": "This audio cannot be transcribed." },
    })];
    entries.push(json!({ "match": format!("*/{HIDDEN}/*"), "duration": 40 }));
    entries.extend(
        lengths
            .iter()
            .map(|length| json!({ "match": format!("*/{length}/*"), "duration": length })),
    );
    json!({ "entries": entries })
}
