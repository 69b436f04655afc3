//! Instants in JSON, as chrono writes them.

use chrono::{DateTime, SecondsFormat, Utc};
use serde::Serializer;

/// Writes an instant. The text is made first: what chrono derives hands it to the JSON writer a digit at a time, which looks at
/// each, and that takes thrice as long.
///
/// # Errors
/// The serializer's.
pub fn serialize<S: Serializer>(instant: &DateTime<Utc>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&instant.to_rfc3339_opts(SecondsFormat::AutoSi, true))
}

/// The same, and null where there is none.
///
/// # Errors
/// The serializer's.
pub fn serialize_option<S: Serializer>(
    instant: &Option<DateTime<Utc>>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match instant {
        Some(instant) => serialize(instant, serializer),
        None => serializer.serialize_none(),
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use proptest::prelude::*;
    use serde::Serialize;

    use super::*;

    #[derive(Serialize)]
    struct Written {
        #[serde(serialize_with = "serialize")]
        at: DateTime<Utc>,
        #[serde(serialize_with = "serialize_option")]
        perhaps_at: Option<DateTime<Utc>>,
    }

    #[derive(Serialize)]
    struct Derived {
        at: DateTime<Utc>,
        perhaps_at: Option<DateTime<Utc>>,
    }

    fn an_instant() -> impl Strategy<Value = DateTime<Utc>> {
        let unit = prop_oneof![
            Just(1_i64),
            Just(1000),
            Just(1_000_000),
            Just(1_000_000_000)
        ];
        let nanoseconds = (unit, 0..1_000_000_000_i64).prop_map(|(unit, of)| unit * (of / unit));
        let seconds = -100_000_000_000..500_000_000_000_i64;
        (seconds, nanoseconds).prop_map(|(seconds, nanoseconds)| {
            DateTime::UNIX_EPOCH + TimeDelta::seconds(seconds) + TimeDelta::nanoseconds(nanoseconds)
        })
    }

    proptest! {
        #[test]
        fn an_instant_is_written_as_chrono_writes_it(at in an_instant()) {
            for perhaps_at in [None, Some(at)] {
                prop_assert_eq!(
                    serde_json::to_string(&Written { at, perhaps_at }).unwrap(),
                    serde_json::to_string(&Derived { at, perhaps_at }).unwrap()
                );
            }
        }
    }
}
