//! Text of other people's in tables that are opened with spreadsheets.

use std::borrow::Cow;

/// A field as text, whatever is in it: what a spreadsheet would run as a formula gets an apostrophe before it, which is how
/// people tell a spreadsheet that it is none. Numbers, and signs that stand alone, are left as they are.
///
/// Where a comma is a decimal sign, spreadsheets begin a new cell at a semicolon, and on request at a tab; quotes in the middle of
/// such a cell hold nothing together, so a new line begins a new row. What stands behind any of them is looked at as well, also
/// within quotes, which such a spreadsheet takes off.
///
/// Source: <https://owasp.org/www-community/attacks/CSV_Injection>, also for the wide forms of the signs.
#[must_use]
pub fn no_formula(text: &str) -> Cow<'_, str> {
    if !text.split(SEPARATORS).any(is_formula) {
        return Cow::Borrowed(text);
    }
    let mut told = String::with_capacity(text.len() + 1);
    for cell in text.split_inclusive(SEPARATORS) {
        if is_formula(cell.strip_suffix(SEPARATORS).unwrap_or(cell)) {
            told.push('\'');
        }
        told.push_str(cell);
    }
    Cow::Owned(told)
}

/// What a cell may end at besides a comma, at which fields are quoted.
const SEPARATORS: [char; 4] = [';', '\t', '\n', '\r'];

fn is_formula(cell: &str) -> bool {
    let begins = cell.trim_start_matches(|c: char| c.is_whitespace() || c == '"');
    match begins.strip_prefix(['=', '+', '-', '@', '＝', '＋', '－', '＠']) {
        None => false,
        Some(_) if begins.starts_with(['=', '＝']) => true,
        Some(rest) => {
            let is_number = rest
                .chars()
                .all(|c| c.is_ascii_digit() || c == '.' || c == ',');
            !is_number && rest.contains(char::is_alphanumeric)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_spreadsheet_would_run_is_text() {
        for formula in [
            "=1+1",
            "+cmd|' /C calc'!A0",
            "@SUM(A1)",
            "-2+A1",
            "-1-2",
            "+1-555-0100",
            "=１",
            "=",
            "＝1+1",
            "＠SUM(A1)",
            "  =1+1",
            "\"=1+1",
            " \"\" @SUM(A1)",
        ] {
            assert_eq!(no_formula(formula), format!("'{formula}"));
            for separator in [";", "a;", "\t", "a\t", "\r", "a\r\n", "a\n"] {
                let guarded = format!("{separator}'{formula};b");
                assert_eq!(no_formula(&format!("{separator}{formula};b")), guarded);
            }
        }
        assert_eq!(no_formula("a;\"=1;b"), "a;'\"=1;b");
        assert_eq!(no_formula("=1;@a;-5;+b"), "'=1;'@a;-5;'+b");
        for text in [
            "word",
            "-",
            "--",
            "@",
            "-5",
            "+33",
            "-1,000.50",
            "a=b",
            "“=x”",
            "3-2",
            "\"word\"",
            "a;-5;+33;-;b=c",
            "",
        ] {
            assert_eq!(no_formula(text), text);
        }
    }
}
