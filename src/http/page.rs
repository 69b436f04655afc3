//! Pages of a list: `limit` and `cursor` in the query, `next_cursor` in the answer.

use url::form_urlencoded;
use uuid::Uuid;

use super::problem::Problem;
use crate::domain::cursor::Cursor;

/// How many a page holds where nothing is said.
const DEFAULT_LIMIT: i64 = 20;

/// How many it may hold.
const MAX_LIMIT: i64 = 100;

/// Which page is asked for.
#[derive(Debug)]
pub struct Page<Id> {
    limit: i64,
    /// The last row of the page before.
    pub cursor: Option<Cursor<Id>>,
}

impl<Id: Copy + From<Uuid> + Into<Uuid>> Page<Id> {
    /// Parses a query. What is neither `limit` nor `cursor` goes to `other`, which says whether it knows the name;
    /// `names` are all names for people.
    ///
    /// # Errors
    /// Where a parameter is not known, given twice, or breaks its rule.
    pub fn parse(
        query: Option<&str>,
        names: &str,
        mut other: impl FnMut(&str, &str) -> Result<bool, Problem>,
    ) -> Result<Self, Problem> {
        let mut page = Self {
            limit: DEFAULT_LIMIT,
            cursor: None,
        };
        let mut seen: Vec<String> = Vec::new();
        for (name, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
            match name.as_ref() {
                "limit" => {
                    let limit = value
                        .parse()
                        .ok()
                        .filter(|limit| (1..=MAX_LIMIT).contains(limit));
                    let rule = || format!("must be a whole number from 1 to {MAX_LIMIT}");
                    page.limit = limit.ok_or_else(|| Problem::parameter("limit", rule()))?;
                }
                "cursor" => {
                    let rule = "must be the next_cursor of a page, as it came";
                    page.cursor = Some(
                        Cursor::decode(&value).ok_or_else(|| Problem::parameter("cursor", rule))?,
                    );
                }
                name => {
                    if !other(name, &value)? {
                        let name: String = name.chars().take(100).collect();
                        let rule = format!("is not known here: use {names}");
                        return Err(Problem::parameter(&name, rule));
                    }
                }
            }
            if seen.iter().any(|known| *known == name) {
                return Err(Problem::parameter(&name, "must be given once"));
            }
            seen.push(name.into_owned());
        }
        Ok(page)
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
        rows.last().map(|row| cursor(row).encode())
    }
}
