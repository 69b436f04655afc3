//! On what was measured.

use std::{fs, process::Command, thread};

use anyhow::Context;
use gladia_gateway::dev_tools::postgres::find_binaries;

/// A line for the head of the table.
pub fn describe() -> anyhow::Result<String> {
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .map_or("unknown", |rest| rest.trim_start_matches([' ', '\t', ':']));
    let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kilobytes: u64 = memory
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))
        .and_then(|rest| rest.split_whitespace().next()?.parse().ok())
        .unwrap_or_default();
    let postgres = find_binaries().context("no Postgres here")?;
    let postgres = Command::new(postgres.join("postgres"))
        .arg("--version")
        .output()?;
    let postgres = String::from_utf8(postgres.stdout)?;
    Ok(format!(
        "{} cores ({model}), {} GiB; {}, fsync and synchronous_commit on, else as it comes; gateway and floors of one build",
        thread::available_parallelism()?,
        kilobytes / 1024 / 1024,
        postgres.trim(),
    ))
}
