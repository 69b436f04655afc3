//! Keeps a server running for as long as this process lives, and not a moment longer.
//!
//! A small shell script starts the server and waits on a pipe whose other end we hold. Closing it stops the server; so
//! does our end in any way, because the kernel then closes it. Nothing else ties a child to its parent on every Unix,
//! without unsafe code, and whichever thread did the start: Linux's parent-death signal comes when the starting
//! thread ends, and tests run on short-lived ones.

use std::ffi::OsString;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::{Child, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use super::ShutdownMode;
use super::cluster::Cluster;

const SCRIPT: &str = include_str!("supervise.sh");

/// A fast shutdown takes some 70 ms; a slow disk may make it seconds.
const STOP_TIMEOUT: Duration = Duration::from_secs(30);

const STOP_POLL_INTERVAL: Duration = Duration::from_millis(10);

/// The script that runs the server.
#[derive(Debug)]
pub(super) struct Supervisor {
    script: Child,
}

impl Supervisor {
    /// Starts `server`, a command, on the files of `cluster`.
    pub(super) fn spawn(server: Vec<OsString>, cluster: &Cluster) -> anyhow::Result<Self> {
        let directory = cluster.directory();
        let script = cluster
            .account()
            .command("/bin/sh")
            .args(["-c", SCRIPT, "supervise.sh"])
            .arg(directory.path())
            .args(server)
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(directory.log()?)
            .stderr(directory.log()?)
            // Ctrl-C on the terminal reaches every process of the group: it is for us, who still need the server then.
            .process_group(0)
            .spawn()
            .context("running Postgres under /bin/sh failed")?;
        Ok(Self { script })
    }

    /// How the server ended, if it did.
    pub(super) fn exit_status(&mut self) -> std::io::Result<Option<ExitStatus>> {
        self.script.try_wait()
    }

    /// Tells the script to end the server and to start it again. Does not wait for either.
    pub(super) fn restart(&mut self, mode: ShutdownMode) -> anyhow::Result<()> {
        self.tell(match mode {
            ShutdownMode::Fast => "INT",
            ShutdownMode::Immediate => "QUIT",
        })
    }

    /// Ends the server as a crash does, without a word to whoever follows it, and waits for its end.
    pub(super) fn lose(&mut self) -> anyhow::Result<()> {
        self.tell("LOSE")?;
        self.wait_for_end()
    }

    fn tell(&mut self, line: &str) -> anyhow::Result<()> {
        let script = self
            .script
            .stdin
            .as_mut()
            .context("Postgres is being stopped")?;
        writeln!(script, "{line}").context("the script that runs Postgres is gone")
    }

    /// Stops the server and waits for its end.
    pub(super) fn stop(&mut self) -> anyhow::Result<()> {
        drop(self.script.stdin.take());
        self.wait_for_end()
    }

    fn wait_for_end(&mut self) -> anyhow::Result<()> {
        let deadline = Instant::now() + STOP_TIMEOUT;
        while self.exit_status()?.is_none() {
            if Instant::now() > deadline {
                bail!("Postgres does not end within {STOP_TIMEOUT:?} of being told to");
            }
            std::thread::sleep(STOP_POLL_INTERVAL);
        }
        Ok(())
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        // A server that is slow to end is left to the script.
        let _ = self.stop();
    }
}
