//! A short run of `chaos`, which shows that no job is lost, none is billed twice and everybody is told; `./dev chaos` makes long ones.

#![expect(
    clippy::unwrap_used,
    reason = "in a test, what cannot be unwrapped is a failure"
)]

use std::{process::Stdio, time::Duration};

use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
    time::timeout,
};

/// A run that takes longer has failed.
const BOUND: Duration = Duration::from_mins(5);

/// Starts a run. Its processes end when it does, however that is.
fn chaos(arguments: &[&str]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_gladia-gateway"))
        .arg("chaos")
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap()
}

#[tokio::test]
async fn no_job_is_lost_none_is_doubled_and_everybody_is_told_whatever_goes_wrong() {
    let verdict = run(&["--seed", "3", "--jobs", "150", "--faults", "8"]).await;
    assert_eq!(
        verdict,
        "chaos: seed=3 jobs=150 faults=8 lost=0 doubled=0 over_cap=0 untold=0 retold=0"
    );
}

#[tokio::test]
async fn so_it_is_where_postgres_is_lost_and_its_standby_takes_over_time_and_again() {
    let mut arguments = vec!["--seed", "5", "--jobs", "150", "--faults", "5"];
    arguments.extend(["--standby", "--only", "failover,kill"]);
    assert_eq!(
        run(&arguments).await,
        "chaos: seed=5 jobs=150 faults=5 lost=0 doubled=0 over_cap=0 untold=0 retold=0"
    );
}

/// The verdict of a run that goes well, and in which Gladia has nothing twice, whatever would excuse it.
async fn run(arguments: &[&str]) -> String {
    let run = chaos(arguments);
    let output = timeout(BOUND, run.wait_with_output())
        .await
        .expect("the run ends in time")
        .unwrap();
    let (stdout, stderr) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(output.status.success(), "{stderr}\n{stdout}");
    assert!(!stderr.contains("surplus: "), "{stderr}");
    let verdict = stdout.lines().last();
    verdict.expect("there is a verdict").to_owned()
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_run_that_is_killed_leaves_no_process_behind() {
    let mut run = chaos(&["--jobs", "1", "--faults", "100"]);
    let mut lines = BufReader::new(run.stderr.take().unwrap()).lines();
    let logs = loop {
        let line = timeout(BOUND, lines.next_line()).await.unwrap().unwrap();
        let line = line.expect("the run goes on");
        if let Some((_, logs)) = line.split_once("logs in ") {
            break logs.to_owned();
        }
    };
    while let Some(line) = timeout(BOUND, lines.next_line()).await.unwrap().unwrap() {
        if line.contains("are started") {
            break;
        }
    }
    let started = descendants(run.id().unwrap());
    // Postgres, the simulator and three replicas, each with its script.
    assert!(started.len() >= 10, "{started:?}");

    run.kill().await.unwrap();
    let gone = async {
        while started.iter().any(runs) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(Duration::from_secs(30), gone)
        .await
        .expect("every process ends");
    std::fs::remove_dir_all(logs).unwrap();
}

/// The process id and the start of each process below this one: a number may be another process's later.
#[cfg(target_os = "linux")]
fn descendants(of: u32) -> Vec<(u32, String)> {
    let all: Vec<(u32, u32, String)> = std::fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter_map(|entry| {
            let pid = entry.file_name().to_str()?.parse().ok()?;
            let (parent, started) = parent_and_start(pid)?;
            Some((pid, parent, started))
        })
        .collect();
    let mut found: Vec<(u32, String)> = Vec::new();
    let mut parents = vec![of];
    while let Some(parent) = parents.pop() {
        for (pid, _, started) in all.iter().filter(|(_, above, _)| *above == parent) {
            found.push((*pid, started.clone()));
            parents.push(*pid);
        }
    }
    found
}

#[cfg(target_os = "linux")]
fn runs((pid, started): &(u32, String)) -> bool {
    parent_and_start(*pid).is_some_and(|(_, now)| now == *started)
}

/// Fields 4 and 22 of `/proc/PID/stat`; none for a process that is gone, or dead and not yet collected.
#[cfg(target_os = "linux")]
fn parent_and_start(pid: u32) -> Option<(u32, String)> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = stat.rsplit_once(") ")?.1.split(' ');
    let state = fields.next()?;
    let parent = fields.next()?.parse().ok()?;
    (state != "Z").then_some((parent, fields.nth(17)?.to_owned()))
}
