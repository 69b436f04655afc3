//! Values of headers, parts of which may stand in quotes (RFC 9110, section 5.6.4).

/// Splits at a mark, except within quotes.
pub fn split(list: &str, mark: char) -> impl Iterator<Item = &str> {
    let (mut is_quoted, mut is_escaped) = (false, false);
    list.split(move |c: char| {
        let is_mark = c == mark && !is_quoted;
        if is_escaped {
            is_escaped = false;
        } else if is_quoted && c == '\\' {
            is_escaped = true;
        } else if c == '"' {
            is_quoted = !is_quoted;
        }
        is_mark
    })
}

/// What stands between the quotes of a value, escapes and all. `None` where it has no quotes around it.
#[must_use]
pub fn unquoted(value: &str) -> Option<&str> {
    value.strip_prefix('"')?.strip_suffix('"')
}
