//! The name under which a browser saves an answer: `Content-Disposition` after RFC 6266.

use axum::http::HeaderValue;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// No name is longer, in characters, without its extension.
const LONGEST: usize = 100;

/// What is written as an escape in `filename*`: all but letters, digits and these.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'!')
    .remove(b'#')
    .remove(b'$')
    .remove(b'&')
    .remove(b'+')
    .remove(b'-')
    .remove(b'.')
    .remove(b'^')
    .remove(b'_')
    .remove(b'`')
    .remove(b'|')
    .remove(b'~');

/// The name of a file without folder and extension, as every system takes it. `None` where nothing is left.
pub fn stem(filename: &str) -> Option<String> {
    let name = filename.rsplit(['/', '\\']).next().unwrap_or_default();
    let name = match name.rsplit_once('.') {
        Some((stem, _)) if !stem.trim_matches('.').is_empty() => stem,
        _ => name,
    };
    let name: String = name
        .chars()
        .filter(|c| !c.is_control() && !hides_order(*c))
        .map(|c| if "<>:\"|?*".contains(c) { '_' } else { c })
        .take(LONGEST)
        .collect();
    let name = name.trim_matches(|c: char| c == '.' || c.is_whitespace());
    (!name.is_empty()).then(|| name.to_owned())
}

/// Characters that let a name read as another: they turn the direction of what follows.
fn hides_order(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// The header for a name that [`stem`] made, with an extension. Other than ASCII goes into `filename*` (RFC 8187), and for
/// those who do not know that, as underscores into `filename`.
pub fn attachment(name: &str) -> HeaderValue {
    let is_plain = |c: char| (' '..='~').contains(&c) && !"\"\\%".contains(c);
    let plain: String = name
        .chars()
        .map(|c| if is_plain(c) { c } else { '_' })
        .collect();
    let mut value = format!("attachment; filename=\"{plain}\"");
    if plain != name {
        value.push_str("; filename*=UTF-8''");
        value.extend(utf8_percent_encode(name, ESCAPED));
    }
    HeaderValue::from_str(&value).unwrap_or(HeaderValue::from_static("attachment"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_loses_its_folder_its_extension_and_what_no_system_takes() {
        for (filename, expected) in [
            ("call.mp3", Some("call")),
            ("C:\\calls\\a.b.wav", Some("a.b")),
            ("../../etc/passwd", Some("passwd")),
            ("a:b?.ogg", Some("a_b_")),
            ("invoice\u{202e}gpj.exe", Some("invoicegpj")),
            (".hidden", Some("hidden")),
            ("通話 1.m4a", Some("通話 1")),
            ("a\r\nSet-Cookie: x.wav", Some("aSet-Cookie_ x")),
            ("...", None),
            ("", None),
        ] {
            assert_eq!(stem(filename).as_deref(), expected, "{filename}");
        }
        assert_eq!(stem(&"é".repeat(300)).unwrap().chars().count(), LONGEST);
    }

    #[test]
    fn what_is_not_ascii_is_written_twice() {
        assert_eq!(
            attachment("call \"1\".srt"),
            "attachment; filename=\"call _1_.srt\"; filename*=UTF-8''call%20%221%22.srt"
        );
        assert_eq!(
            attachment("é.srt"),
            "attachment; filename=\"_.srt\"; filename*=UTF-8''%C3%A9.srt"
        );
        assert_eq!(
            attachment("é!#$&+-.^_`|~'()*%,/:;=?@[]{}"),
            "attachment; filename=\"_!#$&+-.^_`|~'()*_,/:;=?@[]{}\"; \
             filename*=UTF-8''%C3%A9!#$&+-.^_`|~%27%28%29%2A%25%2C%2F%3A%3B%3D%3F%40%5B%5D%7B%7D"
        );
        assert_eq!(attachment("a b.srt"), "attachment; filename=\"a b.srt\"");
    }
}
