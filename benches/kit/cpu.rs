//! What a process has used, as the kernel counts it.

use std::{fs, time::Duration};

use anyhow::Context;
use sqlx::PgPool;

/// The kernel counts in hundredths of a second, on every Linux that there is.
const TICK: Duration = Duration::from_millis(10);

/// The time that a process has spent on processors.
pub fn of_process(pid: u32) -> anyhow::Result<Duration> {
    let fields = stat(pid)?;
    Ok(TICK * (field(&fields, USER)? + field(&fields, SYSTEM)?))
}

/// The same of a Postgres server: of all its processes, also of those that have ended.
pub async fn of_server(pool: &PgPool) -> anyhow::Result<Duration> {
    let backend: i32 = sqlx::query_scalar("SELECT pg_backend_pid()")
        .fetch_one(pool)
        .await?;
    let server = field(&stat(u32::try_from(backend)?)?, PARENT)?;
    let fields = stat(server)?;
    let mut ticks = 0;
    for nth in [USER, SYSTEM, CHILDREN_USER, CHILDREN_SYSTEM] {
        ticks += field(&fields, nth)?;
    }
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        // It may have ended meanwhile.
        if let Ok(fields) = stat(pid)
            && field(&fields, PARENT)? == server
        {
            ticks += field(&fields, USER)? + field(&fields, SYSTEM)?;
        }
    }
    Ok(TICK * ticks)
}

/// Resident memory, in bytes: now and at most so far.
pub fn resident_bytes(pid: u32) -> anyhow::Result<(u64, u64)> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let bytes = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let kilobytes = line.and_then(|rest| rest.split_whitespace().next());
        let kilobytes: u64 = kilobytes.context("no such line")?.parse()?;
        anyhow::Ok(kilobytes * 1024)
    };
    Ok((bytes("VmRSS:")?, bytes("VmHWM:")?))
}

/// Has the kernel forget how much memory a process had at most.
pub fn forget_peak(pid: u32) -> anyhow::Result<()> {
    Ok(fs::write(format!("/proc/{pid}/clear_refs"), "5")?)
}

// Counted from the state, which is the first field after the name.
const PARENT: usize = 1;
const USER: usize = 11;
const SYSTEM: usize = 12;
const CHILDREN_USER: usize = 13;
const CHILDREN_SYSTEM: usize = 14;

fn stat(pid: u32) -> anyhow::Result<Vec<String>> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name may have spaces and parentheses.
    let (_, rest) = stat.rsplit_once(") ").context("no name")?;
    Ok(rest.split_whitespace().map(str::to_owned).collect())
}

fn field(fields: &[String], nth: usize) -> anyhow::Result<u32> {
    Ok(fields.get(nth).context("no such field")?.parse()?)
}
