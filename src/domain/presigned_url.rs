//! Until when a presigned URL can be fetched, as its own query says.
//!
//! Object stores and CDNs write the end of a URL's validity beside its signature, each in its own way. Names are compared
//! without regard to case, as some of the services do. What makes no sense says nothing: this is a guess about another
//! company's URL, and nobody is refused for it.

use std::collections::HashMap;

use base64::{Engine, prelude::BASE64_STANDARD};
use chrono::{DateTime, NaiveDate, NaiveDateTime, TimeDelta, Utc};
use serde::Deserialize;
use url::Url;

/// What stands beside `Expires` and `Signature` in the URLs of S3 (version 2), Google Cloud Storage (version 2) and
/// `CloudFront`. Without one of these, `Expires` may mean anything.
const EPOCH_COMPANIONS: [&str; 3] = ["awsaccesskeyid", "googleaccessid", "key-pair-id"];

/// Until when the URL is valid; the earliest of it, where its query says it in several ways. `None` where it does not say it.
#[must_use]
pub fn expires_at(url: &Url) -> Option<DateTime<Utc>> {
    let mut query: HashMap<String, String> = HashMap::new();
    for (name, value) in url.query_pairs() {
        query
            .entry(name.to_ascii_lowercase())
            .or_insert_with(|| value.into_owned());
    }
    [
        dated(&query, "x-amz-date", "x-amz-expires"),
        dated(&query, "x-goog-date", "x-goog-expires"),
        epoch(&query),
        policy(&query),
        azure(&query),
    ]
    .into_iter()
    .flatten()
    .min()
}

/// Version 4 of S3 and of Google Cloud Storage: when it was signed, and for how many seconds.
fn dated(query: &HashMap<String, String>, date: &str, seconds: &str) -> Option<DateTime<Utc>> {
    let signed_at = NaiveDateTime::parse_from_str(query.get(date)?, "%Y%m%dT%H%M%SZ").ok()?;
    let seconds: u32 = query.get(seconds)?.parse().ok()?;
    signed_at
        .and_utc()
        .checked_add_signed(TimeDelta::seconds(seconds.into()))
}

/// The older kinds: seconds since 1970.
fn epoch(query: &HashMap<String, String>) -> Option<DateTime<Utc>> {
    let is_signed = query.contains_key("signature")
        && EPOCH_COMPANIONS
            .iter()
            .any(|name| query.contains_key(*name));
    let seconds: u32 = query.get("expires").filter(|_| is_signed)?.parse().ok()?;
    DateTime::from_timestamp(seconds.into(), 0)
}

/// What of a policy of `CloudFront`'s says when it ends.
#[derive(Deserialize)]
struct Policy {
    #[serde(rename = "Statement")]
    statements: Vec<Statement>,
}

#[derive(Deserialize)]
struct Statement {
    #[serde(default, rename = "Condition")]
    condition: Condition,
}

#[derive(Default, Deserialize)]
struct Condition {
    #[serde(rename = "DateLessThan")]
    date_less_than: Option<DateLessThan>,
}

#[derive(Deserialize)]
struct DateLessThan {
    #[serde(rename = "AWS:EpochTime")]
    epoch_time: u32,
}

/// A policy of `CloudFront`'s, written out: JSON in a base64 of its own, with the end in each of its statements.
fn policy(query: &HashMap<String, String>) -> Option<DateTime<Utc>> {
    let is_signed = query.contains_key("signature") && query.contains_key("key-pair-id");
    let encoded = query.get("policy").filter(|_| is_signed)?;
    let base64: String = encoded
        .chars()
        .map(|c| match c {
            '-' => '+',
            '_' => '=',
            '~' => '/',
            other => other,
        })
        .collect();
    let policy = BASE64_STANDARD.decode(base64).ok()?;
    let policy = serde_json::from_slice::<Policy>(&policy).ok()?;
    policy
        .statements
        .into_iter()
        .filter_map(|statement| {
            let end = statement.condition.date_less_than?.epoch_time;
            DateTime::from_timestamp(end.into(), 0)
        })
        .min()
}

/// A shared access signature of Azure: `se`, to the second, the minute or the day.
fn azure(query: &HashMap<String, String>) -> Option<DateTime<Utc>> {
    let text = query.get("se").filter(|_| query.contains_key("sig"))?;
    let to_the_minute = || DateTime::parse_from_str(text, "%Y-%m-%dT%H:%M%#z");
    let day = || NaiveDate::parse_from_str(text, "%Y-%m-%d").ok();
    DateTime::parse_from_rfc3339(text)
        .or_else(|_| to_the_minute())
        .map(|instant| instant.to_utc())
        .ok()
        .or_else(|| Some(day()?.and_hms_opt(0, 0, 0)?.and_utc()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn found(query: &str) -> Option<String> {
        let url = Url::parse(&format!("https://bucket.example/call.mp3?{query}")).unwrap();
        expires_at(&url).map(|instant| instant.to_rfc3339())
    }

    #[test]
    fn every_service_says_it_in_its_own_way() {
        for (query, instant) in [
            // S3, version 4, as the services write it, and as some libraries do.
            (
                "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=a%2Fb&X-Amz-Date=20261126T235930Z&X-Amz-Expires=3600\
                 &X-Amz-SignedHeaders=host&X-Amz-Signature=ab",
                "2026-11-27T00:59:30+00:00",
            ),
            (
                "x-amz-date=20240229T000000Z&x-amz-expires=604800",
                "2024-03-07T00:00:00+00:00",
            ),
            // S3, version 2.
            (
                "AWSAccessKeyId=AK&Signature=a%2Bb%3D&Expires=1795705170",
                "2026-11-26T14:59:30+00:00",
            ),
            // Google Cloud Storage, both versions.
            (
                "GoogleAccessId=a%40b&Expires=1795705170&Signature=ab",
                "2026-11-26T14:59:30+00:00",
            ),
            (
                "X-Goog-Date=20261126T120000Z&X-Goog-Expires=60&X-Goog-Signature=ab",
                "2026-11-26T12:01:00+00:00",
            ),
            // CloudFront.
            (
                "Expires=1795705170&Signature=ab~&Key-Pair-Id=K1",
                "2026-11-26T14:59:30+00:00",
            ),
            // Azure.
            (
                "sv=2024-11-04&se=2026-11-26T12%3A00%3A00Z&sr=b&sp=r&sig=a%3D",
                "2026-11-26T12:00:00+00:00",
            ),
            (
                "SE=2026-11-26T12:00:00.1234567Z&SIG=a",
                "2026-11-26T12:00:00.123456700+00:00",
            ),
            (
                "se=2026-11-26T12%3A00%2B02%3A00&sig=a",
                "2026-11-26T10:00:00+00:00",
            ),
            ("se=2026-11-26T12:00Z&sig=a", "2026-11-26T12:00:00+00:00"),
            ("se=2026-11-26&sig=a", "2026-11-26T00:00:00+00:00"),
        ] {
            assert_eq!(found(query).as_deref(), Some(instant), "{query}");
        }
    }

    /// The query of a URL that `CloudFront` is to check by this policy.
    fn with_policy(policy: &str) -> String {
        let encoded: String = BASE64_STANDARD
            .encode(policy)
            .chars()
            .map(|c| match c {
                '+' => '-',
                '=' => '_',
                '/' => '~',
                other => other,
            })
            .collect();
        format!("Policy={encoded}&Signature=ab~&Key-Pair-Id=K1")
    }

    #[test]
    fn a_policy_says_it_in_its_statement() {
        // With each of the characters that are written in another way.
        let query = "Policy=eyJhIjoiPj4-Pz8~IiwiU3RhdGVtZW50IjpbeyJSZXNvdXJjZSI6IioiLCJDb25kaXRpb2\
                     4iOnsiRGF0ZUxlc3NUaGFuIjp7IkFXUzpFcG9jaFRpbWUiOjE3OTU3MDUxNzB9fX1dfQ__&Signature=ab~&Key-Pair-Id=K1";
        let end = |seconds: &str| {
            format!(r#"{{"Condition": {{"DateLessThan": {{"AWS:EpochTime": {seconds}}}}}}}"#)
        };
        let two = format!(
            r#"{{"Statement": [{}, {}, {{}}]}}"#,
            end("1795705171"),
            end("1795705170")
        );
        for query in [query, &with_policy(&two)] {
            let instant = Some("2026-11-26T14:59:30+00:00");
            assert_eq!(found(query).as_deref(), instant, "{query}");
        }
        let unsigned = with_policy(&two).replace("Signature", "Sign");
        assert_eq!(found(&unsigned), None);
        for seconds in [
            "-1",
            "\"1795705170\"",
            "99999999999999999999",
            "1e400",
            "[1]",
        ] {
            let policy = format!(r#"{{"Statement": [{}]}}"#, end(seconds));
            assert_eq!(found(&with_policy(&policy)), None, "{seconds}");
        }
        for policy in ["", "[]", r#"{"Statement": {}}"#, &"[".repeat(5000)] {
            assert_eq!(found(&with_policy(policy)), None, "{policy}");
        }
    }

    #[test]
    fn the_earliest_end_counts() {
        let both = "se=2026-11-27&sig=a&X-Amz-Date=20261126T120000Z&X-Amz-Expires=60";
        assert_eq!(found(both).as_deref(), Some("2026-11-26T12:01:00+00:00"));
    }

    #[test]
    fn what_is_not_signed_or_makes_no_sense_says_nothing() {
        for query in [
            "",
            "expires=1795705170",
            "expires=1795705170&signature=ab",
            "se=2026-11-26",
            "AWSAccessKeyId=AK&Signature=ab&Expires=soon",
            "AWSAccessKeyId=AK&Signature=ab&Expires=-1",
            "AWSAccessKeyId=AK&Signature=ab&Expires=99999999999999999999",
            "X-Amz-Expires=60",
            "X-Amz-Date=20261126T120000Z",
            "X-Amz-Date=20261326T120000Z&X-Amz-Expires=60",
            "X-Amz-Date=20261126T120000Z&X-Amz-Expires=1e9",
            "X-Amz-Date=20261126T120000Z&X-Amz-Expires=-60",
            "sig=a&se=tomorrow",
        ] {
            assert_eq!(found(query), None, "{query}");
        }
    }

    fn any_value() -> impl Strategy<Value = String> {
        prop_oneof![
            "\\PC{0,20}",
            "[0-9+-]{0,30}",
            "[0-9]{0,7}-?[0-9]{2}-?[0-9]{2}T[0-9:]{4,8}(Z|[+-][0-9:]{0,6})",
            Just("+262142-12-31T23:59:59Z".to_owned()),
            Just("99991231T235959Z".to_owned()),
            Just(u32::MAX.to_string()),
            Just(i64::MAX.to_string()),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn no_value_makes_it_panic(values in proptest::collection::vec(any_value(), 6)) {
            let mut url = Url::parse("https://bucket.example/a").unwrap();
            for date in ["X-Amz-Date", "se"] {
                url.query_pairs_mut()
                    .clear()
                    .append_pair(date, &values[0])
                    .append_pair("X-Amz-Expires", &values[1])
                    .append_pair("X-Goog-Date", &values[2])
                    .append_pair("X-Goog-Expires", &values[3])
                    .append_pair("Expires", &values[4])
                    .append_pair("Signature", &values[5])
                    .append_pair("Key-Pair-Id", "K")
                    .append_pair("Policy", &values[5])
                    .append_pair("sig", "a");
                let _ = expires_at(&url);
            }
        }
    }
}
