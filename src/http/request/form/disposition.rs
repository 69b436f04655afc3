//! What the header of a form's part says: how the part is called, and the file in it.

use axum::http::header::CONTENT_DISPOSITION;
use multer::Field;
use percent_encoding::percent_decode_str;

use super::AUDIO;
use crate::http::request::{
    file_name::bare_file_name,
    quoted::{split, unquoted},
};

/// The name of a part. The form's reader knows parameters in lower case alone, and their names are the same in any (RFC 2183).
pub(super) fn part_name(field: &Field<'_>) -> Option<String> {
    let name = field.name().map(str::to_owned);
    name.or_else(|| plain(disposition(field)?, "name"))
}

/// The name that a file is sent under, as nothing but a name. The extended form goes before the plain one (RFC 6266), which then
/// holds what those who do not know the extended form are to see.
pub(super) fn file_name(field: &Field<'_>) -> String {
    let disposition = disposition(field);
    let name = disposition
        .and_then(extended)
        .or_else(|| field.file_name().map(str::to_owned))
        .or_else(|| plain(disposition?, "filename"));
    bare_file_name(&name.unwrap_or_default()).unwrap_or_else(|| AUDIO.to_owned())
}

fn disposition<'a>(field: &'a Field<'_>) -> Option<&'a str> {
    let value = field.headers().get(CONTENT_DISPOSITION)?;
    str::from_utf8(value.as_bytes()).ok()
}

/// A parameter of a header, without its quotes. As browsers write them, only a quote is escaped: a `\` may stand in a path.
fn plain(disposition: &str, name: &str) -> Option<String> {
    let value = parameter(disposition, name)?;
    Some(unquoted(value).map_or_else(|| value.to_owned(), |text| text.replace(r#"\""#, "\"")))
}

/// The parameter `filename*` of a header (RFC 8187): `utf-8''R%C3%A9union.mp3`. `None` where there is none that can be read.
fn extended(disposition: &str) -> Option<String> {
    let value = parameter(disposition, "filename*")?;
    let (charset, rest) = value.split_once('\'')?;
    let (_language, encoded) = rest.split_once('\'')?;
    if !charset.eq_ignore_ascii_case("utf-8") {
        return None;
    }
    let name = percent_decode_str(encoded).decode_utf8().ok()?;
    Some(name.into_owned())
}

/// A parameter of a header as it stands there, whatever the case of its name.
fn parameter<'a>(disposition: &'a str, name: &str) -> Option<&'a str> {
    split(disposition, ';')
        .filter_map(|parameter| parameter.split_once('='))
        .find(|(found, _)| found.trim().eq_ignore_ascii_case(name))
        .map(|(_, value)| value.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_s_name_is_the_same_in_any_case() {
        for (disposition, expected) in [
            (r#"Form-Data; NAME="audio""#, Some("audio")),
            ("form-data; Name = audio ; FileName=a.wav", Some("audio")),
            (r#"form-data; Name="a\"; b""#, Some(r#"a"; b"#)),
            (r#"form-data; FILENAME="; NAME=audio""#, None),
            ("form-data; FILENAME=a.wav", None),
            ("form-data; NAME", None),
        ] {
            assert_eq!(
                plain(disposition, "name").as_deref(),
                expected,
                "{disposition}"
            );
        }
    }

    #[test]
    fn the_extended_form_is_a_parameter_and_no_part_of_one() {
        for (disposition, expected) in [
            (r#"form-data; name="audio"; filename="a.wav""#, None),
            (
                "form-data; FileName* = UTF-8'en'%e2%82%ac%20rates.wav ; name=audio",
                Some("€ rates.wav"),
            ),
            (r#"form-data; filename="; filename*=utf-8''a.wav""#, None),
            (r#"form-data; filename="\"; filename*=utf-8''a.wav""#, None),
            (
                r#"form-data; filename="\\"; filename*=utf-8''a.wav"#,
                Some("a.wav"),
            ),
            ("form-data; filename*=utf-8''%ff.wav", None),
            ("form-data; filename*=iso-8859-1''a.wav", None),
            ("form-data; filename*=a.wav", None),
            ("form-data; filename*", None),
        ] {
            assert_eq!(extended(disposition).as_deref(), expected, "{disposition}");
        }
    }
}
