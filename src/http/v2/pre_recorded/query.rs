//! The query of the list, in every spelling that Gladia's clients use. A parameter that is not known changes nothing.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
};

use chrono::{DateTime, Days, NaiveDate, NaiveDateTime, NaiveTime, Utc};
use serde_json::{Map, Value};
use url::form_urlencoded;

use crate::{
    domain::{
        job::PublicStatus,
        job_filter::{JobFilter, MOST_METADATA},
        options::MOST_METADATA_LEVELS,
        plain_json,
        searchable::searchable,
    },
    http::request::extent::{self, OF_METADATA},
};

/// How many a page holds where nothing is said.
const DEFAULT_LIMIT: i64 = 20;

/// How many it may hold. More are refused: whoever counts on by what it asked for would pass over what it did not get.
pub const MAX_LIMIT: i64 = 1000;

/// The statuses that Gladia knows.
const STATUSES: [&str; 4] = ["queued", "processing", "done", "error"];

/// What a list is asked for.
#[derive(Debug)]
pub struct ListQuery {
    /// How many are passed over.
    pub offset: i64,
    /// How many are shown at most.
    pub limit: i64,
    /// What the database finds them by.
    pub filter: JobFilter,
    /// Metadata that the database has no index for, and that is compared here.
    pub rest: Map<String, Value>,
    /// Everything but the position, to be repeated in links.
    repeated: Vec<(String, String)>,
}

impl ListQuery {
    /// Parses a query.
    ///
    /// # Errors
    /// The rules that it breaks, in Gladia's words.
    pub fn parse(query: &str) -> Result<Self, Vec<String>> {
        let mut parser = Parser::default();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            parser.take(&name, &value);
        }
        parser.finish()
    }

    /// The same list from another place on.
    #[must_use]
    pub fn at(&self, offset: i64) -> String {
        form_urlencoded::Serializer::new(String::new())
            .extend_pairs(&self.repeated)
            .append_pair("offset", &offset.to_string())
            .append_pair("limit", &self.limit.to_string())
            .finish()
    }

    /// Whether a job with these metadata is one of those that are asked for, as far as the database cannot tell.
    #[must_use]
    pub fn fits(&self, metadata: Option<&Value>) -> bool {
        self.rest.iter().all(|(key, wanted)| {
            let kept = metadata.and_then(|metadata| metadata.get(key));
            kept.is_some_and(|kept| is_same(kept, wanted))
        })
    }
}

#[derive(Default)]
struct Parser {
    offset: i64,
    limit: Option<i64>,
    date: Option<NaiveDate>,
    after: Option<DateTime<Utc>>,
    before: Option<DateTime<Utc>>,
    statuses: BTreeSet<PublicStatus>,
    metadata: Map<String, Value>,
    repeated: Vec<(String, String)>,
    errors: Vec<String>,
}

impl Parser {
    fn take(&mut self, name: &str, value: &str) {
        match name {
            "offset" => {
                if let Some(offset) = self.number(name, value, 0, i64::MAX) {
                    self.offset = offset;
                }
                return;
            }
            "limit" => {
                self.limit = self.number(name, value, 1, MAX_LIMIT);
                return;
            }
            "date" => self.date = self.instant(name, value).map(|at| at.date_naive()),
            "after_date" => self.after = self.instant(name, value),
            "before_date" => self.before = self.instant(name, value),
            _ if is_repeated(name, "status") => self.take_statuses(value),
            "custom_metadata" => {
                if extent::check(value.as_bytes(), OF_METADATA).is_err() {
                    return self.complain_of_levels();
                }
                match plain_json::from_str(value) {
                    Ok(Value::Object(metadata)) => self.metadata.extend(metadata),
                    _ => self.complain("custom_metadata must be an object".to_owned()),
                }
            }
            _ => {
                let inner = name.strip_prefix("custom_metadata[");
                let Some(path) = inner.and_then(|rest| rest.strip_suffix(']')) else {
                    return;
                };
                // Each level is a call, to put a value there, to compare it and to forget it, and the longest query has room
                // for so many that they would not fit on a stack.
                if path.matches("][").count() >= MOST_METADATA_LEVELS {
                    return self.complain_of_levels();
                }
                put(&mut self.metadata, path, value.into());
            }
        }
        self.repeated.push((name.to_owned(), value.to_owned()));
    }

    fn take_statuses(&mut self, value: &str) {
        for name in value.split(',').map(str::trim) {
            match name.parse() {
                // Gladia knows no canceled jobs, so they show as failed ones.
                Ok(PublicStatus::Error) => {
                    self.statuses
                        .extend([PublicStatus::Error, PublicStatus::Canceled]);
                }
                Ok(status) if STATUSES.contains(&name) => {
                    self.statuses.insert(status);
                }
                _ => self.complain(format!(
                    "each value in status must be one of the following values: {}",
                    STATUSES.join(", ")
                )),
            }
        }
    }

    fn number(&mut self, name: &str, value: &str, least: i64, most: i64) -> Option<i64> {
        let digits = value.strip_prefix('-').unwrap_or(value);
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            self.complain(format!("{name} must be an integer number"));
            return None;
        }
        // All that is larger than what the database can count is beyond the end of every list.
        let number: i64 = value.parse().unwrap_or(i64::MAX);
        if number < least || value.starts_with('-') && number != 0 {
            self.complain(format!("{name} must not be less than {least}"));
        } else if number > most {
            self.complain(format!("{name} must not be greater than {most}"));
        } else {
            return Some(number);
        }
        None
    }

    fn instant(&mut self, name: &str, value: &str) -> Option<DateTime<Utc>> {
        let instant = parse_instant(value);
        if instant.is_none() {
            self.complain(format!("{name} must be a valid ISO 8601 date string"));
        }
        instant
    }

    fn complain_of_levels(&mut self) {
        self.complain(format!(
            "custom_metadata must not be nested more than {MOST_METADATA_LEVELS} levels deep"
        ));
    }

    fn complain(&mut self, rule: String) {
        if !self.errors.contains(&rule) {
            self.errors.push(rule);
        }
    }

    fn finish(self) -> Result<ListQuery, Vec<String>> {
        if !self.errors.is_empty() {
            return Err(self.errors);
        }
        let day = self
            .date
            .map(|date| date.and_time(NaiveTime::MIN).and_utc());
        let day_after = day.and_then(|day| day.checked_add_days(Days::new(1)));
        let found: BTreeMap<String, String> = searchable(&self.metadata)
            .take(MOST_METADATA)
            .map(|(key, value)| (key.to_owned(), value))
            .collect();
        let mut rest = self.metadata;
        rest.retain(|key, _| !found.contains_key(key));
        Ok(ListQuery {
            offset: self.offset,
            limit: self.limit.unwrap_or(DEFAULT_LIMIT),
            filter: JobFilter {
                statuses: self.statuses,
                created_after: self.after.max(day),
                created_before: [self.before, day_after].into_iter().flatten().min(),
                metadata: found,
                ..JobFilter::default()
            },
            rest,
            repeated: self.repeated,
        })
    }
}

/// Whether a parameter is one that may be repeated, in any of the spellings of an array: alone, and with brackets that are empty
/// or hold a number.
fn is_repeated(name: &str, repeated: &str) -> bool {
    let Some(rest) = name.strip_prefix(repeated) else {
        return false;
    };
    let number = rest
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    rest.is_empty() || number.is_some_and(|number| number.bytes().all(|byte| byte.is_ascii_digit()))
}

/// An instant in one of the spellings of ISO 8601 that are in use; a day is its first instant.
fn parse_instant(value: &str) -> Option<DateTime<Utc>> {
    // A + that nobody has encoded comes as a space.
    let value = value.replace(' ', if value.contains('T') { "+" } else { "T" });
    let zoned = |format| DateTime::parse_from_str(&value, format).map(|at| at.to_utc());
    let utc = |format| NaiveDateTime::parse_from_str(&value, format).map(|at| at.and_utc());
    let instant = DateTime::parse_from_rfc3339(&value)
        .map(|at| at.to_utc())
        .or_else(|_| zoned("%Y-%m-%dT%H:%M:%S%.f%#z"))
        .or_else(|_| zoned("%Y-%m-%dT%H:%M%#z"))
        .or_else(|_| utc("%Y-%m-%dT%H:%M:%S%.f"))
        .or_else(|_| utc("%Y-%m-%dT%H:%M"))
        .or_else(|_| {
            let day: NaiveDate = value.parse()?;
            Ok::<_, chrono::ParseError>(day.and_time(NaiveTime::MIN).and_utc())
        })
        .ok()?;
    // Years that the database knows.
    (0..=9999)
        .contains(&chrono::Datelike::year(&instant))
        .then_some(instant)
}

/// Puts a value where the brackets of a name say: `a][b` is `b` within `a`.
fn put(metadata: &mut Map<String, Value>, path: &str, value: Value) {
    match path.split_once("][") {
        None => {
            metadata.insert(path.to_owned(), value);
        }
        Some((key, path)) => {
            let inner = metadata
                .entry(key)
                .or_insert_with(|| Value::Object(Map::new()));
            if !inner.is_object() {
                *inner = Value::Object(Map::new());
            }
            if let Value::Object(inner) = inner {
                put(inner, path, value);
            }
        }
    }
}

/// Values compare as texts, since a query can hold nothing else; objects by the keys that are asked for.
fn is_same(kept: &Value, wanted: &Value) -> bool {
    match (kept, wanted) {
        (Value::Object(kept), Value::Object(wanted)) => wanted
            .iter()
            .all(|(key, wanted)| kept.get(key).is_some_and(|kept| is_same(kept, wanted))),
        (Value::Array(kept), Value::Array(wanted)) => {
            kept.len() == wanted.len()
                && kept
                    .iter()
                    .zip(wanted)
                    .all(|(kept, wanted)| is_same(kept, wanted))
        }
        (Value::String(_), _) | (_, Value::String(_)) => text(kept) == text(wanted),
        _ => kept == wanted,
    }
}

fn text(value: &Value) -> Cow<'_, str> {
    match value {
        Value::String(text) => text.into(),
        other => other.to_string().into(),
    }
}

#[cfg(test)]
mod tests;
