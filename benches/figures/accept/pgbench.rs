//! The floor's row, inserted by pgbench.

use std::{path::PathBuf, process::Stdio};

use anyhow::Context;
use gladia_gateway::dev_tools::postgres::find_binaries;
use tokio::process::Command;

use crate::kit::{Scale, table::Row, wrk::Script};

/// For each number of clients, as long as a block each.
pub async fn rows(
    database_url: &str,
    clients: &[usize],
    options: &str,
    scale: Scale,
) -> anyhow::Result<Vec<Row>> {
    // Beside the server, or from a package of its own.
    let beside = find_binaries().map(|directory| directory.join("pgbench"));
    let program = beside
        .filter(|path| path.exists())
        .unwrap_or_else(|| PathBuf::from("pgbench"));
    let options = options.replace('\'', "''");
    // A colon would begin a variable of pgbench's.
    let options = options.replace(':', "' || chr(58) || '");
    let insert = format!(
        "INSERT INTO jobs (id, tenant_id, api_key_id, status, request, audio_url)
         SELECT id, '00000000-0000-0000-0000-000000000000', '00000000-0000-0000-0000-000000000000', 'queued',
                ('{{{options}}}')::json, 'https' || chr(58) || '//audio.example.com/calls/' || id || '.mp3'
         FROM gen_random_uuid() AS id;"
    );
    let script = Script::write("pgbench", &insert.replace('\n', " "))?;
    let mut rows = Vec::new();
    for count in clients {
        let output = Command::new(&program)
            .args(["--no-vacuum", "--protocol", "prepared", "--jobs", "1"])
            .args([
                "--client",
                &count.to_string(),
                "--time",
                scale.of("3", "1"),
                "--file",
            ])
            .arg(script.path())
            .arg(database_url)
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output()
            .await;
        let Ok(output) = output else {
            eprintln!("accept: pgbench is not installed; its rows are left out");
            return Ok(rows);
        };
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let rate = text.lines().find_map(|line| line.strip_prefix("tps = "));
        let rate = rate.and_then(|rest| rest.split_whitespace().next()?.parse().ok());
        let rate =
            rate.with_context(|| format!("{text}{}", String::from_utf8_lossy(&output.stderr)))?;
        rows.push(Row::single(
            format!("accept, {count} connections, pgbench"),
            "/s",
            rate,
        ));
    }
    Ok(rows)
}
