//! The parameters of a report, and in which form it is wanted.

use axum::http::{HeaderMap, header};
use chrono::{DateTime, Utc};
use url::form_urlencoded;
use utoipa::ToSchema;

use crate::{
    domain::{
        access::TenantName,
        usage::{
            Dimension, Grouping, MOST_DAYS, MOST_DIMENSIONS, MOST_METADATA_KEYS, NoDimension,
            NoGrouping, NoPeriod, Period, parse_instant,
        },
    },
    http::problem::{MOST_ERRORS, Problem},
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

/// What was read, and every rule that was broken on the way.
#[derive(Default)]
struct Reading {
    from: Option<DateTime<Utc>>,
    to: Option<DateTime<Utc>>,
    dimensions: Vec<Dimension>,
    tenant: Option<TenantName>,
    format: Option<Format>,
    broken: Vec<(String, String)>,
}

impl UsageQuery {
    /// Reads a query.
    ///
    /// # Errors
    /// Names every parameter that breaks a rule.
    pub fn parse(query: Option<&str>, now: DateTime<Utc>) -> Result<Self, Problem> {
        let mut reading = Reading::default();
        let mut seen: Vec<String> = Vec::new();
        for (name, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
            if reading.broken.len() >= MOST_ERRORS {
                break;
            }
            if name != "group_by" && seen.iter().any(|known| *known == name) {
                reading.refuse(&name, "must be given once");
                continue;
            }
            reading.take(&name, &value);
            seen.push(name.into_owned());
        }
        reading.finish(now)
    }
}

impl Reading {
    fn refuse(&mut self, name: &str, rule: impl Into<String>) {
        let name: String = name.chars().take(100).collect();
        self.broken.push((name, rule.into()));
    }

    fn take(&mut self, name: &str, value: &str) {
        match name {
            "from" => self.from = self.instant(name, value),
            "to" => self.to = self.instant(name, value),
            "group_by" => {
                // One more than there can be is refused, whatever comes after it.
                let left = (MOST_DIMENSIONS + 1).saturating_sub(self.dimensions.len());
                let read: Result<Vec<_>, _> = value.split(',').take(left).map(str::parse).collect();
                match read {
                    Ok(dimensions) => self.dimensions.extend(dimensions),
                    Err(NoDimension) => self.refuse(
                        name,
                        "must be tenant, day or metadata.KEY, several separated by commas; KEY is a key of custom_metadata",
                    ),
                }
            }
            "tenant" => match value.parse() {
                Ok(tenant) => self.tenant = Some(tenant),
                Err(rule) => self.refuse(name, format!("must name a tenant: {rule}")),
            },
            "format" => match value {
                "json" => self.format = Some(Format::Json),
                "csv" => self.format = Some(Format::Csv),
                _ => self.refuse(name, "must be json or csv"),
            },
            _ => self.refuse(
                name,
                "is not known here: use from, to, group_by, tenant and format",
            ),
        }
    }

    fn instant(&mut self, name: &str, value: &str) -> Option<DateTime<Utc>> {
        let instant = parse_instant(value);
        if instant.is_none() {
            self.refuse(
                name,
                "must be a date (2026-11-01, the start of the day in UTC) or an instant (2026-11-01T00:00:00Z; the + of an \
                 offset is written %2B) of the years 2020 to 2199",
            );
        }
        instant
    }

    fn finish(mut self, now: DateTime<Utc>) -> Result<UsageQuery, Problem> {
        let is_refused =
            |broken: &[(String, String)], name: &str| broken.iter().any(|(known, _)| known == name);
        let grouping = match Grouping::new(std::mem::take(&mut self.dimensions)) {
            Ok(grouping) => grouping,
            Err(why) => {
                self.refuse(
                    "group_by",
                    match why {
                        NoGrouping::Twice(dimension) => format!("names {dimension} twice"),
                        NoGrouping::TooManyKeys => {
                            format!("may name {MOST_METADATA_KEYS} keys of metadata at most")
                        }
                    },
                );
                Grouping::default()
            }
        };
        let period = Period::new(self.from, self.to, now);
        if let Err(why) = period
            && !is_refused(&self.broken, "from")
            && !is_refused(&self.broken, "to")
        {
            self.refuse(
                "from",
                match why {
                    NoPeriod::Empty => "must be before to, which does not belong to the period and is the end of today unless given"
                        .to_owned(),
                    NoPeriod::TooLong => format!("may be {MOST_DAYS} days before to at most: ask for one year after the other"),
                },
            );
        }
        match period {
            Ok(period) if self.broken.is_empty() => Ok(UsageQuery {
                period,
                grouping,
                tenant: self.tenant,
                format: self.format,
            }),
            _ => Err(Problem::parameters(self.broken)),
        }
    }
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
    fn of_very_many_errors_some_are_told() {
        let names: Vec<String> = (0..10_000).map(|nth| format!("a{nth}")).collect();
        let query = names.join("&");
        let problem = UsageQuery::parse(Some(&query), DateTime::UNIX_EPOCH).unwrap_err();
        let told = serde_json::to_string(&problem.into_body()).unwrap();
        assert!(told.contains("a49") && !told.contains("a50"), "{told}");
    }

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
