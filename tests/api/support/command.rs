//! The commands of operators, as they type them.

use std::process::Stdio;

use tokio::process::{Child, Command};

use super::TestApp;

/// Whether a command beside the gateway succeeded, and what it printed.
pub async fn run(app: &TestApp, arguments: &[&str]) -> (bool, String) {
    let (succeeded, stdout, _) = run_with(app, arguments, &[]).await;
    (succeeded, stdout)
}

/// The same with further settings, and with what it printed on stderr.
pub async fn run_with(
    app: &TestApp,
    arguments: &[&str],
    settings: &[(&str, &str)],
) -> (bool, String, String) {
    let output = command(app, arguments, settings).output().await.unwrap();
    (
        output.status.success(),
        String::from_utf8(output.stdout).unwrap(),
        String::from_utf8(output.stderr).unwrap(),
    )
}

/// The same with these as its stdout and stderr, and what it printed where that is a pipe to the test.
pub async fn run_into(
    app: &TestApp,
    arguments: &[&str],
    stdout: Stdio,
    stderr: Stdio,
) -> (Option<i32>, String, String) {
    let mut command = command(app, arguments, &[]);
    // Its own ends of pipes have to go with it.
    let child = command.stdout(stdout).stderr(stderr).spawn().unwrap();
    drop(command);
    let output = child.wait_with_output().await.unwrap();
    (
        output.status.code(),
        String::from_utf8(output.stdout).unwrap(),
        String::from_utf8(output.stderr).unwrap(),
    )
}

/// The same as a process that can die; what it prints is nobody's.
pub fn spawn_with(app: &TestApp, arguments: &[&str], settings: &[(&str, &str)]) -> Child {
    command(app, arguments, settings)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap()
}

fn command(app: &TestApp, arguments: &[&str], settings: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gladia-gateway"));
    command
        .args(arguments)
        .env_clear()
        // Where no developer has a `.env`.
        .current_dir("/")
        .env("DATABASE_URL", app.database_url())
        .envs(settings.iter().copied())
        .stdin(Stdio::null());
    command
}
