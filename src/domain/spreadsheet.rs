//! Text of other people's in tables that are opened with spreadsheets.

use std::borrow::Cow;

/// A field as text, whatever is in it: one that a spreadsheet would run as a formula gets an apostrophe before it, which is
/// how people tell a spreadsheet that it is none. Numbers, and signs that stand alone, are left as they are.
///
/// Source: <https://owasp.org/www-community/attacks/CSV_Injection>, also for the wide forms of the signs.
#[must_use]
pub fn no_formula(text: &str) -> Cow<'_, str> {
    let begins = text.trim_start();
    let is_formula = match begins.strip_prefix(['=', '+', '-', '@', '＝', '＋', '－', '＠']) {
        None => false,
        Some(_) if begins.starts_with(['=', '＝']) => true,
        Some(rest) => {
            let is_number = rest
                .chars()
                .all(|c| c.is_ascii_digit() || c == '.' || c == ',');
            !is_number && rest.contains(char::is_alphanumeric)
        }
    };
    if is_formula {
        Cow::Owned(format!("'{text}"))
    } else {
        Cow::Borrowed(text)
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
            "\t=1+1",
            "\r=1+1",
        ] {
            assert_eq!(no_formula(formula), format!("'{formula}"));
        }
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
            "",
        ] {
            assert_eq!(no_formula(text), text);
        }
    }
}
