//! Pages of a list: `limit`, `cursor` and filters in the query, `next_cursor` in the answer.

use url::form_urlencoded;
use uuid::Uuid;

use super::problem::{MOST_ERRORS, Problem};
use crate::domain::cursor::{Cursor, ListTag};

/// How many a page holds where nothing is said.
const DEFAULT_LIMIT: i64 = 20;

/// How many it may hold.
const MAX_LIMIT: i64 = 100;

/// A page ends where the rows on it have so many bytes in them, however few they are. One row may have a million.
pub const MOST_PAGE_BYTES: usize = 4_000_000;

/// What a list can be filtered by.
pub trait Filters {
    /// All parameters of the list, for people.
    const NAMES: &'static str;

    /// Takes a parameter that is neither `limit` nor `cursor`. The error is the rule that its value breaks.
    ///
    /// # Errors
    /// Where it breaks its rule.
    fn take(&mut self, name: &str, value: &str) -> Result<Taken, String>;

    /// Which list this is, filters and all: a cursor goes on where it was made, and nowhere else.
    fn tag(&self) -> ListTag;
}

/// What became of a parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// It may be given once.
    Once,
    /// It may be given again.
    Repeatable,
    /// There is no parameter of this name.
    Unknown,
}

/// A list without filters, by its name.
#[derive(Debug)]
pub struct Unfiltered(pub &'static str);

impl Filters for Unfiltered {
    const NAMES: &'static str = "limit and cursor";

    fn take(&mut self, _name: &str, _value: &str) -> Result<Taken, String> {
        Ok(Taken::Unknown)
    }

    fn tag(&self) -> ListTag {
        ListTag::of(self.0, "")
    }
}

/// Which page is asked for.
#[derive(Debug)]
pub struct Page<Id> {
    limit: i64,
    /// The last row of the page before.
    pub cursor: Option<Cursor<Id>>,
    list: ListTag,
}

impl<Id: Copy + From<Uuid> + Into<Uuid>> Page<Id> {
    /// Parses a query. What is neither `limit` nor `cursor` goes to the filters.
    ///
    /// # Errors
    /// Where parameters are not known, given twice, or break their rules: all of them at once.
    pub fn parse<F: Filters>(query: Option<&str>, filters: &mut F) -> Result<Self, Problem> {
        let mut limit = DEFAULT_LIMIT;
        let mut cursor = None;
        let mut seen: Vec<String> = Vec::new();
        let mut errors: Vec<(String, String)> = Vec::new();
        for (name, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
            if errors.len() >= MOST_ERRORS {
                break;
            }
            let taken = match name.as_ref() {
                "limit" => parse_limit(&value).map(|parsed| {
                    limit = parsed;
                    Taken::Once
                }),
                "cursor" => parse_cursor(&value).map(|parsed| {
                    cursor = Some(parsed);
                    Taken::Once
                }),
                name => filters.take(name, &value),
            };
            let rule = match taken {
                Ok(Taken::Repeatable) => continue,
                Ok(Taken::Once) if seen.iter().any(|known| *known == name) => {
                    "must be given once".to_owned()
                }
                Ok(Taken::Once) => {
                    seen.push(name.into_owned());
                    continue;
                }
                Ok(Taken::Unknown) => format!("is not known here: use {}", F::NAMES),
                Err(rule) => rule,
            };
            errors.push((name.chars().take(100).collect(), rule));
        }
        let list = filters.tag();
        let cursor = match cursor {
            // Without the right filters nothing can be said of it.
            Some((_, made_for)) if made_for != list && errors.is_empty() => {
                let rule = "belongs to a list with other filters: repeat those that it was made with, or begin anew without it";
                errors.push(("cursor".to_owned(), rule.to_owned()));
                None
            }
            cursor => cursor.map(|(cursor, _)| cursor),
        };
        if !errors.is_empty() {
            return Err(Problem::parameters(errors));
        }
        Ok(Self {
            limit,
            cursor,
            list,
        })
    }

    /// How many rows to read: one more than asked for tells whether there is a next page.
    #[must_use]
    pub fn rows_to_read(&self) -> i64 {
        self.limit + 1
    }

    /// Takes off what belongs to the next page, and says where that begins.
    pub fn cut<T>(&self, rows: &mut Vec<T>, cursor: impl Fn(&T) -> Cursor<Id>) -> Option<String> {
        let limit = usize::try_from(self.limit).unwrap_or(usize::MAX);
        if rows.len() <= limit {
            return None;
        }
        rows.truncate(limit);
        rows.last().map(|row| cursor(row).encode(self.list))
    }

    /// As [`Page::cut`], of rows that may have been cut before.
    pub fn cut_again<T>(
        &self,
        rows: &mut Vec<T>,
        is_cut: bool,
        cursor: impl Fn(&T) -> Cursor<Id>,
    ) -> Option<String> {
        let next = self.cut(rows, &cursor);
        let last = rows.last().filter(|_| is_cut);
        next.or_else(|| last.map(|row| cursor(row).encode(self.list)))
    }
}

fn parse_limit(value: &str) -> Result<i64, String> {
    let limit = value.parse().ok();
    limit
        .filter(|limit| (1..=MAX_LIMIT).contains(limit))
        .ok_or_else(|| format!("must be a whole number from 1 to {MAX_LIMIT}"))
}

fn parse_cursor<Id: Copy + From<Uuid> + Into<Uuid>>(
    value: &str,
) -> Result<(Cursor<Id>, ListTag), String> {
    Cursor::decode(value).ok_or_else(|| "must be the next_cursor of a page, as it came".to_owned())
}
