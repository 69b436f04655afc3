//! From a command line and an environment to parsed settings.
//!
//! Each argument that names an environment variable gets the variable's value as its default, once that value has passed
//! the argument's own parser. clap then only sees flags, defaults and what is missing. A value that did not pass makes its
//! argument a missing one, so that everything wrong is told at once, and a flag still wins over a wrong variable.

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
};

use clap::{Arg, ArgMatches, Command, builder::Resettable, parser::ValueSource};

use super::{
    contradictions::Known,
    environment::Environment,
    needs,
    problems::{self, Setting, SettingsError},
};

/// Why there is nothing to run.
#[derive(Debug, thiserror::Error)]
pub enum Stop {
    /// Settings are missing or wrong.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// Anything else about the command line, a request for help among it.
    #[error(transparent)]
    CommandLine(#[from] clap::Error),
}

/// The settings by flag: `--name`.
pub(super) type Settings = BTreeMap<String, Setting>;

/// Parses a command line, with settings from the environment.
///
/// # Errors
/// Where it cannot run, or asks for help.
pub fn parse<T>(
    command: Command,
    args: impl IntoIterator<Item = T>,
    environment: &Environment,
) -> Result<ArgMatches, Stop>
where
    T: Into<OsString> + Clone,
{
    let args: Vec<OsString> = args.into_iter().map(Into::into).collect();
    let mut settings = Settings::new();
    let mut command = resolve(command, environment, &args, Some(&mut settings));
    let seen = command
        .clone()
        .ignore_errors(true)
        .try_get_matches_from(&args);
    let (mut globals, mut contradictions) = (Vec::new(), Vec::new());
    if let Ok(seen) = seen {
        needs::relax(&mut command, &seen, &settings);
        globals = wrong_globals(&settings, &seen);
        contradictions = Known::of_seen(&seen, &settings).contradictions();
    }
    // Contradictions of settings that are all right by themselves are left to whoever has them.
    match command.try_get_matches_from(args) {
        Ok(matches) => match SettingsError::of(globals.into_iter()) {
            None => Ok(matches),
            Some(error) => Err(error.and(contradictions).into()),
        },
        Err(error) => Err(match problems::explain(error, &settings) {
            Stop::Settings(error) => error.and(globals).and(contradictions).into(),
            stop @ Stop::CommandLine(_) => stop,
        }),
    }
}

/// Resolves a command and those below it. Two commands may have a flag in common that stands for different settings, so
/// only those on the way to the command that `words` call tell their settings.
fn resolve(
    command: Command,
    environment: &Environment,
    words: &[OsString],
    mut settings: Option<&mut Settings>,
) -> Command {
    let mut command =
        command.mut_args(|arg| resolve_arg(arg, environment, settings.as_deref_mut()));
    let called = words.iter().enumerate().find_map(|(index, word)| {
        let found = command.find_subcommand(word)?.get_name().to_owned();
        Some((found, &words[index + 1..]))
    });
    for subcommand in command.get_subcommands_mut() {
        let (words, settings) = match &called {
            Some((name, rest)) if name == subcommand.get_name() => (*rest, settings.as_deref_mut()),
            _ => (&[][..], None),
        };
        *subcommand = resolve(std::mem::take(subcommand), environment, words, settings);
    }
    command
}

fn resolve_arg(arg: Arg, environment: &Environment, settings: Option<&mut Settings>) -> Arg {
    let (Some(name), Some(long)) = (arg.get_env(), arg.get_long()) else {
        return arg;
    };
    let (name, flag) = (name.to_string_lossy().into_owned(), format!("--{long}"));
    let mut setting = Setting::of(&arg, &name);
    let found = environment.look_up(&name).and_then(|value| match value {
        Some((found_as, value)) => match check(&arg, &value) {
            Ok(()) => Ok(Some(value)),
            Err(reason) => {
                let problem = setting.with_value(&reason, &value.to_string_lossy());
                setting.call(found_as);
                Err(problem)
            }
        },
        None => Ok(None),
    });
    let arg = describe(arg, &name).env(Resettable::Reset);
    let arg = match found {
        Ok(None) => arg,
        Ok(Some(value)) => arg.default_value(value).required(false),
        Err(problem) => {
            setting.problem = Some(problem);
            if arg.is_global_set() {
                // clap has no required global arguments. `wrong_globals` looks after these.
                setting.global = Some(arg.get_id().clone());
                arg
            } else {
                arg.default_value(Resettable::Reset).required(true)
            }
        }
    };
    if let Some(settings) = settings {
        settings.insert(flag, setting);
    }
    arg
}

/// Runs a value through its argument's own parser.
fn check(arg: &Arg, value: &OsStr) -> Result<(), String> {
    let mut word = OsString::from(format!("--{}=", arg.get_long().unwrap_or_default()));
    word.push(value);
    Command::new("check")
        .no_binary_name(true)
        .arg(
            arg.clone()
                .env(Resettable::Reset)
                .global(false)
                .required(false),
        )
        .try_get_matches_from([word])
        .map(drop)
        .map_err(|error| problems::reason(&error))
}

/// Writes the variable and the default into the help, which clap no longer knows once the environment is resolved.
fn describe(arg: Arg, name: &str) -> Arg {
    let defaults = arg.get_default_values().join(OsStr::new(","));
    let note = if defaults.is_empty() {
        format!("[env: {name}]")
    } else {
        format!("[env: {name}] [default: {}]", defaults.to_string_lossy())
    };
    let short = arg.get_help().map(|text| format!("{text} {note}"));
    let long = arg.get_long_help().map(|text| format!("{text}\n{note}"));
    arg.help(
        short
            .map(Into::into)
            .map_or(Resettable::Reset, Resettable::Value),
    )
    .long_help(
        long.map(Into::into)
            .map_or(Resettable::Reset, Resettable::Value),
    )
    .hide_default_value(true)
}

/// Wrong variables of global arguments, unless a flag stands in.
fn wrong_globals(settings: &Settings, matches: &ArgMatches) -> Vec<String> {
    let wrong = settings.iter().filter(|(_, setting)| {
        setting
            .global
            .as_ref()
            .is_some_and(|id| matches.value_source(id.as_str()) != Some(ValueSource::CommandLine))
    });
    wrong
        .map(|(flag, setting)| setting.describe(flag, None))
        .collect()
}
