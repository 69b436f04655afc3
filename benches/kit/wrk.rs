//! wrk as the source of a load: one thread of it takes little of the processors that are measured.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command as Probe, Stdio},
    time::Duration,
};

use anyhow::{Context, bail, ensure};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tokio::process::Command;

/// Longer than any block: it is ended when the block is.
const LONGEST: &str = "600s";

/// What came of a block.
#[derive(Debug, Clone, Copy)]
pub struct Served {
    pub requests: f64,
    pub per_second: f64,
}

/// A script for a program that loads, gone with this.
pub struct Script(PathBuf);

impl Script {
    pub fn write(name: &str, lua: &str) -> anyhow::Result<Self> {
        let path =
            std::env::temp_dir().join(format!("gateway-bench-{}-{name}.lua", std::process::id()));
        fs::write(&path, lua)?;
        Ok(Self(path))
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// Whether it is installed. Where it is not, says so once for the figure.
pub fn is_there(figure: &str) -> bool {
    let probe = Probe::new("wrk")
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    if probe.is_err() {
        eprintln!("{figure}: wrk is not installed; its rows are left out");
    }
    probe.is_ok()
}

/// How often a block is tried.
const TRIES: u32 = 3;

/// Asks as fast as it is answered, on this many connections, for this long; for longer where wrk took that to begin. Every answer
/// has to be below 400.
pub async fn load(
    url: &str,
    script: &Script,
    connections: usize,
    block: Duration,
) -> anyhow::Result<Served> {
    for nth in 1..=TRIES {
        let served = load_once(url, script, connections, block * nth).await?;
        if served.requests > 0.0 {
            return Ok(served);
        }
    }
    bail!("nothing of {url} was answered in time")
}

async fn load_once(
    url: &str,
    script: &Script,
    connections: usize,
    block: Duration,
) -> anyhow::Result<Served> {
    let wrk = Command::new("wrk")
        .args(["--threads", "1", "--duration", LONGEST, "--timeout", "30s"])
        .args(["--connections", &connections.to_string(), "--script"])
        .arg(&script.0)
        .arg(url)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .context("wrk cannot be started")?;
    let pid = Pid::from_raw(i32::try_from(wrk.id().context("it has ended")?)?);
    tokio::time::sleep(block).await;
    // It then says what it has seen so far.
    kill(pid, Signal::SIGINT)?;
    let output = wrk.wait_with_output().await?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let told = format!("{text}{}", String::from_utf8_lossy(&output.stderr));
    ensure!(
        !told.contains("Non-2xx") && !told.contains("Socket errors"),
        "some requests failed: {told}"
    );
    let field = |found: Option<&str>| found.and_then(|text| text.trim().parse::<f64>().ok());
    let requests = text
        .lines()
        .find_map(|line| line.split_once(" requests in "));
    let rate = text
        .lines()
        .find_map(|line| line.trim().strip_prefix("Requests/sec:"));
    Ok(Served {
        requests: field(requests.map(|(count, _)| count)).context(told.clone())?,
        per_second: field(rate).context(told)?,
    })
}
