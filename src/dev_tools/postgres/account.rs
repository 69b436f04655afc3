//! Who runs the server: we ourselves, or where we are root, which Postgres refuses, an account without rights.

use std::ffi::OsStr;
use std::fs::File;
use std::os::unix::fs::fchown;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use anyhow::{Context, bail};
use nix::unistd::{User, geteuid};

/// Accounts that root may run the server under, best first.
const SERVER_ACCOUNTS: [&str; 2] = ["postgres", "nobody"];

/// What programs need from our environment. Settings and secrets of the gateway stay out of the server's, and so do
/// the PG* variables, which would change what it does.
const KEPT_VARIABLES: [&str; 3] = ["PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH"];

/// The account that the server and its tools run under.
#[derive(Debug, Clone)]
pub(super) struct Account {
    uid: u32,
    /// Set where root changes to the account.
    change_to_gid: Option<u32>,
}

impl Account {
    pub(super) fn for_server() -> anyhow::Result<Self> {
        let ours = geteuid();
        if !ours.is_root() {
            return Ok(Self {
                uid: ours.as_raw(),
                change_to_gid: None,
            });
        }
        for name in SERVER_ACCOUNTS {
            let user = User::from_name(name)
                .with_context(|| format!("looking up the user {name} failed"))?;
            if let Some(user) = user {
                return Ok(Self {
                    uid: user.uid.as_raw(),
                    change_to_gid: Some(user.gid.as_raw()),
                });
            }
        }
        bail!(
            "Postgres does not run as root, and there is no user postgres or nobody to run it as: add one of them"
        )
    }

    /// The owner of what this account creates.
    pub(super) fn uid(&self) -> u32 {
        self.uid
    }

    /// Makes the account the owner of a file or directory.
    pub(super) fn take_over(&self, file: &File) -> std::io::Result<()> {
        match self.change_to_gid {
            Some(gid) => fchown(file, Some(self.uid), Some(gid)),
            None => Ok(()),
        }
    }

    /// `program` run under this account, without input, in a language that we can read.
    pub(super) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command.env_clear().env("LC_ALL", "C").stdin(Stdio::null());
        for variable in KEPT_VARIABLES {
            if let Some(value) = std::env::var_os(variable) {
                command.env(variable, value);
            }
        }
        if let Some(gid) = self.change_to_gid {
            // Supplementary groups are dropped as well.
            command.uid(self.uid).gid(gid);
        }
        command
    }
}
