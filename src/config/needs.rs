//! Settings that are needed only where another one says so.
//!
//! clap knows such rules, but takes defaults for nothing that was said, and everything from the environment reaches it as
//! a default. So the rules are applied before it looks: a setting that is not needed stops being a required one, and what
//! is missing is still told in one message.

use clap::{Arg, ArgMatches, Command};

use super::{completion::CompletionMode, resolve::Settings};

/// Makes optional, in the command that will run, what its other settings make so.
///
/// `seen`: what the command line and the environment give, whether it suffices or not.
pub(super) fn relax(command: &mut Command, seen: &ArgMatches, settings: &Settings) {
    if let Some((name, seen)) = seen.subcommand() {
        if let Some(command) = command.find_subcommand_mut(name) {
            relax(command, seen, settings);
        }
        return;
    }
    let polls = matches!(
        seen.try_get_one::<CompletionMode>("completion"),
        Ok(Some(CompletionMode::Poll))
    );
    // One that is there and wrong is told all the same.
    let is_wrong = |flag: &str| settings.get(flag).is_some_and(|it| it.problem.is_some());
    if polls && !is_wrong("--public-url") {
        let relaxed = std::mem::take(command).mut_arg("public_url", |arg: Arg| arg.required(false));
        *command = relaxed;
    }
}
