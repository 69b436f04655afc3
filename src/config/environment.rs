//! Where settings are looked up, besides the command line: the process's environment, then a `.env` file.

use std::{
    cell::Cell,
    collections::HashMap,
    ffi::{OsStr, OsString},
    fmt, fs,
    io::{self, Read},
    path::Path,
};

/// Settings that the wider world knows by another name, too.
const OTHER_NAMES: [(&str, &str); 1] = [("LOG_LEVEL", "RUST_LOG")];

type Source = Box<dyn Fn(&str) -> Option<OsString>>;

/// Sources of settings, the strongest first. A value, so that tests bring their own.
pub struct Environment {
    sources: Vec<Source>,
}

/// Why `.env` cannot be used. Never quotes it: it holds secrets.
#[derive(Debug, thiserror::Error)]
pub enum DotenvError {
    /// It is there and cannot be read.
    #[error(".env cannot be read: {0}")]
    Unreadable(#[source] io::Error),
    /// A line of it makes no sense.
    #[error(
        ".env is broken in line {0}: each line is NAME=value, and a value with spaces, quotes, `#` or `$` stands in \
         'single quotes'"
    )]
    Line(usize),
}

impl Environment {
    /// The process's environment, then `.env` in the working directory if there is one.
    ///
    /// # Errors
    /// Where `.env` is there and broken.
    pub fn of_process() -> Result<Self, DotenvError> {
        let dotenv = match fs::read_to_string(".env") {
            Ok(text) => parse_dotenv(&text)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => HashMap::new(),
            Err(error) => return Err(DotenvError::Unreadable(error)),
        };
        Ok(Self::without_dotenv().then(dotenv))
    }

    /// The process's environment alone.
    #[must_use]
    pub fn without_dotenv() -> Self {
        Self::new(|name| std::env::var_os(name))
    }

    /// These values and nothing else.
    pub fn from_values<'a>(values: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let values: HashMap<String, String> = values
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        Self {
            sources: Vec::new(),
        }
        .then(values)
    }

    fn new(source: impl Fn(&str) -> Option<OsString> + 'static) -> Self {
        Self {
            sources: vec![Box::new(source)],
        }
    }

    /// Adds values that count where no source before them has any.
    #[must_use]
    pub(super) fn then(mut self, values: HashMap<String, String>) -> Self {
        self.sources
            .push(Box::new(move |name| values.get(name).map(OsString::from)));
        self
    }

    /// Finds a setting under its name or, as a file's path, under `NAME_FILE`, and tells under which name. An empty one counts as
    /// not set.
    pub(super) fn look_up<'a>(&self, name: &'a str) -> Result<Option<(&'a str, OsString)>, String> {
        let other = OTHER_NAMES.iter().find(|(ours, _)| *ours == name);
        let names = || std::iter::once(name).chain(other.map(|(_, other)| *other));
        for source in &self.sources {
            for name in names() {
                let get = |name: &str| source(name).filter(|value| !value.is_empty());
                let file_name = format!("{name}_FILE");
                match (get(name), get(&file_name)) {
                    (None, None) => {}
                    (Some(value), None) => return Ok(Some((name, value))),
                    (None, Some(path)) => {
                        return read_file(&file_name, &path).map(|value| Some((name, value)));
                    }
                    (Some(_), Some(_)) => {
                        return Err(format!(
                            "is given twice, by {name} and by {file_name}: remove one of them"
                        ));
                    }
                }
            }
        }
        Ok(None)
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Environment")
    }
}

/// Reads a setting's file. Editors and `echo` end it in a newline that is not meant.
fn read_file(name: &str, path: &OsStr) -> Result<OsString, String> {
    let path = Path::new(path);
    let text = fs::read_to_string(path)
        .map_err(|error| format!("cannot be read from {name}={}: {error}", path.display()))?;
    let value = text.trim_end_matches(['\r', '\n']);
    if value.is_empty() {
        return Err(format!(
            "cannot be read from {name}={}: the file is empty",
            path.display()
        ));
    }
    Ok(value.into())
}

/// Reads `.env`. The first of two lines with one name counts.
pub(super) fn parse_dotenv(text: &str) -> Result<HashMap<String, String>, DotenvError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let lines_read = Cell::new(0);
    let lines = Lines {
        rest: text.as_bytes(),
        read: &lines_read,
    };
    let mut values = HashMap::new();
    for entry in dotenvy::Iter::new(lines) {
        match entry {
            Ok((name, value)) => {
                values.entry(name).or_insert(value);
            }
            Err(dotenvy::Error::LineParse(entry, _)) => {
                let lines_after_first = entry.trim_end().lines().count().saturating_sub(1);
                return Err(DotenvError::Line(
                    lines_read.get().saturating_sub(lines_after_first),
                ));
            }
            Err(dotenvy::Error::Io(error)) => return Err(DotenvError::Unreadable(error)),
            Err(error) => return Err(DotenvError::Unreadable(io::Error::other(error))),
        }
    }
    Ok(values)
}

/// Hands out one line at a time and counts them, because the parser names a broken entry by its text alone.
struct Lines<'a> {
    rest: &'a [u8],
    read: &'a Cell<usize>,
}

impl Read for Lines<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let line = match self.rest.iter().position(|byte| *byte == b'\n') {
            Some(end) => &self.rest[..=end],
            None => self.rest,
        };
        let length = line.len().min(buffer.len());
        buffer[..length].copy_from_slice(&line[..length]);
        if length > 0 && length == line.len() {
            self.read.set(self.read.get() + 1);
        }
        self.rest = &self.rest[length..];
        Ok(length)
    }
}
