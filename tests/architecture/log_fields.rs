//! A JSON log line has the fields of its event beside what every line has, and a name twice is an object that readers make
//! different things of.

use super::{assert_none, source};

/// What `LOG_FORMAT=json` itself gives a line.
const OF_EVERY_LINE: [&str; 5] = ["timestamp", "level", "message", "target", "span"];

/// What makes events and spans.
const MACROS: [&str; 12] = [
    "error",
    "warn",
    "info",
    "debug",
    "trace",
    "event",
    "error_span",
    "warn_span",
    "info_span",
    "debug_span",
    "trace_span",
    "span",
];

/// The fields that take the name of what every line has.
fn names_taken(path: &str, text: &str) -> Vec<String> {
    let tokens = source::tokens(text);
    let token = |at: usize| tokens.get(at).map_or("", String::as_str);
    let mut found = Vec::new();
    for begin in 0..tokens.len() {
        if !MACROS.contains(&token(begin)) || token(begin + 1) != "!" || token(begin + 2) != "(" {
            continue;
        }
        let (mut at, mut depth, mut starts) = (begin + 3, 1, true);
        while depth > 0 && at < tokens.len() {
            match token(at) {
                "(" | "[" | "{" => depth += 1,
                ")" | "]" | "}" => depth -= 1,
                name if depth == 1
                    && starts
                    && OF_EVERY_LINE.contains(&name)
                    && matches!(token(at + 1), "=" | "," | ")") =>
                {
                    found.push(format!("{path}: an event has a field `{name}` of its own"));
                }
                _ => {}
            }
            starts = depth == 1 && matches!(token(at), "," | "%" | "?");
            at += 1;
        }
    }
    found
}

#[test]
fn no_field_of_a_log_line_has_the_name_of_what_every_line_has() {
    let texts = source::texts();
    let found: Vec<_> = texts
        .iter()
        .flat_map(|(path, text)| names_taken(path, text))
        .collect();
    assert_none(&found);
}

#[test]
fn a_field_that_takes_a_name_of_every_line_is_found() {
    for taken in [
        "tracing::error!(message, \"text\")",
        "tracing::error!(job.id = %id, message, \"text\")",
        "warn!(%message, \"text\")",
        "tracing::info_span!(\"request\", level = 3)",
        "tracing::info!(error = f(a, b), target = ?place, \"text\")",
    ] {
        assert_eq!(names_taken("a.rs", taken).len(), 1, "{taken}");
    }
    for fine in [
        "tracing::error!(gladia.message = message, \"text\")",
        "tracing::error!(target: \"place\", panic = message, \"text\")",
        "tracing::info!(webhook.id = message.id, f = f(level, span), \"message\")",
        "let message = format!(\"text\", message);",
    ] {
        assert_none(&names_taken("a.rs", fine));
    }
}
