//! A report as callers see it: JSON, or the same numbers as CSV.

use std::collections::BTreeMap;

use axum::{
    Json,
    http::{HeaderName, HeaderValue, header},
    response::{IntoResponse, Response},
};
use chrono::{DateTime, SecondsFormat, Utc};
use serde::Serialize;
use utoipa::ToSchema;

use super::query::Format;
use crate::{
    db::jobs::usage::UsageRow,
    domain::{
        spreadsheet::no_formula,
        usage::{Dimension, Grouping, Period, Usage},
    },
    http::problem::{Problem, ProblemType},
};

/// What was used.
#[derive(Debug, Serialize, ToSchema)]
pub struct UsageReport {
    /// The first instant that counts.
    pub from: DateTime<Utc>,
    /// The first instant after it that does not.
    pub to: DateTime<Utc>,
    /// What the rows are grouped by.
    pub group_by: Vec<String>,
    /// The sums of all rows.
    pub totals: UsageNumbers,
    /// A row for each group in which something was used, in the order of `group_by`; groups without a value come last. Without
    /// `group_by` one row.
    pub rows: Vec<UsageGroup>,
}

/// A group and what it used.
#[derive(Debug, Serialize, ToSchema)]
pub struct UsageGroup {
    /// The tenant, where it is grouped by that.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "acme")]
    pub tenant: Option<String>,
    /// The day (UTC) on which the transcriptions ended, where it is grouped by that.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, format = Date, example = "2026-11-24")]
    pub day: Option<String>,
    /// The value under each key that it is grouped by, as text. Null for transcriptions that have none, whose value is an
    /// object, an array or longer than 512 bytes, or whose metadata are erased and not kept for usage.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = json!({ "team": "support" }))]
    pub metadata: Option<BTreeMap<String, Option<String>>>,
    /// Its numbers.
    #[serde(flatten)]
    pub usage: UsageNumbers,
}

/// What was used. Times are in seconds, rounded to milliseconds for each attempt.
#[derive(Debug, Serialize, ToSchema)]
pub struct UsageNumbers {
    /// Transcriptions that ended as `done`.
    pub jobs_done: i64,
    /// Transcriptions that ended as `error`.
    pub jobs_error: i64,
    /// Transcriptions that were canceled.
    pub jobs_canceled: i64,
    /// The audio of the transcriptions that are done, as Gladia measured it.
    pub audio_duration_seconds: f64,
    /// Everything that Gladia said it bills: the duration times the distinct channels, also of what gave no result.
    pub billing_time_seconds: f64,
    /// The part of `billing_time_seconds` that gave no result: for transcriptions that were canceled in flight, and for what
    /// Gladia had twice.
    pub unused_billing_time_seconds: f64,
    /// How often something was or may have been sent to Gladia that Gladia may bill, without having said how much (yet). Where
    /// this is not 0, Gladia's invoice may be higher.
    pub attempts_without_billing_time: i64,
}

impl From<Usage> for UsageNumbers {
    fn from(usage: Usage) -> Self {
        Self {
            jobs_done: usage.jobs_done,
            jobs_error: usage.jobs_error,
            jobs_canceled: usage.jobs_canceled,
            audio_duration_seconds: seconds(usage.audio_duration_ms),
            billing_time_seconds: seconds(usage.billing_time_ms),
            unused_billing_time_seconds: seconds(usage.unused_billing_time_ms),
            attempts_without_billing_time: usage.attempts_without_billing_time,
        }
    }
}

/// As the nearest number, which is written with three decimals at most.
#[expect(
    clippy::cast_precision_loss,
    reason = "milliseconds are exact for 285 millennia"
)]
fn seconds(milliseconds: i64) -> f64 {
    milliseconds as f64 / 1000.0
}

/// A report before it is written down.
pub struct Report {
    period: Period,
    grouping: Grouping,
    rows: Vec<UsageRow>,
}

impl Report {
    /// Puts the rows in order. What is not grouped at all is one row, also where nothing was used.
    pub fn new(period: Period, grouping: Grouping, mut rows: Vec<UsageRow>) -> Self {
        if grouping.dimensions().is_empty() && rows.is_empty() {
            let (keys, usage) = (Vec::new(), Usage::default());
            rows.push(UsageRow { keys, usage });
        }
        let missing_last = |key: &Option<String>| (key.is_none(), key.clone());
        rows.sort_by_cached_key(|row| row.keys.iter().map(missing_last).collect::<Vec<_>>());
        Self {
            period,
            grouping,
            rows,
        }
    }

    /// Writes it down.
    ///
    /// # Errors
    /// Where that fails, which is a mistake of ours.
    pub fn answer(self, format: Format) -> Result<Response, Problem> {
        // Of one address there are two forms.
        let vary = [(header::VARY, HeaderValue::from_static("accept"))];
        match format {
            Format::Json => Ok((vary, Json(self.into_json())).into_response()),
            Format::Csv => {
                let headers = [
                    (
                        header::CONTENT_TYPE,
                        HeaderValue::from_static("text/csv; charset=utf-8; header=present"),
                    ),
                    self.disposition(),
                ];
                let body = self.to_csv().map_err(|error| {
                    tracing::error!(%error, "A report of usage cannot be written as CSV");
                    Problem::new(ProblemType::Internal, "The report cannot be shown.")
                })?;
                Ok((vary, headers, body).into_response())
            }
        }
    }

    fn into_json(self) -> UsageReport {
        let mut totals = Usage::default();
        for row in &self.rows {
            totals += row.usage;
        }
        let dimensions = self.grouping.dimensions();
        UsageReport {
            from: self.period.from(),
            to: self.period.to(),
            group_by: dimensions.iter().map(ToString::to_string).collect(),
            totals: totals.into(),
            rows: self
                .rows
                .into_iter()
                .map(|row| group(dimensions, row))
                .collect(),
        }
    }

    /// A line of names, then a line for each row. No totals: whoever adds the lines up gets them.
    fn to_csv(&self) -> Result<Vec<u8>, csv::Error> {
        let mut writer = csv::WriterBuilder::new()
            // RFC 4180.
            .terminator(csv::Terminator::CRLF)
            .from_writer(Vec::new());
        let names = self.grouping.dimensions().iter().map(ToString::to_string);
        writer.write_record(names.chain(NUMBERS.map(str::to_owned)))?;
        for row in &self.rows {
            // Values of metadata are whatever a caller sent.
            let keys = row.keys.iter().map(|key| {
                let key = key.as_deref().unwrap_or_default();
                no_formula(key).into_owned()
            });
            writer.write_record(keys.chain(numbers(&row.usage.into())))?;
        }
        writer
            .into_inner()
            .map_err(|error| error.into_error().into())
    }

    fn disposition(&self) -> (HeaderName, HeaderValue) {
        let date = |instant: DateTime<Utc>| {
            let text = instant.to_rfc3339_opts(SecondsFormat::Secs, true);
            // A day's name is enough where the period begins and ends with one, and no file's name has a colon.
            let text = text.strip_suffix("T00:00:00Z").unwrap_or(&text);
            text.replace(':', "")
        };
        let (from, to) = (date(self.period.from()), date(self.period.to()));
        let value = format!("attachment; filename=\"usage-{from}-to-{to}.csv\"");
        let value = HeaderValue::from_str(&value)
            .unwrap_or_else(|_| HeaderValue::from_static("attachment"));
        (header::CONTENT_DISPOSITION, value)
    }
}

fn group(dimensions: &[Dimension], row: UsageRow) -> UsageGroup {
    let mut group = UsageGroup {
        tenant: None,
        day: None,
        metadata: None,
        usage: row.usage.into(),
    };
    for (dimension, value) in dimensions.iter().zip(row.keys) {
        match dimension {
            Dimension::Tenant => group.tenant = value,
            Dimension::Day => group.day = value,
            Dimension::Metadata(key) => {
                let metadata = group.metadata.get_or_insert_default();
                metadata.insert(key.clone(), value);
            }
        }
    }
    group
}

/// The columns of the numbers.
const NUMBERS: [&str; 7] = [
    "jobs_done",
    "jobs_error",
    "jobs_canceled",
    "audio_duration_seconds",
    "billing_time_seconds",
    "unused_billing_time_seconds",
    "attempts_without_billing_time",
];

/// The numbers in the order of their columns.
fn numbers(usage: &UsageNumbers) -> [String; 7] {
    [
        usage.jobs_done.to_string(),
        usage.jobs_error.to_string(),
        usage.jobs_canceled.to_string(),
        usage.audio_duration_seconds.to_string(),
        usage.billing_time_seconds.to_string(),
        usage.unused_billing_time_seconds.to_string(),
        usage.attempts_without_billing_time.to_string(),
    ]
}
