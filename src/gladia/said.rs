//! What Gladia says, as it may be stored, shown and logged.

use bytes::Bytes;

use crate::domain::audio_url::without_queries;

/// How much of what Gladia says is looked at: several times what is kept.
const MOST_READ_BYTES: usize = 64 * 1024;

/// What callback addresses have before the attempt and its token, as it stands and escaped.
const BEFORE_TOKENS: [&str; 4] = [
    "/callbacks/gladia/",
    "%2Fcallbacks%2Fgladia%2F",
    "%2fcallbacks%2fgladia%2f",
    ESCAPED_IN_JSON,
];

/// The same where slashes are escaped as JSON allows it.
const ESCAPED_IN_JSON: &str = r"\/callbacks\/gladia\/";

/// What Gladia says, as it may be stored, shown and logged. It may repeat what it was sent, and the address of a callback is a
/// credential as a whole ([`super::callback_keys`]), while the query of an audio's often has a signature. So both are left out.
/// It is one line of text, too: it stands in log lines and tables, which a line of its own would forge, and on terminals, which obey
/// control characters.
#[must_use]
pub fn tellable(text: &str) -> String {
    // What is far behind is not shown, so whoever makes Gladia say much costs little.
    let mut told = without_queries(&text[..text.floor_char_boundary(MOST_READ_BYTES)]);
    for before in BEFORE_TOKENS {
        let mut from = 0;
        while let Some(found) = told[from..].find(before) {
            let begin = from + found + before.len();
            let is_of_token = |c: char| {
                c.is_ascii_alphanumeric()
                    || matches!(c, '-' | '_' | '.' | '/' | '%')
                    || (c == '\\' && before == ESCAPED_IN_JSON)
            };
            let token = &told[begin..];
            let end = begin + token.find(|c| !is_of_token(c)).unwrap_or(token.len());
            told.replace_range(begin..end, "…");
            from = begin;
        }
    }
    in_one_line(&storable(&told))
}

/// Text without what ends a line or controls a terminal.
fn in_one_line(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '\t' | '\n' | '\r' | '\u{2028}' | '\u{2029}' => ' ',
            c if c.is_control() => '\u{fffd}',
            c => c,
        })
        .collect()
}

/// Text that Postgres can store, of a bounded length.
#[must_use]
pub fn storable(text: &str) -> String {
    text.chars()
        .map(|c| if c == '\0' { '\u{fffd}' } else { c })
        .take(4000)
        .collect()
}

/// No key is shorter, and what is may stand in a body for something else.
const FEWEST_KEY_BYTES: usize = 8;

/// The body of an answer without our key, where it repeats that.
pub(super) fn without_key(body: Bytes, key: &str) -> Bytes {
    let is_there = || body.windows(key.len()).any(|part| part == key.as_bytes());
    if key.len() < FEWEST_KEY_BYTES || !is_there() {
        return body;
    }
    String::from_utf8_lossy(&body).replace(key, "…").into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gladia::error::ErrorEnvelope;

    #[test]
    fn what_opens_anything_is_not_told() {
        for (said, told) in [
            (
                "callback_config.url https://gateway.example/base/callbacks/gladia/0199-a/2026-01.AbC_-9 must be reachable",
                "callback_config.url https://gateway.example/base/callbacks/gladia/… must be reachable",
            ),
            (
                r#"{"url":"http://h/callbacks/gladia/a/k.b","or":"http://h/callbacks/gladia/c/k.d"}"#,
                r#"{"url":"http://h/callbacks/gladia/…","or":"http://h/callbacks/gladia/…"}"#,
            ),
            (
                "to=https%3A%2F%2Fh%2Fcallbacks%2Fgladia%2Fa%2Fk.b&x",
                "to=https%3A%2F%2Fh%2Fcallbacks%2Fgladia%2F…&x",
            ),
            (
                "to=https%3a%2f%2fh%2fcallbacks%2fgladia%2fa%2fk.b&x",
                "to=https%3a%2f%2fh%2fcallbacks%2fgladia%2f…&x",
            ),
            (
                r#"{"url":"http:\/\/h\/callbacks\/gladia\/a\/k.b"}"#,
                r#"{"url":"http:\/\/h\/callbacks\/gladia\/…"}"#,
            ),
            (
                "Cannot fetch https://a.example/x.mp3?sig=secret.",
                "Cannot fetch https://a.example/x.mp3?",
            ),
            (
                "Cannot POST /v2/pre-recorded",
                "Cannot POST /v2/pre-recorded",
            ),
        ] {
            assert_eq!(tellable(said), told);
        }
    }

    #[test]
    fn what_gladia_says_is_one_line_that_controls_no_terminal() {
        for (said, told) in [
            ("No\n2026-01-02 ERROR forged", "No 2026-01-02 ERROR forged"),
            ("a\r\nb\tc\u{2028}d", "a  b c d"),
            (
                "\u{1b}[2Jgone\u{9b}1m\u{7f}\0",
                "\u{fffd}[2Jgone\u{fffd}1m\u{fffd}\u{fffd}",
            ),
            ("Größe 音", "Größe 音"),
        ] {
            assert_eq!(tellable(said), told);
        }
    }

    #[test]
    fn our_key_is_left_out_of_what_gladia_says() {
        let key = "0a1b2c3d-90ab-cdef-1234-567890abcdef";
        let body = format!(r#"{{"statusCode":401,"message":"The key {key} is unknown: {key}"}}"#);
        let said = without_key(body.clone().into(), key);
        let told = ErrorEnvelope::parse(401, &said).map(|envelope| envelope.describe());
        assert_eq!(told.as_deref(), Some("The key … is unknown: …"));
        assert_eq!(without_key(body.clone().into(), "another-key"), body);
        // What is too short to be one says nothing.
        assert_eq!(without_key(body.clone().into(), "key"), body);
    }
}
