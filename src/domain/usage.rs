//! What was used: over which time, grouped by what, and the numbers that are counted.

use std::{fmt, iter::successors, ops::AddAssign, str::FromStr};

use chrono::{DateTime, Datelike, NaiveDate, NaiveTime, TimeDelta, Utc};

use super::searchable::MOST_KEY_BYTES;

/// The longest period, in days: a year.
pub const MOST_DAYS: i64 = 366;

/// How many keys of `custom_metadata` can be grouped by at once.
pub const MOST_METADATA_KEYS: usize = 3;

/// How many dimensions can stand together: the tenant, the day, and keys.
pub const MOST_DIMENSIONS: usize = 2 + MOST_METADATA_KEYS;

/// A time that is counted over: from the first instant on, up to the second, which does not belong to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Period {
    from: DateTime<Utc>,
    to: DateTime<Utc>,
}

/// Why two instants are no period.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoPeriod {
    /// It would end before it begins, or as it does.
    Empty,
    /// It is longer than [`MOST_DAYS`].
    TooLong,
}

impl Period {
    /// The time between two instants. Without `to` it ends with the day of `now`; without `from` it begins with the month in
    /// which it ends.
    ///
    /// # Errors
    /// Where there is no time between them, or too much.
    pub fn new(
        from: Option<DateTime<Utc>>,
        to: Option<DateTime<Utc>>,
        now: DateTime<Utc>,
    ) -> Result<Self, NoPeriod> {
        let to = to.unwrap_or_else(|| start_of(now.date_naive()) + TimeDelta::days(1));
        let from = from.unwrap_or_else(|| {
            let last = (to - TimeDelta::microseconds(1)).date_naive();
            start_of(last.with_day(1).unwrap_or(last))
        });
        if from >= to {
            Err(NoPeriod::Empty)
        } else if to - from > TimeDelta::days(MOST_DAYS) {
            Err(NoPeriod::TooLong)
        } else {
            Ok(Self { from, to })
        }
    }

    /// The first instant.
    #[must_use]
    pub fn from(&self) -> DateTime<Utc> {
        self.from
    }

    /// The first instant that does not belong to it any more.
    #[must_use]
    pub fn to(&self) -> DateTime<Utc> {
        self.to
    }

    /// It in parts, one behind the other, none of which is longer than a week.
    pub fn weeks(self) -> impl Iterator<Item = Self> {
        let next = move |from: DateTime<Utc>| {
            let to = (from + TimeDelta::weeks(1)).min(self.to);
            (from < self.to).then_some(Self { from, to })
        };
        successors(next(self.from), move |week| next(week.to))
    }
}

fn start_of(day: NaiveDate) -> DateTime<Utc> {
    day.and_time(NaiveTime::MIN).and_utc()
}

/// Reads `2026-11-01`, which is the start of that day in UTC, or an instant of RFC 3339. Years before 2020 or from 2200 on
/// are taken for mistakes.
#[must_use]
pub fn parse_instant(text: &str) -> Option<DateTime<Utc>> {
    let instant = match text.parse::<NaiveDate>() {
        Ok(day) if text.len() == "2026-11-01".len() => start_of(day),
        _ => DateTime::parse_from_rfc3339(text).ok()?.to_utc(),
    };
    (2020..2200).contains(&instant.year()).then_some(instant)
}

/// What usage can be grouped by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Dimension {
    /// Whose job it was.
    Tenant,
    /// The day (UTC) on which the job ended.
    Day,
    /// The value under a key of the job's `custom_metadata`.
    Metadata(String),
}

impl fmt::Display for Dimension {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tenant => f.write_str("tenant"),
            Self::Day => f.write_str("day"),
            Self::Metadata(key) => write!(f, "metadata.{key}"),
        }
    }
}

/// A text that names no dimension.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoDimension;

impl FromStr for Dimension {
    type Err = NoDimension;

    fn from_str(text: &str) -> Result<Self, NoDimension> {
        match text {
            "tenant" => Ok(Self::Tenant),
            "day" => Ok(Self::Day),
            other => other
                .strip_prefix("metadata.")
                .filter(|key| (1..=MOST_KEY_BYTES).contains(&key.len()) && !key.contains('\0'))
                .map(|key| Self::Metadata(key.to_owned()))
                .ok_or(NoDimension),
        }
    }
}

/// What a report is grouped by: different dimensions, of which few are metadata.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Grouping(Vec<Dimension>);

/// Why dimensions cannot stand together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoGrouping {
    /// One stands there twice.
    Twice(Dimension),
    /// More than [`MOST_METADATA_KEYS`].
    TooManyKeys,
}

impl Grouping {
    /// The dimensions in the order in which they were asked for.
    ///
    /// # Errors
    /// Where one stands there twice, or too many are metadata.
    pub fn new(dimensions: Vec<Dimension>) -> Result<Self, NoGrouping> {
        let mut grouping = Self::default();
        for dimension in dimensions {
            if grouping.0.contains(&dimension) {
                return Err(NoGrouping::Twice(dimension));
            }
            grouping.0.push(dimension);
        }
        if grouping.metadata_keys().count() > MOST_METADATA_KEYS {
            return Err(NoGrouping::TooManyKeys);
        }
        Ok(grouping)
    }

    /// In their order.
    #[must_use]
    pub fn dimensions(&self) -> &[Dimension] {
        &self.0
    }

    /// The keys among them.
    pub fn metadata_keys(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|dimension| match dimension {
            Dimension::Metadata(key) => Some(key.as_str()),
            Dimension::Tenant | Dimension::Day => None,
        })
    }
}

/// What was used. Times are whole milliseconds, each attempt's rounded by itself, so that groups add up to their total
/// whatever they are grouped by.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Jobs that are done.
    pub jobs_done: i64,
    /// Jobs that have failed.
    pub jobs_error: i64,
    /// Jobs that were canceled.
    pub jobs_canceled: i64,
    /// The audio of the jobs that are done.
    pub audio_duration_ms: i64,
    /// Everything that Gladia said it bills.
    pub billing_time_ms: i64,
    /// The part of it that gave no result.
    pub unused_billing_time_ms: i64,
    /// Attempts that Gladia may bill without having said how much.
    pub attempts_without_billing_time: i64,
}

impl AddAssign for Usage {
    fn add_assign(&mut self, other: Self) {
        self.jobs_done += other.jobs_done;
        self.jobs_error += other.jobs_error;
        self.jobs_canceled += other.jobs_canceled;
        self.audio_duration_ms += other.audio_duration_ms;
        self.billing_time_ms += other.billing_time_ms;
        self.unused_billing_time_ms += other.unused_billing_time_ms;
        self.attempts_without_billing_time += other.attempts_without_billing_time;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        parse_instant(text).unwrap_or_else(|| panic!("{text} is no instant"))
    }

    fn period(from: Option<&str>, to: Option<&str>) -> Result<(String, String), NoPeriod> {
        let now = at("2026-11-24T22:25:23Z");
        Period::new(from.map(at), to.map(at), now).map(|period| {
            let text = |instant: DateTime<Utc>| instant.format("%F %T").to_string();
            (text(period.from()), text(period.to()))
        })
    }

    #[test]
    fn a_period_is_this_month_unless_something_else_is_said() {
        for (from, to, expected) in [
            (None, None, ("2026-11-01 00:00:00", "2026-11-25 00:00:00")),
            (
                Some("2026-10-15"),
                None,
                ("2026-10-15 00:00:00", "2026-11-25 00:00:00"),
            ),
            // The month in which it ends: the first instant of November is October's end.
            (
                None,
                Some("2026-11-01"),
                ("2026-10-01 00:00:00", "2026-11-01 00:00:00"),
            ),
            (
                None,
                Some("2026-11-01T00:00:01+00:00"),
                ("2026-11-01 00:00:00", "2026-11-01 00:00:01"),
            ),
            (
                Some("2026-11-01T02:00:00+02:00"),
                Some("2026-11-02"),
                ("2026-11-01 00:00:00", "2026-11-02 00:00:00"),
            ),
        ] {
            let expected = (expected.0.to_owned(), expected.1.to_owned());
            assert_eq!(period(from, to), Ok(expected));
        }
    }

    #[test]
    fn a_period_has_a_length_and_a_year_at_most() {
        assert_eq!(
            period(Some("2026-11-02"), Some("2026-11-02")),
            Err(NoPeriod::Empty)
        );
        assert!(period(Some("2024-01-01"), Some("2025-01-01")).is_ok());
        let second_more = Some("2025-01-01T00:00:01Z");
        assert_eq!(
            period(Some("2024-01-01"), second_more),
            Err(NoPeriod::TooLong)
        );
    }

    #[test]
    fn the_weeks_of_a_period_are_all_of_it_and_follow_one_another() {
        for (to, count) in [
            ("2026-01-01T12:00:01Z", 1),
            ("2026-01-08T12:00:00Z", 1),
            ("2026-01-08T12:00:01Z", 2),
            ("2027-01-01", 53),
        ] {
            let period =
                Period::new(Some(at("2026-01-01T12:00:00Z")), Some(at(to)), at(to)).unwrap();
            let weeks: Vec<Period> = period.weeks().collect();
            assert_eq!(weeks.len(), count, "{to}");
            assert_eq!(weeks[0].from(), period.from());
            assert_eq!(weeks[count - 1].to(), period.to());
            assert!(weeks.windows(2).all(|two| two[0].to() == two[1].from()));
            assert!(
                weeks
                    .iter()
                    .all(|week| week.to() - week.from() <= TimeDelta::weeks(1))
            );
        }
    }

    #[test]
    fn what_is_no_instant_is_none() {
        for text in [
            "",
            "november",
            "2026-11",
            "2026-11-31",
            "26-11-01",
            "2026-11-01T00:00",
            "2026-11-01 00:00:00 01:00",
            "1999-01-01",
            "+262142-01-01",
            "0001-01-01T00:00:00Z",
        ] {
            assert_eq!(parse_instant(text), None, "{text}");
        }
    }

    #[test]
    fn dimensions_are_read_as_they_are_written() {
        for text in [
            "tenant",
            "day",
            "metadata.team",
            "metadata.a.b",
            "metadata. ",
        ] {
            assert_eq!(text.parse::<Dimension>().unwrap().to_string(), text);
        }
        let long = format!("metadata.{}", "k".repeat(MOST_KEY_BYTES + 1));
        for text in ["", "Day", "metadata", "metadata.", "metadata.\0", &long] {
            assert_eq!(text.parse::<Dimension>(), Err(NoDimension), "{text:?}");
        }
    }

    #[test]
    fn dimensions_stand_once_and_few_are_metadata() {
        let grouping = |names: &[&str]| {
            let dimensions = names.iter().map(|name| name.parse().unwrap());
            Grouping::new(dimensions.collect())
        };
        let all = grouping(&["metadata.a", "day", "metadata.b", "tenant", "metadata.c"]).unwrap();
        assert_eq!(all.metadata_keys().collect::<Vec<_>>(), ["a", "b", "c"]);
        assert_eq!(
            grouping(&["day", "day"]),
            Err(NoGrouping::Twice(Dimension::Day))
        );
        let four = ["metadata.a", "metadata.b", "metadata.c", "metadata.d"];
        assert_eq!(grouping(&four), Err(NoGrouping::TooManyKeys));
    }
}
