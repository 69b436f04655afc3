//! Processes of this same program: started, frozen, thawed, killed by their ids, and gone when this one is.
//!
//! Each runs under a small shell script that waits on a pipe whose other end we hold. However we end, the kernel closes
//! our end, and the script kills the process: no signal handler has to run for that.

use std::{
    fs::{File, OpenOptions},
    io::{Read, Seek, SeekFrom},
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use anyhow::{Context, bail};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
    time::{Instant, sleep},
};

const SCRIPT: &str = include_str!("keep.sh");

/// How often a log is looked into for the line that says that a process is up.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// What of our environment a process gets. Nothing else, so that a developer's settings change nothing.
const KEPT_VARIABLES: [&str; 3] = ["PATH", "TMPDIR", "RUST_BACKTRACE"];

/// A command of this program, with what it needs.
pub struct Spec<'a> {
    pub arguments: &'a [&'a str],
    pub settings: &'a [(&'a str, String)],
    /// Where its output goes, behind what is there.
    pub log: &'a Path,
}

/// A process that runs. Dropping it kills it.
#[derive(Debug)]
pub struct Process {
    pid: Pid,
    script: Child,
    log: PathBuf,
    log_start: u64,
}

impl Process {
    /// Starts a command of this program.
    pub async fn start(spec: &Spec<'_>) -> anyhow::Result<Self> {
        let program = std::env::current_exe().context("this program's own file is not known")?;
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(spec.log)?;
        let log_start = log.metadata()?.len();
        let mut command = Command::new("/bin/sh");
        command
            .args(["-c", SCRIPT, "keep.sh"])
            .arg(program)
            .args(spec.arguments)
            .env_clear()
            // A `.env` in the working directory would be read.
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            // Ctrl-C on the terminal is for us, who still need the processes then.
            .process_group(0);
        for variable in KEPT_VARIABLES {
            if let Some(value) = std::env::var_os(variable) {
                command.env(variable, value);
            }
        }
        for (name, value) in spec.settings {
            command.env(name, value);
        }
        let mut script = command.spawn().context("running /bin/sh failed")?;
        let stdout = script.stdout.take().context("the script has no output")?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line).await?;
        let pid = line
            .trim()
            .parse()
            .with_context(|| format!("the script names no process, but `{}`", line.trim()))?;
        Ok(Self {
            pid: Pid::from_raw(pid),
            script,
            log: spec.log.to_owned(),
            log_start,
        })
    }

    /// Its id, for signals from elsewhere.
    pub fn pid(&self) -> Pid {
        self.pid
    }

    /// Waits until the process writes `before…after`, and returns what stands between.
    pub async fn wait_for_text(
        &mut self,
        before: &str,
        after: &str,
        within: Duration,
    ) -> anyhow::Result<String> {
        let deadline = Instant::now() + within;
        loop {
            let ended = self.script.try_wait()?;
            let log = self.log_since_start()?;
            let found = log
                .split_once(before)
                .and_then(|(_, rest)| rest.split_once(after));
            if let Some((found, _)) = found {
                return Ok(found.to_owned());
            }
            if let Some(status) = ended {
                let last = log.lines().last().unwrap_or("it wrote nothing");
                bail!("it ended ({status}): {last}");
            }
            if Instant::now() > deadline {
                bail!("it is not up after {within:?}");
            }
            sleep(LOOK_INTERVAL).await;
        }
    }

    /// The last line that it has written.
    pub fn last_line(&self) -> String {
        let log = self.log_since_start().unwrap_or_default();
        log.lines().last().unwrap_or("it wrote nothing").to_owned()
    }

    fn log_since_start(&self) -> std::io::Result<String> {
        let mut file = File::open(&self.log)?;
        file.seek(SeekFrom::Start(self.log_start))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Waits for its end.
    pub async fn ended(&mut self) -> std::io::Result<ExitStatus> {
        // Not `Child::wait`, which would close the pipe that keeps it alive.
        loop {
            if let Some(status) = self.script.try_wait()? {
                return Ok(status);
            }
            sleep(LOOK_INTERVAL).await;
        }
    }

    /// Asks it to end, and kills it where it does not.
    pub async fn stop(mut self, within: Duration) -> anyhow::Result<ExitStatus> {
        send(self.pid, Signal::SIGCONT);
        send(self.pid, Signal::SIGTERM);
        if let Ok(status) = tokio::time::timeout(within, self.ended()).await {
            return Ok(status?);
        }
        send(self.pid, Signal::SIGKILL);
        self.ended().await?;
        bail!("it did not end within {within:?} of SIGTERM, and was killed");
    }
}

/// Sends a signal to a process, which may be gone by now.
pub fn send(pid: Pid, signal: Signal) {
    let _ = kill(pid, signal);
}

#[cfg(test)]
mod tests {
    use std::{
        io::pipe,
        process::{Command, Stdio},
    };

    use super::SCRIPT;

    #[test]
    fn a_process_ends_although_whoever_wanted_it_ended_before_it_was_told_its_id() {
        let (reader, writer) = pipe().unwrap();
        drop(reader);
        let ended = Command::new("/bin/sh")
            .args(["-c", SCRIPT, "keep.sh", "sleep", "1000"])
            .stdin(Stdio::null())
            .stdout(writer)
            .stderr(Stdio::null())
            .status()
            .unwrap();
        // The program's end by SIGKILL, as the shell tells it; the script itself goes on until then.
        assert_eq!(ended.code(), Some(128 + 9), "{ended}");
    }
}
