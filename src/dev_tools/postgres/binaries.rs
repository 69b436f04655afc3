//! Finds the directory that holds `initdb` and `postgres`.
//!
//! Package managers put them in many places, mostly outside PATH, often several versions side by side.

use std::path::{Path, PathBuf};

use anyhow::bail;

/// Where packages keep one directory a version: what holds them, how their names begin, and what lies inside.
const VERSIONED: [(&str, &str, &str); 8] = [
    ("/usr/lib/postgresql", "", "bin"),
    ("/usr", "pgsql-", "bin"),
    ("/usr/lib", "postgresql", "bin"),
    ("/usr/libexec", "postgresql", ""),
    ("/opt/homebrew/opt", "postgresql@", "bin"),
    ("/usr/local/opt", "postgresql@", "bin"),
    ("/home/linuxbrew/.linuxbrew/opt", "postgresql@", "bin"),
    ("/Applications/Postgres.app/Contents/Versions", "", "bin"),
];

/// The directory of the Postgres server programs: that in `PG_BIN` if set, else the first on PATH, else the newest in
/// the places where packages put them.
#[must_use]
pub fn find_binaries() -> Option<PathBuf> {
    if let Some(chosen) = std::env::var_os("PG_BIN") {
        return server_programs(Path::new(&chosen));
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(VERSIONED.iter().flat_map(newest_first))
        .find_map(|directory| server_programs(&directory))
}

/// As [`find_binaries`]; the error says what to install.
pub(super) fn require_binaries() -> anyhow::Result<PathBuf> {
    if let Some(found) = find_binaries() {
        return Ok(found);
    }
    if let Some(chosen) = std::env::var_os("PG_BIN") {
        bail!(
            "PG_BIN={} holds no initdb and postgres: name the directory that does, for example \
             /usr/lib/postgresql/15/bin, or unset PG_BIN",
            chosen.display()
        );
    }
    bail!(
        "no Postgres server programs (initdb, postgres) found: install the package postgresql (Debian, Ubuntu, Arch, \
         Alpine), postgresql-server (Fedora, RHEL) or postgresql@17 (Homebrew), or set PG_BIN to their directory"
    )
}

/// Where the programs reached through `directory` really are. `initdb` looks for `postgres` beside itself, so links
/// are followed.
fn server_programs(directory: &Path) -> Option<PathBuf> {
    let linked = directory.join("initdb").canonicalize().ok();
    linked
        .as_deref()
        .and_then(Path::parent)
        .into_iter()
        .chain([directory])
        .find(|candidate| {
            ["initdb", "postgres"]
                .iter()
                .all(|name| candidate.join(name).is_file())
        })
        .map(Path::to_path_buf)
}

fn newest_first((root, prefix, inside): &(&str, &str, &str)) -> Vec<PathBuf> {
    let mut versions: Vec<(u32, PathBuf)> = std::fs::read_dir(root)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            // 9.6 is older than 10: only the part before the point counts.
            let version = name.strip_prefix(prefix)?.split('.').next()?.parse().ok()?;
            Some((version, entry.path().join(inside)))
        })
        .collect();
    versions.sort_by_key(|(version, _)| std::cmp::Reverse(*version));
    versions.into_iter().map(|(_, path)| path).collect()
}
