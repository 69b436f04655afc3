//! A database cluster: the files that `initdb` makes, and the command that serves them.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use uuid::Uuid;

use super::Options;
use super::account::Account;
use super::binaries::require_binaries;
use super::directory::PrivateDirectory;

/// The one role that the cluster has.
pub(super) const SUPERUSER: &str = "gateway";

/// An initialised cluster in its private directory.
#[derive(Debug)]
pub(super) struct Cluster {
    binaries: PathBuf,
    account: Account,
    directory: PrivateDirectory,
    password: String,
}

/// A server of which another one is to be a copy.
#[derive(Debug, Clone)]
pub(super) struct Origin {
    binaries: PathBuf,
    account: Account,
    password: String,
    port: u16,
}

impl Cluster {
    /// Runs `initdb` in a new directory.
    pub(super) fn create() -> anyhow::Result<Self> {
        let binaries = require_binaries()?;
        let account = Account::for_server()?;
        let initdb = binaries.join("initdb");
        let directory =
            PrivateDirectory::create(&account, |path| can_run(&initdb, path, &account))?;
        let cluster = Self {
            binaries,
            account,
            directory,
            password: Uuid::new_v4().simple().to_string(),
        };
        cluster
            .initialise(&initdb)
            .context("making a new Postgres failed")?;
        Ok(cluster)
    }

    /// Copies the files of a server that runs, so that a server on the copy follows it.
    pub(super) fn copy(origin: &Origin) -> anyhow::Result<Self> {
        let Origin {
            binaries,
            account,
            password,
            port,
        } = origin.clone();
        let program = binaries.join("pg_basebackup");
        let directory =
            PrivateDirectory::create(&account, |path| can_run(&program, path, &account))?;
        let cluster = Self {
            binaries,
            account,
            directory,
            password,
        };
        // With a slot, so that the origin keeps what a copy that was away for a moment has not got yet.
        let status = cluster
            .account
            .command(&program)
            .args(["--host", "127.0.0.1", "--port"])
            .arg(port.to_string())
            .args(["--username", SUPERUSER, "--no-password"])
            .args(["--checkpoint", "fast", "--write-recovery-conf"])
            .args(["--create-slot", "--slot"])
            .arg(format!("standby_{}", Uuid::new_v4().simple()))
            .arg("--pgdata")
            .arg(cluster.data())
            .env("PGPASSWORD", &cluster.password)
            .stdout(cluster.directory.log()?)
            .stderr(cluster.directory.log()?)
            .status()
            .with_context(|| format!("running {} failed", program.display()))?;
        ensure!(
            status.success(),
            "copying a Postgres failed ({status}); the output of pg_basebackup:\n{}",
            cluster.log_tail()
        );
        Ok(cluster)
    }

    /// What it takes to copy this one while it is served on `port`.
    pub(super) fn origin(&self, port: u16) -> Origin {
        Origin {
            binaries: self.binaries.clone(),
            account: self.account.clone(),
            password: self.password.clone(),
            port,
        }
    }

    fn initialise(&self, initdb: &Path) -> anyhow::Result<()> {
        let password_file = self
            .directory
            .write("password", &self.password, &self.account)?;
        // The password is checked in the clear: it crosses loopback only, and hashing takes a debug build long.
        let status = self
            .account
            .command(initdb)
            .args(["--username", SUPERUSER, "--auth", "password", "--pwfile"])
            .arg(&password_file)
            .args(["--encoding", "UTF8", "--no-sync", "--pgdata"])
            .arg(self.data())
            .stdout(self.directory.log()?)
            .stderr(self.directory.log()?)
            .status()
            .with_context(|| format!("running {} failed", initdb.display()))?;
        ensure!(
            status.success(),
            "initdb failed ({status}); its output:\n{}",
            self.log_tail()
        );
        Ok(std::fs::remove_file(password_file)?)
    }

    /// The command that serves this cluster on `port`.
    pub(super) fn server_command(&self, port: u16, options: &Options) -> Vec<OsString> {
        let mut settings = vec![
            format!("port={port}"),
            "listen_addresses=127.0.0.1".to_owned(),
            "unix_socket_directories=".to_owned(),
            format!("max_connections={}", options.max_connections),
            format!("cluster_name={}", self.name()),
            // How soon a copy is back at its origin, where that was away.
            "wal_retrieve_retry_interval=100ms".to_owned(),
        ];
        if !options.fsync {
            settings.extend(
                [
                    "fsync=off",
                    "synchronous_commit=off",
                    "full_page_writes=off",
                ]
                .map(str::to_owned),
            );
        }
        let mut command = vec![
            self.binaries.join("postgres").into(),
            "-D".into(),
            self.data().into(),
        ];
        for setting in settings {
            command.extend(["-c".into(), setting.into()]);
        }
        command
    }

    /// The process id of the server that uses the files now, if there is one.
    pub(super) fn server_pid(&self) -> Option<String> {
        let file = std::fs::read_to_string(self.data().join("postmaster.pid")).ok()?;
        file.lines().next().map(str::to_owned)
    }

    fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    pub(super) fn account(&self) -> &Account {
        &self.account
    }

    pub(super) fn directory(&self) -> &PrivateDirectory {
        &self.directory
    }

    /// Tells this server from every other; `cluster_name` holds it.
    pub(super) fn name(&self) -> &str {
        self.directory.name()
    }

    pub(super) fn password(&self) -> &str {
        &self.password
    }

    /// The end of what `initdb` and the server have written.
    pub(super) fn log_tail(&self) -> String {
        self.directory.log_tail()
    }

    /// Removes the files.
    pub(super) fn remove(self) -> anyhow::Result<()> {
        self.directory
            .remove()
            .with_context(|| format!("removing {} failed", self.directory.path().display()))
    }
}

/// Fails where the account cannot enter `directory` or run the program.
fn can_run(program: &Path, directory: &Path, account: &Account) -> anyhow::Result<()> {
    let output = account
        .command(program)
        .arg("--version")
        .current_dir(directory)
        .output()
        .with_context(|| {
            format!(
                "the account that runs Postgres cannot run {} in {}",
                program.display(),
                directory.display()
            )
        })?;
    ensure!(
        output.status.success(),
        "{} --version failed ({}): {}",
        program.display(),
        output.status,
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(())
}
