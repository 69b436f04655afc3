//! The private directory of one server: made, marked as in use, and removed.
//!
//! Its name begins with [`PREFIX`] and our process id, and a locked file inside says that its owner lives: the kernel
//! gives the lock back however the owner ends, and unlike process ids locks do not repeat across containers that share
//! a temporary directory.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use nix::errno::Errno;
use nix::sys::signal::kill;
use nix::unistd::Pid;
use uuid::Uuid;

use super::account::Account;

const PREFIX: &str = "gladia-gateway-postgres-";
const LOCK: &str = "lock";
const NEW_LOCK: &str = "lock.new";

/// How much of the log an error shows.
const LOG_TAIL_BYTES: u64 = 4096;

/// A directory that only the server's account can enter. Dropping it removes it.
#[derive(Debug)]
pub(super) struct PrivateDirectory {
    path: PathBuf,
    name: String,
    /// Readable also when the supervisor has removed the directory.
    log: File,
    /// Held, and never read.
    _lock: File,
}

impl PrivateDirectory {
    /// Makes a directory below the first temporary directory for which `usable` succeeds: a private TMPDIR of root's
    /// is closed to the account that the server runs under.
    pub(super) fn create(
        account: &Account,
        usable: impl Fn(&Path) -> anyhow::Result<()>,
    ) -> anyhow::Result<Self> {
        let mut roots = vec![std::env::temp_dir()];
        roots.extend(["/tmp", "/var/tmp"].map(PathBuf::from));
        roots.dedup();
        let mut first_error = None;
        for root in roots {
            remove_abandoned(&root, account);
            let made = Self::create_below(&root, account)
                .with_context(|| {
                    format!(
                        "no directory for Postgres can be made in {}",
                        root.display()
                    )
                })
                .and_then(|made| usable(&made.path).map(|()| made));
            match made {
                Ok(made) => return Ok(made),
                Err(error) => first_error = first_error.or(Some(error)),
            }
        }
        Err(first_error.unwrap_or_else(|| anyhow!("there is no temporary directory")))
    }

    fn create_below(root: &Path, account: &Account) -> io::Result<Self> {
        let name = format!("{PREFIX}{}-{}", std::process::id(), Uuid::new_v4().simple());
        // The server's programs run elsewhere.
        let path = std::path::absolute(root)?.join(&name);
        DirBuilder::new().mode(0o700).create(&path)?;
        // The files are made while the directory is still ours, so that nobody can put links in their place.
        let files = (|| {
            // Renamed when it is locked: whoever finds an unlocked one may take its owner for dead.
            let lock = new_file().write(true).open(path.join(NEW_LOCK))?;
            lock.lock()?;
            fs::rename(path.join(NEW_LOCK), path.join(LOCK))?;
            let log = new_file().read(true).append(true).open(path.join("log"))?;
            account.take_over(&File::open(&path)?)?;
            Ok((lock, log))
        })();
        match files {
            Ok((lock, log)) => Ok(Self {
                path,
                name,
                log,
                _lock: lock,
            }),
            Err(error) => {
                let _ = fs::remove_dir_all(&path);
                Err(error)
            }
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The last part of the path, which no other server ever has.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Where the output of the server and its tools goes.
    pub(super) fn log(&self) -> io::Result<File> {
        self.log.try_clone()
    }

    /// Copies the log as it is now.
    pub(super) fn copy_log(&self, to: &Path) -> io::Result<()> {
        // Through the open file, because the supervisor may have removed the directory.
        let length = self.log.metadata()?.len();
        let mut log = vec![0; usize::try_from(length).unwrap_or_default()];
        self.log.read_exact_at(&mut log, 0)?;
        fs::write(to, log)
    }

    /// The end of the log.
    pub(super) fn log_tail(&self) -> String {
        let length = self.log.metadata().map_or(0, |metadata| metadata.len());
        let mut tail = vec![0; usize::try_from(length.min(LOG_TAIL_BYTES)).unwrap_or_default()];
        match self
            .log
            .read_exact_at(&mut tail, length.saturating_sub(LOG_TAIL_BYTES))
        {
            Ok(()) => String::from_utf8_lossy(&tail).trim().to_owned(),
            Err(error) => format!("(unreadable: {error})"),
        }
    }

    /// Writes a file that the account can read and nobody else.
    pub(super) fn write(
        &self,
        name: &str,
        content: &str,
        account: &Account,
    ) -> io::Result<PathBuf> {
        let path = self.path.join(name);
        let mut file = new_file().write(true).open(&path)?;
        file.write_all(content.as_bytes())?;
        account.take_over(&file)?;
        Ok(path)
    }

    /// Removes the directory. Where it is gone already, that is as well.
    pub(super) fn remove(&self) -> io::Result<()> {
        match fs::remove_dir_all(&self.path) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

impl Drop for PrivateDirectory {
    fn drop(&mut self) {
        // What stays is removed at the next start.
        let _ = self.remove();
    }
}

/// Options for a file that must not exist yet and that only its owner can read.
fn new_file() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.create_new(true).mode(0o600);
    options
}

/// Removes what owners that were killed left behind. A server that still runs in such a directory, which can be where
/// its supervisor was killed too, ends by itself when it misses its files.
fn remove_abandoned(root: &Path, account: &Account) {
    for entry in fs::read_dir(root).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let Some(rest) = name.to_str().and_then(|name| name.strip_prefix(PREFIX)) else {
            continue;
        };
        // Does not follow links: what a link points to is not ours.
        let is_ours = entry
            .metadata()
            .is_ok_and(|metadata| metadata.is_dir() && metadata.uid() == account.uid());
        if is_ours && is_abandoned(&entry.path(), rest) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

fn is_abandoned(directory: &Path, rest_of_name: &str) -> bool {
    match File::open(directory.join(LOCK)) {
        Ok(lock) => lock.try_lock().is_ok(),
        // Made a moment ago, or removed in part.
        Err(error) if error.kind() == ErrorKind::NotFound => rest_of_name
            .split('-')
            .next()
            .and_then(|owner| owner.parse().ok())
            .is_some_and(|owner| kill(Pid::from_raw(owner), None) == Err(Errno::ESRCH)),
        Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_found_from_anywhere_whatever_its_root() -> anyhow::Result<()> {
        let made = PrivateDirectory::create_below(Path::new("."), &Account::for_server()?)?;
        assert!(made.path().is_absolute(), "{}", made.path().display());
        Ok(())
    }

    #[test]
    fn directories_of_dead_owners_are_removed_and_those_of_living_ones_are_not()
    -> anyhow::Result<()> {
        let root =
            std::env::temp_dir().join(format!("gladia-gateway-directories-{}", Uuid::new_v4()));
        DirBuilder::new().mode(0o755).create(&root)?;
        let account = Account::for_server()?;
        let used = PrivateDirectory::create_below(&root, &account)?;

        let made = |name: &str| -> io::Result<PathBuf> {
            let path = root.join(format!("{PREFIX}{name}"));
            fs::create_dir(&path)?;
            account.take_over(&File::open(&path)?)?;
            Ok(path)
        };
        let just_made = made(&format!("{}-made", std::process::id()))?;
        let never_locked = made(&format!("{}-killed", i32::MAX))?;
        let abandoned = made(&format!("{}-abandoned", std::process::id()))?;
        fs::write(abandoned.join(LOCK), "")?;
        let foreign = root.join("gladia-gateway-other");
        fs::create_dir(&foreign)?;

        remove_abandoned(&root, &account);

        assert!(used.path.exists() && just_made.exists() && foreign.exists());
        assert!(!abandoned.exists() && !never_locked.exists());
        drop(used);
        fs::remove_dir_all(root)?;
        Ok(())
    }
}
