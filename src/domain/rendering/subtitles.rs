//! Captions as files: `SubRip` and `WebVTT`.

use std::fmt::Write as _;

use super::cues::Cue;

/// Writes `SubRip`: lines end in LF, and the text is UTF-8 without a byte order mark, as players read it on every system.
///
/// The format has no way to write its own marks as text, so letters that look like them take their place: an arrow, the
/// bracket that opens a tag, and the stroke that makes a brace an instruction.
pub(super) fn srt(cues: &[Cue]) -> String {
    let mut file = String::new();
    for (number, cue) in (1..).zip(cues) {
        let (start, end) = (stamp(cue.span.start_ms, ','), stamp(cue.span.end_ms, ','));
        if number > 1 {
            file.push('\n');
        }
        // Writing to a string cannot fail.
        let _ = writeln!(file, "{number}\n{start} --> {end}");
        for row in &cue.rows {
            let row = row
                .replace("-->", "→")
                .replace('<', "‹")
                .replace("{\\", "{⧵");
            let _ = writeln!(file, "{row}");
        }
    }
    file
}

/// Writes `WebVTT`, with the speaker as the voice of the text. Source: <https://www.w3.org/TR/webvtt1/>.
pub(super) fn vtt(cues: &[Cue]) -> String {
    let mut file = String::from("WEBVTT\n");
    for cue in cues {
        let (start, end) = (stamp(cue.span.start_ms, '.'), stamp(cue.span.end_ms, '.'));
        let text = escape(&cue.rows.join("\n"));
        // Writing to a string cannot fail.
        let _ = write!(file, "\n{start} --> {end}\n");
        let _ = match &cue.label {
            Some(label) => writeln!(file, "<v {}>{text}</v>", escape(label)),
            None => writeln!(file, "{text}"),
        };
    }
    file
}

/// Writes what is a tag, or a part of one, as text. The arrow is gone with its point.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

/// A time with its milliseconds. Hours have two digits or more.
fn stamp(at_ms: u64, separator: char) -> String {
    let (seconds, ms) = (at_ms / 1_000, at_ms % 1_000);
    let (hours, minutes, seconds) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    format!("{hours:02}:{minutes:02}:{seconds:02}{separator}{ms:03}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hours_may_have_more_than_two_digits() {
        assert_eq!(stamp(0, ','), "00:00:00,000");
        assert_eq!(stamp(3_599_999, '.'), "00:59:59.999");
        assert_eq!(stamp(100 * 3_600_000, ','), "100:00:00,000");
    }
}
