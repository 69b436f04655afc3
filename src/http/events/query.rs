//! What is asked of the change list, from the query.

use std::time::Duration;

use crate::{
    domain::event::{EventId, PublicEventType},
    http::{
        problem::Problem,
        request::query::{self, Taken},
        wait::{self, MOST_SECONDS},
    },
};

/// How many events a page holds where nothing is said.
const DEFAULT_LIMIT: usize = 100;

/// How many it may hold.
const MAX_LIMIT: usize = 500;

/// Where a reader begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// With the oldest event that is kept.
    Oldest,
    /// With what comes from now on.
    Latest,
    /// After the event that it has seen last.
    After(EventId),
}

/// What is asked of the change list.
#[derive(Debug, PartialEq, Eq)]
pub struct EventQuery {
    /// Where to begin.
    pub start: Start,
    /// Only these. `None`: all, those of later versions too.
    pub types: Option<Vec<PublicEventType>>,
    /// How many at most.
    pub limit: usize,
    /// How long to wait for the first. `None`: not said here.
    pub wait: Option<Duration>,
}

impl EventQuery {
    /// Parses a query.
    ///
    /// # Errors
    /// Where parameters are not known, given twice, or break their rules: all of them at once.
    pub fn parse(query: Option<&str>) -> Result<Self, Problem> {
        let mut asked = Self {
            start: Start::Oldest,
            types: None,
            limit: DEFAULT_LIMIT,
            wait: None,
        };
        query::read(query, |name, value| asked.take(name, value)).or(asked)
    }

    /// The error is the rule that is broken.
    fn take(&mut self, name: &str, value: &str) -> Result<Taken, String> {
        match name {
            "after" => {
                self.start = match value {
                    "latest" => Start::Latest,
                    id => Start::After(
                        id.parse()
                            .map_err(|_| format!("{}, or latest", EventId::RULE))?,
                    ),
                }
            }
            "types" => {
                let types = parse_types(value)?;
                self.types.get_or_insert_default().extend(types);
                return Ok(Taken::Repeatable);
            }
            "limit" => {
                self.limit = value
                    .parse()
                    .ok()
                    .filter(|limit| (1..=MAX_LIMIT).contains(limit))
                    .ok_or_else(|| format!("must be a whole number from 1 to {MAX_LIMIT}"))?;
            }
            "wait" => self.wait = Some(wait::parse_seconds(value)?),
            _ => return Err(query::unknown("after, types, limit and wait")),
        }
        Ok(Taken::Once)
    }

    /// Whether events of a type are asked for.
    #[must_use]
    pub fn wants(&self, kind: PublicEventType) -> bool {
        self.types
            .as_ref()
            .is_none_or(|types| types.contains(&kind))
    }
}

/// Parses the parameter `types`. The error is its rule.
///
/// # Errors
/// Where it names what is no type.
pub fn parse_types(value: &str) -> Result<Vec<PublicEventType>, String> {
    value
        .split(',')
        .map(|name| {
            name.trim().parse().map_err(|_| {
                let names = PublicEventType::ALL.map(PublicEventType::as_str);
                format!(
                    "must be one of {}, or several separated by commas",
                    names.join(", ")
                )
            })
        })
        .collect()
}

// The document says it in figures.
const _: () = assert!(DEFAULT_LIMIT == 100 && MAX_LIMIT == 500 && MOST_SECONDS == 60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_says_where_to_begin_and_what_is_wanted() {
        let asked = EventQuery::parse(Some(
            "after=evt_7&types=transcription.done,transcription.error&types=transcription.queued&limit=2&wait=5",
        ));
        assert_eq!(
            asked.unwrap(),
            EventQuery {
                start: Start::After(EventId(7)),
                types: Some(vec![
                    PublicEventType::Done,
                    PublicEventType::Error,
                    PublicEventType::Queued
                ]),
                limit: 2,
                wait: Some(Duration::from_secs(5)),
            }
        );
        let nothing = EventQuery::parse(Some("")).unwrap();
        assert_eq!((nothing.start, nothing.limit), (Start::Oldest, 100));
        assert!(nothing.wants(PublicEventType::EndpointTest));
        assert_eq!(
            EventQuery::parse(Some("after=latest")).unwrap().start,
            Start::Latest
        );
    }
}
