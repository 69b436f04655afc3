//! Times of all kinds, and what is missing.

use super::*;

#[test]
fn hours_go_beyond_ninety_nine() {
    let captions = srt(
        &result([
            said(100.0 * 3600.0, "Still here."),
            said(3.0 * 3600.0, "Early."),
        ]),
        &Wishes::default(),
    );
    assert_eq!(captions[0].start_ms, 3 * 3_600_000);
    assert_eq!(captions[1].start_ms, 360_000_000);
    let file = text(&result([said(100.0 * 3600.0, "Still here.")]), Format::Srt);
    assert!(
        file.starts_with("1\n100:00:00,000 --> 100:00:01,000\n"),
        "{file}"
    );
}

#[test]
fn words_that_take_no_time_are_shown_all_the_same() {
    let words: Vec<Value> = ["One.", " two.", " three."]
        .iter()
        .map(|word| json!({ "word": word, "start": 5.0, "end": 5.0 }))
        .collect();
    let utterance = json!({ "text": "One. two. three.", "start": 5.0, "end": 5.0, "words": words });
    let mut wishes = narrow(6, 1);
    for minimum_duration_ms in [0, 1_000] {
        wishes.limits.minimum_duration_ms = minimum_duration_ms;
        let captions = srt(&result([utterance.clone()]), &wishes);
        assert_within(&captions, wishes.limits);
        assert_eq!(rows(&captions), ["One.", "two.", "three."]);
        assert_eq!(captions[1].start_ms, 5_200);
    }
}

#[test]
fn utterances_that_came_in_another_order_are_put_in_order() {
    let result = result([
        said(8.0, "Third."),
        said(0.0, "First."),
        said(4.0, "Second."),
    ]);
    assert_eq!(
        rows(&srt(&result, &Wishes::default())),
        ["First.", "Second.", "Third."]
    );
    assert_eq!(text(&result, Format::Txt), "First.\n\nSecond.\n\nThird.\n");
    // A table has them where they stand.
    let table = text(&result, Format::Csv);
    assert!(
        table
            .lines()
            .nth(1)
            .unwrap()
            .starts_with("0,0,8.000,8.300,Third."),
        "{table}"
    );
}

#[test]
fn an_utterance_without_words_is_spread_over_its_time() {
    let text = "Erste Zeile hier. Zweite Zeile da.";
    let captions = srt(
        &result([json!({ "text": text, "start": 10.0, "end": 20.0 })]),
        &narrow(17, 1),
    );
    assert_eq!(rows(&captions), ["Erste Zeile hier.", "Zweite Zeile da."]);
    assert_eq!(captions[0].start_ms, 10_000);
    assert_eq!(captions[1].end_ms, 20_000);
    assert!(
        (14_000..16_000).contains(&captions[1].start_ms),
        "{captions:?}"
    );
}

#[test]
fn a_text_without_utterances_is_spread_over_the_recording() {
    let mut result = result(Value::Null);
    result["metadata"]["audio_duration"] = json!(6.5);
    result["transcription"]["full_transcript"] = json!("All of it.");
    let captions = srt(&result, &Wishes::default());
    assert_eq!((captions[0].start_ms, captions[0].end_ms), (0, 6_500));
    assert_eq!(text(&result, Format::Txt), "All of it.\n");
}

#[test]
fn odd_fields_spoil_nothing_beside_them() {
    let utterances = r#"[
        null, 7, "text", [], {}, {"text": "", "words": []}, {"text": null, "words": "none"},
        {"text": "No times.", "words": [{"word": "No"}, {"word": " times."}]},
        {"text": "Back", "start": 9, "end": 3, "words": [{"word": "Back", "start": 9.5, "end": -4}]},
        {"text": "Far", "start": 1e300, "end": 1e999, "speaker": "0", "channel": -1},
        {"text": "Before", "start": -5.5, "end": -5},
        {"text": "Strings", "start": "12.5", "end": "NaN", "confidence": {}},
        {"text": "Twice", "text": "Doubled", "start": 20.6399999999999999, "end": 21, "start": 20.64},
        {"text": "Half \ud83d a pair", "start": 30, "end": 31, "language": 7},
        {"text": "bell\u0007 and\nline\u2028s", "start": 40, "end": 41}
    ]"#;
    let body = format!(
        r#"{{"metadata": [], "transcription": {{"languages": null, "utterances": {utterances}}}}}"#
    );
    for format in [
        Format::Txt,
        Format::Srt,
        Format::Vtt,
        Format::Md,
        Format::Csv,
    ] {
        let file = render(body.as_bytes(), format, &unlabelled(), "").unwrap();
        for text in [
            "times", "Back", "Far", "Before", "Strings", "Doubled", "a pair",
        ] {
            assert_eq!(file.matches(text).count(), 1, "{text} in {file}");
        }
        assert!(
            !file.chars().any(|c| c.is_control() && !"\r\n".contains(c)),
            "{file}"
        );
    }
    let wishes = unlabelled();
    let captions = read_srt(&render(body.as_bytes(), Format::Srt, &wishes, "").unwrap());
    assert_within(&captions, wishes.limits);
    assert_within(
        &read_vtt(&render(body.as_bytes(), Format::Vtt, &wishes, "").unwrap()),
        wishes.limits,
    );
    assert_eq!(captions.last().unwrap().text(), "Far");
}

#[test]
fn only_a_result_without_any_transcript_cannot_be_rendered() {
    for body in [
        "",
        "{",
        "null",
        "[]",
        "{}",
        r#"{"transcription": null}"#,
        r#"{"transcription": []}"#,
    ] {
        let rendered = render(body.as_bytes(), Format::Txt, &Wishes::default(), "");
        assert_eq!(rendered, Err(CannotRender::NoTranscript), "{body}");
    }
    let nothing = json!({ "transcription": {} });
    assert_eq!(text(&nothing, Format::Srt), "");
    assert_eq!(text(&nothing, Format::Vtt), "WEBVTT\n");
    assert_eq!(text(&nothing, Format::Txt), "");
    assert_eq!(text(&nothing, Format::Md), "# call.mp3\n\n");
    assert_eq!(text(&nothing, Format::Csv).lines().count(), 1);
}

#[test]
fn two_captions_of_one_voice_never_overlap() {
    let result = result([
        said(0.0, "One two three"),
        said(0.5, "Four"),
        said(0.5, "Five"),
    ]);
    let captions = srt(&result, &Wishes::default());
    assert!(
        captions
            .windows(2)
            .all(|two| two[0].end_ms <= two[1].start_ms),
        "{captions:?}"
    );
    assert_eq!(rows(&captions), ["One two three", "Four", "Five"]);
}

#[test]
fn fifty_thousand_words_are_rendered() {
    let utterances: Vec<Value> = (0..1_000_u32)
        .map(|n| said(f64::from(n) * 21.0, &"word ".repeat(50)))
        .collect();
    let long = said(22_000.0, &"word ".repeat(50_000));
    for result in [result(utterances), result([long])] {
        let wishes = Wishes::default();
        let captions = srt(&result, &wishes);
        assert_within(&captions, wishes.limits);
        let words: usize = captions.iter().map(|c| c.text().split(' ').count()).sum();
        assert_eq!(words, 50_000);
        assert_eq!(text(&result, Format::Csv).lines().count(), 50_001);
    }
}
