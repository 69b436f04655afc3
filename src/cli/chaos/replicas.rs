//! The replicas of the gateway: `serve` processes that are started again whenever they end, as a service manager does.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::Context;
use nix::{sys::signal::Signal, unistd::Pid};
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use super::{
    balancer::Addresses,
    processes::{Process, Spec, send},
    progress::Progress,
};

/// How long a start may take, migrations and a busy machine included.
const START_TIMEOUT: Duration = Duration::from_mins(1);

/// The pause before a process that ended by itself is started again.
const RESTART_PAUSE: Duration = Duration::from_millis(500);

/// What `SHUTDOWN_TIMEOUT_SECONDS` is set to, and some time to spare.
const STOP_TIMEOUT: Duration = Duration::from_secs(25);

/// One replica.
#[derive(Debug)]
pub struct Replica {
    pub name: String,
    number: usize,
    settings: Vec<(&'static str, String)>,
    log: PathBuf,
    addresses: Addresses,
    progress: Progress,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The process, while it runs.
    pid: Option<Pid>,
    frozen: bool,
    /// Set while somebody killed it, so that its end is no surprise: when it starts again.
    killed_until: Option<Instant>,
    /// Ends that nobody had asked for.
    crashes: Vec<String>,
    freezes: Vec<Freeze>,
}

/// A time in which a process stood still.
#[derive(Debug, Clone, Copy)]
pub struct Freeze {
    pub pid: Pid,
    pub from: Instant,
    pub to: Instant,
}

impl Replica {
    pub fn new(
        number: usize,
        settings: Vec<(&'static str, String)>,
        log: PathBuf,
        addresses: Addresses,
        progress: Progress,
    ) -> Self {
        Self {
            name: format!("serve-{}", number + 1),
            number,
            settings,
            log,
            addresses,
            progress,
            state: Mutex::default(),
        }
    }

    /// Keeps it running until `stop`, then ends it gracefully. Fails where it then does not end well.
    pub async fn keep(self: Arc<Self>, stop: CancellationToken) -> anyhow::Result<()> {
        while !stop.is_cancelled() {
            match self.run_once(&stop).await {
                Ok(Some(process)) => return self.stop(process).await,
                Ok(None) => {}
                // Postgres was away when it started, or its end was not asked for.
                Err(error) => self.note_crash(format!("{error:#}")),
            }
            self.set_down();
            let pause = async {
                match self.take_kill() {
                    Some(until) => sleep_until(until).await,
                    None => sleep(RESTART_PAUSE).await,
                }
            };
            stop.run_until_cancelled(pause).await;
        }
        Ok(())
    }

    /// Runs it until it ends or `stop` is called. The process, if it is up and runs then.
    async fn run_once(&self, stop: &CancellationToken) -> anyhow::Result<Option<Process>> {
        let mut process = Process::start(&Spec {
            arguments: &["serve"],
            settings: &self.settings,
            log: &self.log,
        })
        .await?;
        self.state().pid = Some(process.pid());
        let up = process.wait_for_text("Listening on ", " (http)", START_TIMEOUT);
        let address = match stop.run_until_cancelled(up).await {
            Some(Ok(address)) => address,
            Some(Err(error)) if self.state().killed_until.is_none() => return Err(error),
            Some(Err(_)) | None => return Ok(None),
        };
        let address = address.parse().context("its log names no address")?;
        self.addresses.set(self.number, Some(address));
        tokio::select! {
            status = process.ended() => {
                let status = status?;
                if self.state().killed_until.is_some() {
                    return Ok(None);
                }
                anyhow::bail!("it ended by itself ({status}): {}", process.last_line());
            }
            () = stop.cancelled() => Ok(Some(process)),
        }
    }

    async fn stop(&self, process: Process) -> anyhow::Result<()> {
        let ended = process.stop(STOP_TIMEOUT).await;
        self.set_down();
        let status = ended.with_context(|| format!("stopping {} failed", self.name))?;
        anyhow::ensure!(
            status.success(),
            "{} was asked to end and failed ({status}); its log says why",
            self.name
        );
        Ok(())
    }

    fn set_down(&self) {
        self.addresses.set(self.number, None);
        let mut state = self.state();
        state.pid = None;
        state.frozen = false;
    }

    /// Kills it. It starts again after `pause`. False if it is down already.
    pub fn kill(&self, pause: Duration) -> bool {
        let mut state = self.state();
        let Some(pid) = state.pid.take() else {
            return false;
        };
        state.killed_until = Some(Instant::now() + pause);
        send(pid, Signal::SIGKILL);
        true
    }

    /// Stops it in the middle of whatever it does, and lets it go on later. False if it is down or frozen already.
    pub async fn freeze(&self, length: Duration) -> bool {
        let pid = {
            let mut state = self.state();
            let Some(pid) = state.pid.filter(|_| !state.frozen) else {
                return false;
            };
            state.frozen = true;
            send(pid, Signal::SIGSTOP);
            pid
        };
        let from = Instant::now();
        sleep(length).await;
        let mut state = self.state();
        let to = Instant::now();
        state.freezes.push(Freeze { pid, from, to });
        // It may have been killed meanwhile, and be another process now.
        if state.pid == Some(pid) {
            state.frozen = false;
            send(pid, Signal::SIGCONT);
        }
        true
    }

    /// When its processes stood still.
    pub fn freezes(&self) -> Vec<Freeze> {
        self.state().freezes.clone()
    }

    /// Ends that nobody had asked for, each with the last line of the log.
    pub fn crashes(&self) -> Vec<String> {
        self.state().crashes.clone()
    }

    fn note_crash(&self, crash: String) {
        self.progress
            .say(&format!("{} ended by itself: {crash}", self.name));
        self.state().crashes.push(crash);
    }

    fn take_kill(&self) -> Option<Instant> {
        self.state().killed_until.take()
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
