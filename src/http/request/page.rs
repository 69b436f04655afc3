//! Pages of a list: `limit`, `cursor` and filters in the query, `next_cursor` in the answer.

use uuid::Uuid;

use super::query::{self, Taken};
use crate::{
    domain::cursor::{Cursor, ListTag},
    http::problem::Problem,
};

/// How many a page holds where nothing is said.
const DEFAULT_LIMIT: i64 = 20;

/// How many it may hold.
const MAX_LIMIT: i64 = 100;

/// A page ends where the rows on it have so many bytes in them, however few they are. One row may have a million.
pub const MOST_PAGE_BYTES: usize = 4_000_000;

/// What a list can be filtered by.
pub trait Filters {
    /// Takes a parameter that is neither `limit` nor `cursor`. The error is the rule that it breaks.
    ///
    /// # Errors
    /// Where it breaks its rule.
    fn take(&mut self, name: &str, value: &str) -> Result<Taken, String>;

    /// Which list this is, filters and all: a cursor goes on where it was made, and nowhere else.
    fn tag(&self) -> ListTag;
}

/// A list without filters, by its name.
#[derive(Debug)]
pub struct Unfiltered(pub &'static str);

impl Filters for Unfiltered {
    fn take(&mut self, _name: &str, _value: &str) -> Result<Taken, String> {
        Err(query::unknown("limit and cursor"))
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
        let mut broken = query::read(query, |name, value| match name {
            "limit" => {
                limit = parse_limit(value)?;
                Ok(Taken::Once)
            }
            "cursor" => {
                cursor = Some(parse_cursor(value)?);
                Ok(Taken::Once)
            }
            name => filters.take(name, value),
        });
        let list = filters.tag();
        let cursor = match cursor {
            // Without the right filters nothing can be said of it.
            Some((_, made_for)) if made_for != list && broken.is_empty() => {
                let rule = "belongs to a list with other filters: repeat those that it was made with, or begin anew without it";
                broken.add("cursor", rule);
                None
            }
            cursor => cursor.map(|(cursor, _)| cursor),
        };
        broken.or(Self {
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
