//! What holds of every transcript.

use proptest::prelude::*;

use super::*;

/// Words of several scripts, and such as formats have a use for.
fn word() -> impl Strategy<Value = String> {
    let words = [
        "the",
        "harbour",
        "Rotterdam",
        "yes.",
        "no,",
        "3.5",
        "don't",
        "-->",
        "--",
        ">",
        "<b>",
        "&amp;",
        "&",
        "[NAME_1]",
        "本日は",
        "会議。",
        "、",
        "ภาษาไทย",
        "مرحبا",
        "שלום",
        "👩‍👩‍👧‍👦",
        "e\u{301}",
        "…",
        "Donaudampfschifffahrtsgesellschaft",
        "1",
    ];
    (
        prop::bool::weighted(0.8),
        prop::sample::select(words.to_vec()),
    )
        .prop_map(|(spaced, word)| {
            if spaced {
                format!(" {word}")
            } else {
                word.to_owned()
            }
        })
}

/// Utterances one after the other, whose words have all kinds of lengths and pauses.
fn orderly() -> impl Strategy<Value = Value> {
    let words = prop::collection::vec((word(), 100_u32..1500, 0_u32..2500), 1..25);
    let utterances = prop::collection::vec(
        (
            words,
            prop::option::of(0_u32..3),
            prop::option::of(0_u32..2),
        ),
        0..8,
    );
    (utterances, 0_u32..400_000).prop_map(|(utterances, start_s)| {
        let mut at = f64::from(start_s);
        let utterances: Vec<Value> = utterances
            .into_iter()
            .map(|(words, speaker, channel)| {
                let start = at;
                let text: String = words.iter().map(|(word, ..)| word.as_str()).collect();
                let words: Vec<Value> = words
                    .into_iter()
                    .map(|(word, length, pause)| {
                        let end = at + f64::from(length) / 1000.0;
                        let word = json!({ "word": word, "start": at, "end": end });
                        at = end + f64::from(pause) / 1000.0;
                        word
                    })
                    .collect();
                json!({
                    "text": text.trim(), "start": start, "end": at, "words": words, "speaker": speaker, "channel": channel,
                })
            })
            .collect();
        result(utterances)
    })
}

/// Utterances whose times mean nothing.
fn wild() -> impl Strategy<Value = Value> {
    let time = prop_oneof![
        3 => (0_u32..20).prop_map(|s| json!(f64::from(s) / 2.0)),
        1 => (-1e12_f64..1e12).prop_map(|s| json!(s)),
        1 => Just(Value::Null),
    ];
    let word = (word(), time.clone(), time.clone())
        .prop_map(|(word, start, end)| json!({ "word": word, "start": start, "end": end }));
    let utterance = (prop::collection::vec(word, 0..8), time.clone(), time, prop::option::of(0_u32..3)).prop_map(
        |(words, start, end, speaker)| {
            let text: String = words.iter().filter_map(|word| word["word"].as_str()).collect();
            json!({ "text": text.trim(), "start": start, "end": end, "words": words, "speaker": speaker })
        },
    );
    prop::collection::vec(utterance, 0..8).prop_map(result)
}

fn limits() -> impl Strategy<Value = CaptionLimits> {
    (1_u64..30, 0_u64..5, 2_usize..50, 1_usize..6).prop_map(|(longest, shortest, columns, rows)| {
        CaptionLimits {
            minimum_duration_ms: shortest.min(longest) * 1_000,
            maximum_duration_ms: longest * 1_000,
            maximum_characters_per_row: columns,
            maximum_rows_per_caption: rows,
        }
    })
}

/// The letters of all utterances, in the order in which they are said.
fn letters(result: &Value) -> String {
    let utterances = result["transcription"]["utterances"].as_array().unwrap();
    utterances
        .iter()
        .map(|u| dense(u["text"].as_str().unwrap()))
        .collect()
}

fn letters_of(captions: &[Caption]) -> String {
    let texts = captions.iter().map(|caption| dense(&caption.text()));
    as_said(&texts.collect::<String>())
}

fn sorted(text: &str) -> Vec<char> {
    let mut letters: Vec<char> = text.chars().collect();
    letters.sort_unstable();
    letters
}

proptest! {
    #[test]
    fn every_word_is_there_once_and_in_order(result in orderly(), limits in limits()) {
        let mut wishes = unlabelled();
        wishes.limits = limits;
        let expected = letters(&result);
        for captions in [srt(&result, &wishes), vtt(&result, &wishes)] {
            prop_assert_eq!(letters_of(&captions), expected.clone());
            assert_within(&captions, limits);
            // One voice at a time is here, so nothing overlaps.
            prop_assert!(captions.windows(2).all(|two| two[0].end_ms <= two[1].start_ms));
        }
        prop_assert_eq!(dense(&rendered(&result, Format::Txt, &wishes)), expected);
    }

    #[test]
    fn whatever_the_times_are_every_word_is_there_and_captions_are_valid(
        result in wild(), limits in limits(), shown in prop::option::of(prop::bool::ANY),
    ) {
        let mut wishes = wishes(limits);
        wishes.labels.shown = shown;
        let captions = vtt(&result, &wishes);
        assert_within(&captions, limits);
        prop_assert_eq!(sorted(&letters_of(&captions)), sorted(&letters(&result)));
        assert_within(&srt(&result, &wishes), limits);
        for format in [Format::Txt, Format::Md, Format::Csv] {
            rendered(&result, format, &wishes);
        }
        // What a voice says never overlaps.
        let mut by_voice = captions;
        by_voice.sort_by_key(|caption| caption.voice.clone());
        let overlaps = by_voice.windows(2).any(|two| {
            two[0].voice == two[1].voice && two[0].voice.is_some() && two[0].end_ms > two[1].start_ms
        });
        prop_assert!(!overlaps);
    }

    #[test]
    fn bytes_of_any_kind_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = render(&bytes, Format::Srt, &Wishes::default(), "");
    }

    #[test]
    fn json_of_any_kind_in_the_place_of_anything_never_panics(
        result in orderly(), at in 0_usize..200, odd in prop::sample::select(
            vec![json!(null), json!(-1), json!("x"), json!([[]]), json!({"text": {}}), json!(1e308)]
        ),
    ) {
        let mut result = result;
        let mut left = at;
        replace(&mut result, &mut left, &odd);
        for format in [Format::Txt, Format::Srt, Format::Vtt, Format::Md, Format::Csv] {
            let _ = try_render(&result, format, &Wishes::default());
        }
    }
}

/// Puts something else in the place of one of the values, counted through.
fn replace(value: &mut Value, left: &mut usize, odd: &Value) {
    if *left == 0 {
        *value = odd.clone();
        *left = usize::MAX;
        return;
    }
    *left -= 1;
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| replace(item, left, odd)),
        Value::Object(fields) => fields
            .values_mut()
            .for_each(|field| replace(field, left, odd)),
        _ => {}
    }
}
