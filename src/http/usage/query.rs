//! The parameters of a report, and in which form it is wanted.

use axum::http::{HeaderMap, header};
use chrono::{DateTime, Utc};
use utoipa::ToSchema;

use crate::{
    domain::{
        access::TenantName,
        usage::{
            Dimension, Grouping, MOST_DAYS, MOST_DIMENSIONS, MOST_METADATA_KEYS, NoDimension,
            NoGrouping, NoPeriod, Period, parse_instant,
        },
    },
    http::{
        problem::Problem,
        request::query::{self, Broken, Taken},
    },
};

/// The form of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ToSchema)]
#[schema(as = UsageFormat, rename_all = "lowercase")]
pub enum Format {
    /// `application/json`.
    Json,
    /// `text/csv`.
    Csv,
}

/// A report that is asked for.
#[derive(Debug)]
pub struct UsageQuery {
    /// Over which time.
    pub period: Period,
    /// By what.
    pub grouping: Grouping,
    /// Of one tenant alone.
    pub tenant: Option<TenantName>,
    /// In which form, where the query says so.
    pub format: Option<Format>,
}

/// What was read.
#[derive(Default)]
struct Reading {
    from: Option<DateTime<Utc>>,
    to: Option<DateTime<Utc>>,
    dimensions: Vec<Dimension>,
    tenant: Option<TenantName>,
    format: Option<Format>,
}

impl UsageQuery {
    /// Reads a query.
    ///
    /// # Errors
    /// Names every parameter that breaks a rule.
    pub fn parse(query: Option<&str>, now: DateTime<Utc>) -> Result<Self, Problem> {
        let mut reading = Reading::default();
        let broken = query::read(query, |name, value| reading.take(name, value));
        reading.finish(broken, now)
    }
}

impl Reading {
    fn take(&mut self, name: &str, value: &str) -> Result<Taken, String> {
        match name {
            "from" => self.from = Some(instant(value)?),
            "to" => self.to = Some(instant(value)?),
            "group_by" => {
                // One more than there can be is refused, whatever comes after it.
                let left = (MOST_DIMENSIONS + 1).saturating_sub(self.dimensions.len());
                let read: Result<Vec<_>, _> = value.split(',').take(left).map(str::parse).collect();
                let read = read.map_err(|NoDimension| {
                    "must be tenant, day or metadata.KEY, several separated by commas; KEY is a key of custom_metadata"
                })?;
                self.dimensions.extend(read);
                return Ok(Taken::Repeatable);
            }
            "tenant" => {
                let tenant = value.parse();
                self.tenant = Some(tenant.map_err(|rule| format!("must name a tenant: {rule}"))?);
            }
            "format" => {
                self.format = Some(match value {
                    "json" => Format::Json,
                    "csv" => Format::Csv,
                    _ => return Err("must be json or csv".to_owned()),
                });
            }
            _ => return Err(query::unknown("from, to, group_by, tenant and format")),
        }
        Ok(Taken::Once)
    }

    fn finish(self, mut broken: Broken, now: DateTime<Utc>) -> Result<UsageQuery, Problem> {
        let grouping = Grouping::new(self.dimensions).unwrap_or_else(|why| {
            let rule = match why {
                NoGrouping::Twice(dimension) => format!("names {dimension} twice"),
                NoGrouping::TooManyKeys => {
                    format!("may name {MOST_METADATA_KEYS} keys of metadata at most")
                }
            };
            broken.add("group_by", rule);
            Grouping::default()
        });
        // Without both of its bounds nothing can be said of it.
        let is_bounded = !broken.has("from") && !broken.has("to");
        let period = Period::new(self.from, self.to, now).map_err(|why| match why {
            NoPeriod::Empty => "must be before to, which does not belong to the period and is the end of today unless given"
                .to_owned(),
            NoPeriod::TooLong => format!("may be {MOST_DAYS} days before to at most: ask for one year after the other"),
        });
        if let Err(rule) = &period
            && is_bounded
        {
            broken.add("from", rule.as_str());
        }
        match period {
            Ok(period) if broken.is_empty() => Ok(UsageQuery {
                period,
                grouping,
                tenant: self.tenant,
                format: self.format,
            }),
            _ => Err(broken.into_problem()),
        }
    }
}

fn instant(value: &str) -> Result<DateTime<Utc>, String> {
    parse_instant(value).ok_or_else(|| {
        "must be a date (2026-11-01, the start of the day in UTC) or an instant (2026-11-01T00:00:00Z; the + of an offset is \
         written %2B) of the years 2020 to 2199"
            .to_owned()
    })
}

/// The form that the header `Accept` asks for: CSV where it is named, and JSON is not named as at least as welcome.
pub fn accepted_format(headers: &HeaderMap) -> Format {
    let (mut csv, mut json) = (0.0, 0.0);
    let ranges = headers
        .get_all(header::ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','));
    for range in ranges {
        let mut parts = range.split(';').map(str::trim);
        let media_type = parts.next().unwrap_or_default();
        let weight: f64 = parts
            .find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")))
            .map_or(1.0, |weight| weight.parse().unwrap_or(0.0));
        if media_type.eq_ignore_ascii_case("text/csv") {
            csv = weight;
        } else if media_type.eq_ignore_ascii_case("application/json") {
            json = weight;
        }
    }
    if csv > json {
        Format::Csv
    } else {
        Format::Json
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_very_many_dimensions_one_error_is_told() {
        let errors = |part: fn(usize) -> String| {
            let parts: Vec<String> = (0..10_000).map(part).collect();
            let query = format!("group_by={}", parts.join(","));
            let problem = UsageQuery::parse(Some(&query), DateTime::UNIX_EPOCH).unwrap_err();
            let told = serde_json::to_value(problem.into_body()).unwrap();
            told["errors"].as_array().unwrap().clone()
        };
        for (part, rule) in [
            (
                (|_| "x".to_owned()) as fn(usize) -> String,
                "must be tenant, day or metadata.KEY",
            ),
            (
                |nth| format!("metadata.k{nth}"),
                "may name 3 keys of metadata at most",
            ),
            (|_| "day".to_owned(), "names day twice"),
        ] {
            let errors = errors(part);
            assert_eq!(errors.len(), 1, "{rule}");
            assert!(
                errors[0]["rule"].as_str().unwrap().starts_with(rule),
                "{errors:?}"
            );
        }
        let all = "group_by=tenant,day,metadata.a&group_by=metadata.b,metadata.c";
        let now = parse_instant("2026-11-24").unwrap();
        let read = UsageQuery::parse(Some(all), now).unwrap();
        assert_eq!(read.grouping.dimensions().len(), MOST_DIMENSIONS);
    }

    #[test]
    fn csv_is_what_asks_for_it_more_than_for_json() {
        let format = |accept: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for value in accept {
                headers.append(header::ACCEPT, value.parse().unwrap());
            }
            accepted_format(&headers)
        };
        for accept in [
            &["text/csv"][..],
            &["Text/CSV; header=present"],
            &["text/csv, */*;q=0.1"],
            &["application/json;q=0.5, text/csv;q=0.9"],
            &["text/html", "text/csv"],
        ] {
            assert_eq!(format(accept), Format::Csv, "{accept:?}");
        }
        for accept in [
            &[][..],
            &["*/*"],
            &["text/*"],
            &["text/csv;q=0"],
            &["text/csv;q=much"],
            &["application/json, text/csv"],
            &["text/csvx"],
        ] {
            assert_eq!(format(accept), Format::Json, "{accept:?}");
        }
    }
}
