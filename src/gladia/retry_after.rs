//! How long Gladia wants to be left alone. Whether it says so at all is not known; where it does, that is honoured.

use std::time::{Duration, SystemTime};

use httpdate::parse_http_date;
use reqwest::header::{DATE, HeaderMap, RETRY_AFTER};

use crate::domain::backoff::LONGEST_PAUSE;

/// What `Retry-After` says, in seconds or as a date, up to the longest pause; whole seconds, rounded up. A date counts from that of
/// the answer, so that it does not matter whose clock is right.
pub(super) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = |name| Some(headers.get(name)?.to_str().ok()?.trim());
    let value = text(RETRY_AFTER)?;
    let pause = if value.starts_with(|c: char| c.is_ascii_digit()) {
        let is_number = value
            .bytes()
            .all(|byte| byte.is_ascii_digit() || byte == b'.');
        let seconds: f64 = value.parse().ok().filter(|_| is_number)?;
        Duration::from_secs_f64(seconds.ceil().min(LONGEST_PAUSE.as_secs_f64()))
    } else {
        let until = parse_http_date(value).ok()?;
        let said_at: SystemTime = parse_http_date(text(DATE)?).ok()?;
        // What is past does not hold anybody up.
        until.duration_since(said_at).unwrap_or_default()
    };
    Some(pause.min(LONGEST_PAUSE))
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderValue;

    use super::*;

    fn seconds(value: &str, date: Option<&str>) -> Option<u64> {
        let header = |text: &str| HeaderValue::from_str(text).unwrap();
        let mut headers = HeaderMap::from_iter([(RETRY_AFTER, header(value))]);
        if let Some(date) = date {
            headers.insert(DATE, header(date));
        }
        retry_after(&headers).map(|pause| pause.as_secs())
    }

    #[test]
    fn a_pause_is_seconds_or_a_date_up_to_the_longest() {
        let date = Some("Sun, 06 Nov 1994 08:49:30 GMT");
        for (value, pause) in [
            ("0", 0),
            ("120", 120),
            (" 7 ", 7),
            ("1.5", 2),
            ("30.0", 30),
            ("301", 300),
            ("99999999999999999999999999", 300),
            ("Sun, 06 Nov 1994 08:49:37 GMT", 7),
            ("Sunday, 06-Nov-94 08:49:37 GMT", 7),
            ("Sun Nov  6 08:49:37 1994", 7),
            ("Sun, 06 Nov 1994 08:49:00 GMT", 0),
            ("Fri, 31 Dec 9999 23:59:59 GMT", 300),
        ] {
            assert_eq!(seconds(value, date), Some(pause), "{value}");
        }
        for value in [
            "",
            "-1",
            "1.5.2",
            "1e2",
            "inf",
            "soon",
            "1 hour",
            "Sun, 06 Nov 1994",
        ] {
            assert_eq!(seconds(value, date), None, "{value}");
        }
        assert_eq!(retry_after(&HeaderMap::new()), None);
    }

    #[test]
    fn a_date_in_an_answer_without_one_says_nothing() {
        let until = "Sun, 06 Nov 1994 08:49:37 GMT";
        assert_eq!(seconds(until, None), None);
        assert_eq!(seconds(until, Some("today")), None);
        assert_eq!(seconds("7", None), Some(7));
    }
}
