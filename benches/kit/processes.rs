//! What is measured, each as a process of its own.

use std::{net::TcpListener, path::Path, process::Stdio, time::Duration};

use anyhow::{Context, bail};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
    time::timeout,
};

use super::API_KEY;
use crate::floors;

const START_TIMEOUT: Duration = Duration::from_mins(1);

/// What a log says before an address.
const LISTENING: &str = "Listening on ";

/// A process that is gone with this.
pub struct Program {
    pub url: String,
    child: Child,
}

impl Program {
    /// The gateway, of the same build, with settings beside the usual ones or in their place.
    pub async fn gateway(
        database_url: &str,
        gladia_url: &str,
        settings: &[(&str, &str)],
    ) -> anyhow::Result<Self> {
        let program = Path::new(env!("CARGO_BIN_EXE_gladia-gateway"));
        Self::gateway_of(program, database_url, gladia_url, settings).await
    }

    /// The same of another build.
    pub async fn gateway_of(
        program: &Path,
        database_url: &str,
        gladia_url: &str,
        settings: &[(&str, &str)],
    ) -> anyhow::Result<Self> {
        // Its own address is a setting of it, so the port is chosen beforehand.
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let url = format!("http://127.0.0.1:{port}");
        let mut command = Command::new(program);
        command.arg("serve").env_clear().envs([
            ("DATABASE_URL", database_url),
            ("GLADIA_API_URL", gladia_url),
            ("GLADIA_API_KEY", "bench"),
            ("BOOTSTRAP_API_KEY", API_KEY),
            ("PUBLIC_URL", &url),
            ("LISTEN_ADDR", &format!("127.0.0.1:{port}")),
            ("CALLBACK_KEYS", "bench:0123456789abcdef0123456789abcdef"),
            ("WEBHOOK_ALLOWED_NETWORKS", "127.0.0.0/8"),
            ("MAX_IN_FLIGHT", "100"),
            ("LOG_LEVEL", "info"),
        ]);
        command.envs(settings.iter().copied());
        Self::start(command, "Started: ").await
    }

    /// A floor: this program once more.
    pub async fn floor(name: &str, database_url: &str, target: &str) -> anyhow::Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.env_clear().envs([
            (floors::NAME, name),
            ("FLOOR_DATABASE_URL", database_url),
            ("FLOOR_TARGET", target),
        ]);
        Self::start(command, LISTENING).await
    }

    /// Of the process.
    pub fn pid(&self) -> u32 {
        self.child.id().expect("it runs until it is dropped")
    }

    /// Ends it, and waits for that.
    pub async fn end(mut self) -> anyhow::Result<()> {
        Ok(self.child.kill().await?)
    }

    /// It is up once its log says so.
    async fn start(mut command: Command, up: &str) -> anyhow::Result<Self> {
        let mut child = command
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let mut log = BufReader::new(child.stderr.take().context("no output")?).lines();
        let address = timeout(START_TIMEOUT, async {
            let (mut last, mut address) = (String::new(), None);
            while let Some(line) = log.next_line().await? {
                if let Some((_, rest)) = line.split_once(LISTENING) {
                    let first = rest.split_whitespace().next().unwrap_or_default();
                    address.get_or_insert_with(|| first.to_owned());
                }
                if line.contains(up)
                    && let Some(address) = address.take()
                {
                    return Ok(address);
                }
                last = line;
            }
            bail!("it ended: {last}")
        });
        let address = address.await.context("it is not up in time")??;
        // Whoever does not read a pipe stops its writer.
        tokio::spawn(async move { while let Ok(Some(_)) = log.next_line().await {} });
        Ok(Self {
            url: format!("http://{address}"),
            child,
        })
    }
}
