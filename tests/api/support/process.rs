//! The program itself, as a process that can die.

use std::{
    net::SocketAddr,
    os::unix::process::ExitStatusExt,
    process::{ExitStatus, Stdio},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
    sync::oneshot,
    task::JoinHandle,
};

use super::{BOUND, TestApp};

const BINARY: &str = env!("CARGO_BIN_EXE_gladia-gateway");

/// `gladia-gateway serve`, run from the binary that was built with the tests.
pub struct Process {
    child: Child,
    listens: oneshot::Receiver<SocketAddr>,
    started: oneshot::Receiver<()>,
    log: JoinHandle<Vec<String>>,
}

impl Process {
    /// Starts it beside the replicas of a test, on their database and their Gladia, with further variables.
    pub fn serve(app: &TestApp, variables: &[(&str, &str)]) -> Self {
        Self::serve_with(app, &[], variables)
    }

    /// The same with flags.
    pub fn serve_with(app: &TestApp, flags: &[&str], variables: &[(&str, &str)]) -> Self {
        let mut command = Command::new(BINARY);
        command.arg("serve").args(flags);
        Self::start(command, app, variables)
    }

    /// The same with so many file descriptors at most.
    pub fn serve_with_files(app: &TestApp, files: usize) -> Self {
        let mut command = Command::new("/bin/sh");
        let script = format!("ulimit -n {files} && exec \"$0\" serve");
        command.args(["-c", &script, BINARY]);
        Self::start(command, app, &[])
    }

    fn start(mut command: Command, app: &TestApp, variables: &[(&str, &str)]) -> Self {
        let mut child = command
            .env_clear()
            // Where no developer has a `.env`.
            .current_dir("/")
            .envs(app.values())
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap()).lines();
        let (tell, listens) = oneshot::channel();
        let (tell_started, started) = oneshot::channel();
        let log = tokio::spawn(async move {
            let (mut tell, mut tell_started) = (Some(tell), Some(tell_started));
            let mut lines = Vec::new();
            while let Ok(Some(line)) = log.next_line().await {
                if let Some(address) = listens_at(&line)
                    && let Some(tell) = tell.take()
                {
                    let _ = tell.send(address);
                }
                if line.contains("Started: ")
                    && let Some(tell) = tell_started.take()
                {
                    let _ = tell.send(());
                }
                lines.push(line);
            }
            lines
        });
        Self {
            child,
            listens,
            started,
            log,
        }
    }

    /// Where it listens, once it serves all that it is for.
    pub async fn address(&mut self) -> SocketAddr {
        let address = self.listens().await;
        tokio::time::timeout(BOUND, &mut self.started)
            .await
            .expect("the process is up within the bound")
            .expect("the process says that it is up");
        address
    }

    /// Where it listens, once it does, be the database there or not.
    pub async fn listens(&mut self) -> SocketAddr {
        tokio::time::timeout(BOUND, &mut self.listens)
            .await
            .expect("the process listens within the bound")
            .expect("the process says where it listens")
    }

    /// How much memory it has, in bytes: now, and at most so far.
    #[cfg(target_os = "linux")]
    pub fn memory(&self) -> (u64, u64) {
        let id = self.child.id().expect("the process runs");
        let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap();
        let bytes = |name: &str| {
            let mut lines = status.lines();
            let rest = lines.find_map(|line| line.strip_prefix(name)).unwrap();
            let kilobytes = rest.split_whitespace().next().unwrap();
            kilobytes.parse::<u64>().unwrap() * 1024
        };
        (bytes("VmRSS:"), bytes("VmHWM:"))
    }

    /// Asks it to end, as whoever runs the service does.
    pub fn terminate(&self) {
        let id = self.child.id().expect("the process runs");
        let id = Pid::from_raw(id.try_into().unwrap());
        kill(id, Signal::SIGTERM).unwrap();
    }

    /// Waits until it has ended by itself, and gives what it logged.
    pub async fn log(mut self) -> Vec<String> {
        let ended = tokio::time::timeout(BOUND, self.child.wait()).await;
        let ended = ended.expect("the process ends within the bound").unwrap();
        let log = self.log.await.unwrap();
        assert!(ended.success(), "{log:#?}");
        log
    }

    /// Waits until it has failed by itself, and gives what it said.
    pub async fn failure(mut self) -> Vec<String> {
        let ended = tokio::time::timeout(BOUND, self.child.wait()).await;
        let ended = ended.expect("the process ends within the bound").unwrap();
        let log = self.log.await.unwrap();
        assert_eq!(ended.code(), Some(1), "{log:#?}");
        log
    }

    /// Waits until it has ended, and gives the signal that ended it, if one did.
    pub async fn ended_by(mut self) -> Option<i32> {
        // Its own clock is the real one, so what it settles takes its time.
        let ended: ExitStatus = tokio::time::timeout(BOUND * 3, self.child.wait())
            .await
            .expect("the process ends within the bound")
            .unwrap();
        ended.signal()
    }
}

fn listens_at(line: &str) -> Option<SocketAddr> {
    let (_, rest) = line.split_once("Listening on ")?;
    rest.split_whitespace().next()?.parse().ok()
}
