//! Gladia's own words for one job too many.
//!
//! All that is known of its 429 is how the message begins (contract, section 1.2): whether it comes in the error envelope is not. So
//! these words are taken for Gladia's wherever a message may stand. Whatever stands in front of Gladia has others.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{error::sentences, said::tellable};

/// How the message begins.
const BEGINNING: &str = "Rate limit exceeded";

/// The message, if the body of a 429 is one: as it is, or as the `message` of an object.
pub(super) fn rate_limit_message(body: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Wire<'a> {
        #[serde(borrow)]
        message: &'a RawValue,
    }

    let text = str::from_utf8(body).ok()?.trim_start();
    let message = if text.starts_with('{') {
        sentences(serde_json::from_str::<Wire<'_>>(text).ok()?.message).join("; ")
    } else {
        text.to_owned()
    };
    let message = message.trim_matches(|c: char| c.is_whitespace() || matches!(c, '"' | '\''));
    message.starts_with(BEGINNING).then(|| tellable(message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_are_known_as_text_and_as_the_message_of_an_object() {
        for body in [
            "Rate limit exceeded. As a free user",
            "\n  Rate limit exceeded. As a free user\n",
            r#""Rate limit exceeded. As a free user""#,
            r#"{"message":"Rate limit exceeded. As a free user"}"#,
            r#" {"status":429,"message":" 'Rate limit exceeded. As a free user'"}"#,
            r#"{"statusCode":"429","message":["Rate limit exceeded. As a free user"]}"#,
        ] {
            let message = rate_limit_message(body.as_bytes());
            assert_eq!(
                message.as_deref(),
                Some("Rate limit exceeded. As a free user"),
                "{body}"
            );
        }
    }

    #[test]
    fn other_words_are_somebody_elses() {
        for body in [
            "",
            "Too Many Requests",
            "<html><title>Rate limit exceeded</title></html>",
            "error code: 1015. Rate limit exceeded",
            r#"{"error":"Rate limit exceeded"}"#,
            r#"{"message":{"text":"Rate limit exceeded"}}"#,
            r#"{"message":null}"#,
            r#"{"message":"Rate limit exceeded"#,
        ] {
            assert_eq!(rate_limit_message(body.as_bytes()), None, "{body}");
        }
        assert_eq!(rate_limit_message(b"Rate limit exceeded \xff"), None);
    }
}
