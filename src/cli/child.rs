//! A command that runs beside what was started for it, and whose exit code is ours.

use std::{
    ffi::OsStr,
    os::unix::process::ExitStatusExt,
    process::{ExitCode, ExitStatus},
};

use anyhow::Context;

/// Runs a command to its end, with more variables in its environment.
///
/// # Errors
/// Where it cannot be run.
pub async fn run<V: AsRef<OsStr>>(
    command: &[String],
    variables: impl IntoIterator<Item = (&'static str, V)>,
) -> anyhow::Result<ExitCode> {
    let (program, arguments) = command
        .split_first()
        .context("there is no command to run")?;
    let mut child = tokio::process::Command::new(program)
        .args(arguments)
        .envs(variables)
        .spawn()
        .with_context(|| format!("running {program} failed"))?;
    loop {
        tokio::select! {
            status = child.wait() => return Ok(exit_code(status?)),
            // Ctrl-C reaches the command as well, and how that ends decides.
            _ = tokio::signal::ctrl_c() => {}
        }
    }
}

/// The command's own exit code, or as shells have it, 128 and the number of the signal that ended it.
fn exit_code(status: ExitStatus) -> ExitCode {
    let code = status
        .code()
        .or_else(|| status.signal().map(|signal| 128 + signal))
        .and_then(|code| u8::try_from(code).ok());
    code.map_or(ExitCode::FAILURE, ExitCode::from)
}
