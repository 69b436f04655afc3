//! The commands of operators, as they type them.

use std::process::Stdio;

use tokio::process::Command;

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
    let output = Command::new(env!("CARGO_BIN_EXE_gladia-gateway"))
        .args(arguments)
        .env_clear()
        .env("DATABASE_URL", app.database_url())
        .envs(settings.iter().copied())
        .stdin(Stdio::null())
        .output()
        .await
        .unwrap();
    (
        output.status.success(),
        String::from_utf8(output.stdout).unwrap(),
        String::from_utf8(output.stderr).unwrap(),
    )
}
