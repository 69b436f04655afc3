//! Where captions begin and end.

use super::*;

#[test]
fn a_caption_ends_with_a_sentence_rather_than_in_the_middle_of_one() {
    let text = "I am calling about the shipment to Lyon. It left Rotterdam on Monday and it arrives in Lyon on Thursday, \
                as far as we know. Thank you.";
    let captions = srt(
        &result([said(0.0, text)]),
        &wishes(CaptionLimits {
            maximum_duration_ms: 30_000,
            ..CaptionLimits::default()
        }),
    );
    let texts: Vec<String> = captions.iter().map(Caption::text).collect();
    assert_eq!(
        texts,
        [
            "I am calling about the shipment to Lyon.",
            "It left Rotterdam on Monday and it arrives in Lyon on Thursday, as far as we know.",
            "Thank you.",
        ]
    );
}

#[test]
fn a_full_stop_that_ends_no_sentence_ends_no_caption() {
    let text = "Dr. Smith paid 3.50 dollars to Mr. Jones at 5 p.m. on the U.S. side of the border, i.e. near the old St. \
                Mary church. It was J. R. Brown's.";
    let mut words = wishes(CaptionLimits::default());
    words.limits.maximum_duration_ms = 30_000;
    for rows_at_most in [1, 2] {
        words.limits.maximum_rows_per_caption = rows_at_most;
        let captions = srt(&result([said(0.0, text)]), &words);
        for row in rows(&captions) {
            for end in ["Dr.", "Mr.", "p.m.", "U.S.", "i.e.", "St.", "J.", "R."] {
                assert!(!row.ends_with(end), "{row}");
            }
        }
    }
}

#[test]
fn rows_are_of_about_the_same_length() {
    let text = "It left Rotterdam on Monday and it will be here soon.";
    let captions = srt(
        &result([said(0.0, text)]),
        &wishes(CaptionLimits {
            maximum_duration_ms: 30_000,
            ..CaptionLimits::default()
        }),
    );
    assert_eq!(
        rows(&captions),
        ["It left Rotterdam on Monday", "and it will be here soon."]
    );
}

#[test]
fn a_row_ends_with_a_phrase_where_there_is_one_near_the_middle() {
    let text = "Good morning, Sasha, this is Anna from Northwind.";
    let captions = srt(&result([said(0.0, text)]), &Wishes::default());
    assert_eq!(
        rows(&captions),
        ["Good morning, Sasha,", "this is Anna from Northwind."]
    );
}

#[test]
fn no_caption_stays_through_a_silence() {
    let mut utterance = said(0.0, "So I said nothing");
    let words = utterance["words"].as_array_mut().unwrap();
    for (field, at) in [("start", 9.0), ("end", 9.3)] {
        words[3][field] = json!(at);
    }
    utterance["end"] = json!(9.3);
    let captions = srt(&result([utterance]), &Wishes::default());
    assert_eq!(captions.len(), 2);
    assert_eq!((captions[0].end_ms, captions[1].start_ms), (1_100, 9_000));
}

#[test]
fn what_is_short_stays_on_as_far_as_the_gap_goes() {
    let result = result([said(0.0, "Yes."), said(0.6, "No."), said(20.0, "Hm.")]);
    let captions = srt(&result, &Wishes::default());
    let spans: Vec<_> = captions.iter().map(|c| (c.start_ms, c.end_ms)).collect();
    assert_eq!(spans, [(0, 600), (600, 1_600), (20_000, 21_000)]);
}

#[test]
fn speech_at_the_same_time_is_shown_at_the_same_time() {
    let result = result([
        spoken(1.0, "Let me finish this sentence please", Some(0), Some(0)),
        spoken(1.5, "No", Some(1), Some(0)),
    ]);
    let captions = vtt(&result, &Wishes::default());
    let voices: Vec<_> = captions
        .iter()
        .map(|c| c.voice.as_deref().unwrap())
        .collect();
    assert_eq!(voices, ["Speaker 1", "Speaker 2"]);
    assert!(captions[1].start_ms < captions[0].end_ms);
    let lines = rendered(&result, Format::Srt, &Wishes::default());
    assert!(lines.contains("Speaker 1: Let me finish"), "{lines}");
    assert!(lines.contains("Speaker 2: No"), "{lines}");
}

#[test]
fn a_label_stands_where_another_voice_begins() {
    let result = result([
        spoken(0.0, "One.", Some(0), None),
        spoken(2.0, "Two.", Some(0), None),
        spoken(4.0, "Three.", Some(1), None),
    ]);
    let captions = srt(&result, &Wishes::default());
    assert_eq!(
        rows(&captions),
        ["Speaker 1: One.", "Two.", "Speaker 2: Three."]
    );
}

#[test]
fn channels_and_speakers_are_called_by_their_names() {
    let result = result([
        spoken(0.0, "Hello.", Some(0), Some(0)),
        spoken(2.0, "Hello.", Some(0), Some(1)),
        spoken(4.0, "Bye.", Some(1), Some(1)),
    ]);
    let mut wishes = Wishes::default();
    let voices = |wishes: &Wishes| -> Vec<String> {
        vtt(&result, wishes)
            .into_iter()
            .filter_map(|c| c.voice)
            .collect()
    };
    assert_eq!(
        voices(&wishes),
        ["Channel 1, Speaker 1", "Channel 2, Speaker 1", "Speaker 2"]
    );
    wishes.labels.channel_names = [(0, "Agent".to_owned())].into();
    wishes.labels.speaker_names = [(1, "Anna <& co>".to_owned())].into();
    assert_eq!(
        voices(&wishes),
        ["Agent, Speaker 1", "Channel 2, Speaker 1", "Anna <& co>"]
    );
    wishes.labels.shown = Some(false);
    assert_eq!(voices(&wishes), [""; 0]);
    wishes.channels = [1].into();
    wishes.speakers = [1].into();
    assert_eq!(rows(&srt(&result, &wishes)), ["Bye."]);
}

#[test]
fn one_voice_alone_has_no_label_unless_it_is_asked_for() {
    let result = result([spoken(0.0, "Hello.", Some(0), Some(0))]);
    assert_eq!(rows(&srt(&result, &Wishes::default())), ["Hello."]);
    let mut wishes = Wishes::default();
    wishes.labels.shown = Some(true);
    assert_eq!(rows(&srt(&result, &wishes)), ["Speaker 1: Hello."]);
    let mut wishes = Wishes::default();
    wishes.labels.speaker_names = [(0, "Anna".to_owned())].into();
    assert_eq!(rows(&srt(&result, &wishes)), ["Anna: Hello."]);
}

#[test]
fn a_label_keeps_within_the_limits_and_makes_way_where_there_is_no_room() {
    let two = [
        spoken(0.0, "Hello there", Some(0), None),
        spoken(3.0, "Hm", Some(1), None),
    ];
    let result = result(two.to_vec());
    for (columns, rows_at_most, first) in [
        (16, 2, "Speaker 1:"),
        (12, 2, "Speaker 1:"),
        (8, 2, "Hello"),
        (24, 1, "Speaker 1: Hello there"),
        (16, 1, "Hello there"),
    ] {
        let wishes = narrow(columns, rows_at_most);
        let captions = srt(&result, &wishes);
        assert_within(&captions, wishes.limits);
        assert_eq!(captions[0].rows[0], first);
    }
}
