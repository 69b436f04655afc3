//! What was said, for people to read.

use serde_json::Value;

/// The words with their speakers and times.
pub fn transcript(name: &str, job: &Value) -> String {
    let file = &job["file"];
    let channels = match file["number_of_channels"].as_i64() {
        Some(1) => ", 1 channel".to_owned(),
        Some(channels) => format!(", {channels} channels"),
        None => String::new(),
    };
    let duration = job["audio_duration_seconds"].as_f64().unwrap_or_default();
    let mut text = format!("\n{name}: {duration:.2} s{channels}\n\n");
    let utterances = job["result"]["transcription"]["utterances"].as_array();
    for utterance in utterances.into_iter().flatten() {
        let time = |field: &str| clock(utterance[field].as_f64().unwrap_or_default());
        let speaker = utterance["speaker"]
            .as_i64()
            .map_or_else(String::new, |number| format!("Speaker {}: ", number + 1));
        let words = utterance["text"].as_str().unwrap_or_default();
        let (start, end) = (time("start"), time("end"));
        text.extend(["  [", &start, " - ", &end, "] ", &speaker, words, "\n"]);
    }
    if utterances.is_none_or(Vec::is_empty) {
        text.push_str("  (no speech)\n");
    }
    text
}

/// Minutes, seconds and hundredths; hours where there are any.
fn clock(seconds: f64) -> String {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a time in a recording, not negative"
    )]
    let hundredths = (seconds.max(0.0) * 100.0).round() as u64;
    let (hours, rest) = (hundredths / 360_000, hundredths % 360_000);
    let (minutes, rest) = (rest / 6_000, rest % 6_000);
    let short = format!("{minutes:02}:{:02}.{:02}", rest / 100, rest % 100);
    if hours == 0 {
        short
    } else {
        format!("{hours}:{short}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_read_like_a_clock() {
        assert_eq!(clock(0.4), "00:00.40");
        assert_eq!(clock(75.999), "01:16.00");
        assert_eq!(clock(3_725.5), "1:02:05.50");
    }
}
