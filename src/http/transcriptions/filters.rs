//! The filters of the list, from the query.

use std::{collections::BTreeSet, str::FromStr};

use chrono::{DateTime, TimeDelta, Utc};

use crate::{
    domain::{
        cursor::ListTag,
        job::{JobErrorType, PublicStatus},
        job_filter::{JobFilter, MOST_METADATA},
        searchable::{MOST_KEY_BYTES, MOST_VALUE_BYTES},
    },
    http::request::{
        page::Filters,
        query::{Taken, unknown},
    },
};

/// All parameters of the list, for people.
const NAMES: &str = "status, error_type, batch_id, created_after, created_before, metadata, metadata[key], limit and cursor";

impl Filters for JobFilter {
    fn take(&mut self, name: &str, value: &str) -> Result<Taken, String> {
        match name {
            "status" => {
                let names = PublicStatus::ALL.map(PublicStatus::as_str);
                insert(&mut self.statuses, value, &names)
            }
            "error_type" => {
                let names = JobErrorType::ALL.map(JobErrorType::as_str);
                insert(&mut self.error_types, value, &names)
            }
            "batch_id" => {
                let id = value.parse().map_err(|_| "must be the id of a batch")?;
                self.batch_id = Some(id);
                Ok(Taken::Once)
            }
            "created_after" => {
                self.created_after = Some(parse_instant(value)?);
                Ok(Taken::Once)
            }
            "created_before" => {
                self.created_before = Some(parse_instant(value)?);
                Ok(Taken::Once)
            }
            // What every generated client can send. A key with a colon in it takes the form with brackets.
            "metadata" => {
                let (key, value) = value
                    .split_once(':')
                    .ok_or("must be a key and a value with a colon between them, as in metadata=team:sales")?;
                take_metadata(self, key, value)?;
                Ok(Taken::Repeatable)
            }
            name => match metadata_key(name) {
                Some(key) => {
                    take_metadata(self, key, value)?;
                    Ok(Taken::Once)
                }
                None => Err(unknown(NAMES)),
            },
        }
    }

    fn tag(&self) -> ListTag {
        ListTag::of("transcriptions", &self.canonical_query())
    }
}

fn take_metadata(filter: &mut JobFilter, key: &str, value: &str) -> Result<(), String> {
    if key.is_empty() {
        return Err(
            "must name a key, as in metadata=team:sales or metadata[team]=sales".to_owned(),
        );
    }
    if key.len() > MOST_KEY_BYTES || value.len() > MOST_VALUE_BYTES {
        return Err(format!(
            "is longer than what can be searched: a key has {MOST_KEY_BYTES} bytes at most, a value {MOST_VALUE_BYTES}"
        ));
    }
    if key.contains('\0') || value.contains('\0') {
        return Err("must hold no NUL, which nothing that can be searched does".to_owned());
    }
    if filter.metadata.contains_key(key) {
        return Err("names a key that is filtered by already".to_owned());
    }
    if filter.metadata.len() == MOST_METADATA {
        return Err(format!(
            "is one too many: a list is filtered by {MOST_METADATA} metadata keys at most"
        ));
    }
    filter.metadata.insert(key.to_owned(), value.to_owned());
    Ok(())
}

/// The key in `metadata[key]`, which may hold brackets itself.
fn metadata_key(name: &str) -> Option<&str> {
    name.strip_prefix("metadata[")?.strip_suffix(']')
}

/// One of several values, any of which a job may have.
fn insert<T: FromStr + Ord>(
    values: &mut BTreeSet<T>,
    value: &str,
    names: &[&str],
) -> Result<Taken, String> {
    let parsed = value
        .parse()
        .map_err(|_| format!("must be one of {}", names.join(", ")))?;
    values.insert(parsed);
    Ok(Taken::Repeatable)
}

/// The database keeps microseconds, so the bound between two of them is the later one.
fn parse_instant(value: &str) -> Result<DateTime<Utc>, String> {
    let rule = "must be an RFC 3339 time, such as 2026-11-26T15:00:00Z (a + in it is written %2B)";
    let instant = DateTime::parse_from_rfc3339(value)
        .map_err(|_| rule)?
        .to_utc();
    let beyond = i64::from(instant.timestamp_subsec_nanos() % 1000);
    let rounded = match beyond {
        0 => Some(instant),
        beyond => instant.checked_add_signed(TimeDelta::nanoseconds(1000 - beyond)),
    };
    rounded.ok_or_else(|| rule.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_between_two_microseconds_is_the_later_one() {
        let parsed = |text: &str| parse_instant(text).unwrap().to_rfc3339();
        assert_eq!(
            parsed("2026-11-26T15:00:00.000001001+02:00"),
            "2026-11-26T13:00:00.000002+00:00"
        );
        assert_eq!(
            parsed("2026-11-26T15:00:00.000001Z"),
            "2026-11-26T15:00:00.000001+00:00"
        );
    }

    #[test]
    fn a_key_may_hold_brackets() {
        assert_eq!(metadata_key("metadata[a[b]]"), Some("a[b]"));
        assert_eq!(metadata_key("metadata[]"), Some(""));
        for other in ["metadata", "metadata[a", "meta[a]", "metadata[a]b"] {
            assert_eq!(metadata_key(other), None, "{other}");
        }
    }
}
