//! One message for everything that is missing or wrong: the setting, what was wrong, an example. Never a secret's value.

use std::{any::TypeId, error::Error, fmt};

use clap::{
    Arg, Id,
    error::{ContextKind, ContextValue, ErrorKind},
};

use url::Url;

use super::resolve::{Settings, Stop};

/// Longer values are cut short in messages.
const SHOWN_CHARACTERS: usize = 100;

/// Settings that are missing or wrong, as people read it.
#[derive(Debug)]
pub struct SettingsError(Vec<String>);

impl SettingsError {
    pub(super) fn of(problems: impl Iterator<Item = String>) -> Option<Self> {
        let problems: Vec<String> = problems.collect();
        (!problems.is_empty()).then_some(Self(problems))
    }

    /// The same, and what else is to be told at once.
    pub(super) fn and(mut self, others: Vec<String>) -> Self {
        self.0.extend(others);
        self
    }
}

impl Error for SettingsError {}

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.len() {
            1 => f.write_str("a setting is missing or wrong")?,
            count => write!(f, "{count} settings are missing or wrong")?,
        }
        for problem in &self.0 {
            write!(f, "\n\n  {problem}")?;
        }
        Ok(())
    }
}

/// What messages need to know of a setting.
pub(super) struct Setting {
    name: String,
    example: Option<String>,
    secret: bool,
    /// Whether it is an address, which may hold a secret where it is wrong.
    is_address: bool,
    /// What is wrong with its variable.
    pub(super) problem: Option<String>,
    /// Its argument, if that is a global one whose variable is wrong.
    pub(super) global: Option<Id>,
}

impl Setting {
    pub(super) fn of(arg: &Arg, name: &str) -> Self {
        let help = arg.get_long_help().map(ToString::to_string);
        let example = help.as_deref().and_then(|text| {
            let line = text.lines().rfind(|line| line.starts_with("Example: "))?;
            Some(line.trim_end().to_owned())
        });
        Self {
            name: name.to_owned(),
            example,
            secret: arg.is_hide_env_values_set(),
            is_address: arg.get_value_parser().type_id() == TypeId::of::<Url>(),
            problem: None,
            global: None,
        }
    }

    /// Names it as whoever has set it knows it.
    pub(super) fn call(&mut self, name: &str) {
        name.clone_into(&mut self.name);
    }

    /// A reason with the value that it is about, unless the value is secret. Of an address, what cannot be.
    pub(super) fn with_value(&self, reason: &str, value: &str) -> String {
        if self.secret || value.is_empty() {
            return reason.to_owned();
        }
        if self.is_address {
            return match place(value) {
                Some(place) => format!("{reason}, but is at `{place}`"),
                None => reason.to_owned(),
            };
        }
        let shown: String = value.chars().take(SHOWN_CHARACTERS).collect();
        let rest = if shown.len() < value.len() { "…" } else { "" };
        format!("{reason}, but is `{}{rest}`", shown.escape_debug())
    }

    /// The problem of this setting: the given one, else its variable's, else that it is missing.
    pub(super) fn describe(&self, flag: &str, problem: Option<String>) -> String {
        let problem = problem.or_else(|| self.problem.clone());
        let problem = problem.as_deref().unwrap_or("is missing");
        let example = self.example.as_deref();
        let example = example.map_or_else(String::new, |example| format!("\n    {example}"));
        format!("{} (or {flag}) {problem}{example}", self.name)
    }
}

/// Scheme, host and port of an address. `None` where anything of it may be a password: whatever stands before an `@` is user info, or
/// was meant to be.
fn place(address: &str) -> Option<String> {
    let url: Url = address.parse().ok().filter(|_| !address.contains('@'))?;
    let host = url.host_str()?;
    let port = url
        .port()
        .map_or_else(String::new, |port| format!(":{port}"));
    Some(format!("{}://{host}{port}", url.scheme()))
}

/// Turns clap's error into one that names settings, where it is about settings.
pub(super) fn explain(error: clap::Error, settings: &Settings) -> Stop {
    let problems: Vec<String> = match error.kind() {
        ErrorKind::MissingRequiredArgument => {
            let missing = match error.get(ContextKind::InvalidArg) {
                Some(ContextValue::Strings(args)) => args.as_slice(),
                _ => &[],
            };
            if missing
                .iter()
                .any(|arg| settings.contains_key(flag_of(arg)))
            {
                missing
                    .iter()
                    .map(|arg| describe_missing(arg, settings))
                    .collect()
            } else {
                Vec::new()
            }
        }
        ErrorKind::ValueValidation | ErrorKind::InvalidValue | ErrorKind::InvalidUtf8 => {
            describe_wrong_flag(&error, settings).into_iter().collect()
        }
        _ => Vec::new(),
    };
    match SettingsError::of(problems.into_iter()) {
        Some(problems) => problems.into(),
        None => error.into(),
    }
}

fn describe_missing(arg: &str, settings: &Settings) -> String {
    let flag = flag_of(arg);
    match settings.get(flag) {
        Some(setting) => setting.describe(flag, None),
        None => format!("{arg} is missing"),
    }
}

fn describe_wrong_flag(error: &clap::Error, settings: &Settings) -> Option<String> {
    let flag = flag_of(text_of(error, ContextKind::InvalidArg)?);
    let setting = settings.get(flag)?;
    let value = text_of(error, ContextKind::InvalidValue).unwrap_or_default();
    Some(setting.describe(flag, Some(setting.with_value(&reason(error), value))))
}

/// What a parser has against a value. Never repeats the value.
pub(super) fn reason(error: &clap::Error) -> String {
    if let (ErrorKind::ValueValidation, Some(source)) = (error.kind(), error.source()) {
        let reason = source.to_string();
        return if reason.starts_with("must ") {
            reason
        } else {
            format!("cannot be used: {reason}")
        };
    }
    match error.get(ContextKind::ValidValue) {
        Some(ContextValue::Strings(valid)) if !valid.is_empty() => {
            format!("must be one of {}", valid.join(", "))
        }
        _ if error.kind() == ErrorKind::InvalidUtf8 => "must be UTF-8 text".to_owned(),
        _ => "must have a value".to_owned(),
    }
}

fn text_of(error: &clap::Error, kind: ContextKind) -> Option<&str> {
    match error.get(kind)? {
        ContextValue::String(text) => Some(text),
        _ => None,
    }
}

/// `--name` of `--name <VALUE>`.
fn flag_of(arg: &str) -> &str {
    arg.split([' ', '=']).next().unwrap_or(arg)
}
