//! `GET /v1/usage`: what was used, and what Gladia bills for it.

use std::time::Duration;

use axum::{
    extract::{RawQuery, State},
    http::HeaderMap,
    response::Response,
};

use super::{
    query::{Format, UsageQuery, accepted_format},
    report::{Report, UsageReport},
};
use crate::{
    db,
    domain::access::Scope,
    http::{
        auth::Reader,
        problem::{Problem, ProblemType},
        state::AppState,
    },
};

/// The most groups in a report.
const MOST_ROWS: usize = 10_000;

/// How long is counted for a report: less than a request is worked on, so that whoever asks for too much learns so.
const LONGEST: Duration = Duration::from_secs(90);

/// Get what was used.
///
/// Transcriptions count when they ended, retried ones when they end again, and with each everything that Gladia bills for it. A key of scope `admin` sees all
/// tenants; any other sees its own.
#[utoipa::path(
    get,
    path = "/v1/usage",
    tag = "usage",
    params(
        ("from" = Option<String>, Query, description = "The first instant that counts: a date (the start of that day in UTC) or an instant (RFC 3339). The first day of the month in which the period ends, if not given.", example = "2026-11-01"),
        ("to" = Option<String>, Query, description = "The first instant after it that does not count: a date or an instant, 366 days after `from` at most. The end of today in UTC, if not given.", example = "2026-12-01"),
        ("group_by" = Option<String>, Query, description = "What a row is counted for: `tenant`, `day` (UTC), or `metadata.KEY` for a key at the top of `custom_metadata`, of which there may be 3. Several are separated by commas, or given one by one.", example = "day,metadata.team"),
        ("tenant" = Option<String>, Query, description = "Only what this tenant used. For keys of scope `admin`.", example = "acme"),
        ("format" = Option<Format>, Query, description = "The form of the answer. What the header `Accept` asks for, if not given."),
    ),
    responses(
        (status = 200, description = "What was used. As CSV (RFC 4180): a line of names, then the rows, without totals; what a spreadsheet would run as a formula has an apostrophe before it, also behind a semicolon, a tab or a line break in a value.", content((UsageReport = "application/json"), (String = "text/csv")), headers(
            ("Content-Disposition" = Option<String>, description = "Of CSV: that it is a file, and its name."),
        )),
        (status = 400, description = "Parameters break rules, all named; or there would be more than 10000 rows, or it would take longer than 90 seconds to count them (`invalid-parameter`)."),
        (status = 403, description = "`tenant` was given with a key whose scope is not `admin` (`forbidden`)."),
    ),
)]
pub async fn get_usage(
    State(state): State<AppState>,
    Reader(caller): Reader,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let counting = state.with_conn(async |conn| {
        let now = db::clock::now(conn).await?;
        let asked = UsageQuery::parse(query.as_deref(), now)?;
        let tenant_id = match (caller.scope, &asked.tenant) {
            (Scope::Admin, None) => None,
            (Scope::Admin, Some(name)) => {
                let found = db::api_keys::find_tenant(conn, name).await?;
                let rule = "must name a tenant, and there is none of this name";
                Some(found.ok_or_else(|| Problem::parameter("tenant", rule))?)
            }
            (Scope::Read | Scope::Write, None) => Some(caller.tenant_id),
            (Scope::Read | Scope::Write, Some(_)) => {
                return Err(Problem::new(
                    ProblemType::Forbidden,
                    "The parameter tenant needs an API key of scope admin. Without it you get what your own tenant used.",
                ));
            }
        };
        let most = MOST_ROWS + 1;
        let counted = db::jobs::usage::list(conn, tenant_id, asked.period, &asked.grouping, most);
        let rows = in_bounds(LONGEST, counted).await??;
        Ok((asked, rows))
    });
    let (asked, rows) = counting.await?;
    if rows.len() > MOST_ROWS {
        let rule =
            format!("gives more than {MOST_ROWS} rows: choose a shorter period, or group by less");
        return Err(Problem::parameter("group_by", rule));
    }
    let format = asked.format.unwrap_or_else(|| accepted_format(&headers));
    Report::new(asked.period, asked.grouping, rows).answer(format)
}

/// What comes of counting, unless that takes too long.
async fn in_bounds<T>(longest: Duration, counted: impl Future<Output = T>) -> Result<T, Problem> {
    let counted = tokio::time::timeout(longest, counted).await;
    counted.map_err(|_| {
        let rule = format!(
            "is so long before to that what ended in between is not counted within {} seconds: ask for shorter periods, a month \
             or a week each, and add them up",
            longest.as_secs()
        );
        Problem::parameter("from", rule)
    })
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;

    #[tokio::test]
    async fn what_takes_too_long_to_count_is_refused_for_its_period() {
        let problem = in_bounds(Duration::from_millis(1), pending::<()>())
            .await
            .unwrap_err();
        let told = serde_json::to_value(problem.into_body()).unwrap();
        assert_eq!(told["type"], "urn:gladia-gateway:problem:invalid-parameter");
        assert_eq!(told["errors"][0]["parameter"], "from");
        assert_eq!(in_bounds(LONGEST, ready(7)).await.unwrap(), 7);
    }
}
