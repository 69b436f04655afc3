//! What is read of a receiver's answer.

use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::{
    Response,
    header::{HeaderMap, RETRY_AFTER},
};

/// How much of an answer is read. The connection of a longer one is given up.
const MOST_BYTES: usize = 4096;

/// How much of it is kept.
const MOST_KEPT_BYTES: usize = 1024;

/// The longest pause that is understood; whoever asks for more gets this. Instants that far away still are instants.
const LONGEST_PAUSE: Duration = Duration::from_hours(24 * 365);

/// How long a receiver wants to be left alone, which it says in seconds or as a date.
pub(super) fn retry_after(headers: &HeaderMap, now: DateTime<Utc>) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let pause = if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        // Digits that are too many are a number that is too large.
        Duration::from_secs(value.parse().unwrap_or(u64::MAX))
    } else {
        let until = DateTime::<Utc>::from(httpdate::parse_http_date(value).ok()?);
        // What is past does not hold anybody up.
        (until - now).to_std().unwrap_or_default()
    };
    Some(pause.min(LONGEST_PAUSE))
}

/// Adds the answer's first bytes to `start` as they come. Whoever loses patience has what had come by then.
pub(super) async fn read_start(mut answer: Response, start: &mut Vec<u8>) {
    while start.len() < MOST_BYTES
        && let Ok(Some(chunk)) = answer.chunk().await
    {
        let room = MOST_BYTES - start.len();
        start.extend_from_slice(&chunk[..chunk.len().min(room)]);
    }
}

/// The first bytes as text that people and Postgres can read.
pub(super) fn to_text(start: &[u8]) -> Option<String> {
    let text = readable(&String::from_utf8_lossy(start), MOST_KEPT_BYTES);
    (!text.is_empty()).then_some(text)
}

/// Text without control characters, of so many bytes at most.
pub(super) fn readable(text: &str, most_bytes: usize) -> String {
    let mut readable: String = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    readable.truncate(readable.floor_char_boundary(most_bytes));
    readable
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use reqwest::header::HeaderValue;

    use super::*;

    fn pause(value: &str) -> Option<u64> {
        let now = "1994-11-06T08:49:30Z".parse().unwrap();
        let value = HeaderValue::from_str(value).unwrap();
        let headers = HeaderMap::from_iter([(RETRY_AFTER, value)]);
        retry_after(&headers, now).map(|pause| pause.as_secs())
    }

    #[test]
    fn a_pause_is_seconds_or_a_date() {
        for (value, seconds) in [
            ("0", 0),
            ("120", 120),
            (" 7 ", 7),
            ("Sun, 06 Nov 1994 08:49:37 GMT", 7),
            ("Sunday, 06-Nov-94 08:49:37 GMT", 7),
            ("Sun Nov  6 08:49:37 1994", 7),
            ("Sun, 06 Nov 1994 08:49:00 GMT", 0),
            ("99999999999", 31_536_000),
            ("99999999999999999999999999", 31_536_000),
            ("Fri, 31 Dec 9999 23:59:59 GMT", 31_536_000),
        ] {
            assert_eq!(pause(value), Some(seconds), "{value}");
        }
        for value in ["", "-1", "1.5", "soon", "1 hour", "Sun, 06 Nov 1994"] {
            assert_eq!(pause(value), None, "{value}");
        }
        assert_eq!(retry_after(&HeaderMap::new(), DateTime::UNIX_EPOCH), None);
    }

    #[test]
    fn what_is_kept_is_readable_and_short() {
        assert_eq!(to_text(b""), None);
        assert_eq!(to_text(b"ok\r\n\0x").unwrap(), "ok   x");
        assert_eq!(to_text(&[b'a', 0xff, b'b']).unwrap(), "a\u{fffd}b");
        assert_eq!(to_text(&[b'a'; 2000]).unwrap().len(), 1024);
        // A character is kept whole or not at all.
        assert_eq!(to_text("aé".repeat(500).as_bytes()).unwrap().len(), 1024);
        assert_eq!(to_text("é…".repeat(500).as_bytes()).unwrap().len(), 1022);
    }

    proptest! {
        #[test]
        fn any_bytes_become_text_that_postgres_takes(bytes in prop::collection::vec(any::<u8>(), 0..5000)) {
            let text = to_text(&bytes).unwrap_or_default();
            prop_assert!(text.len() <= MOST_KEPT_BYTES);
            prop_assert!(!text.chars().any(char::is_control));
        }
    }
}
