//! What the files look like.

use sha2::{Digest, Sha256};

use super::*;
use crate::domain::rendering::VERSION;

fn fixture() -> Value {
    let body = include_str!("../../../../tests/fixtures/gladia/done.json");
    let mut body: Value = serde_json::from_str(body).unwrap();
    body["result"].take()
}

fn names() -> Wishes {
    let mut wishes = Wishes::default();
    wishes.labels.speaker_names = [(0, "Anna".to_owned()), (1, "Sasha".to_owned())].into();
    wishes
}

#[test]
fn subtitles_are_files_of_their_formats() {
    assert_eq!(
        rendered(&fixture(), Format::Srt, &names()),
        "1\n00:00:00,470 --> 00:00:03,176\nAnna: Good morning, Sasha,\nthis is Anna from Northwind.\n\n\
         2\n00:00:03,660 --> 00:00:06,109\nSasha: Hi Anna,\nthe shipment reached Lyon on Tuesday.\n\n\
         3\n00:00:06,580 --> 00:00:08,881\nAnna: Great, please send me the invoice.\n"
    );
    assert_eq!(
        rendered(&fixture(), Format::Vtt, &names()),
        "WEBVTT\n\n\
         00:00:00.470 --> 00:00:03.176\n<v Anna>Good morning, Sasha,\nthis is Anna from Northwind.</v>\n\n\
         00:00:03.660 --> 00:00:06.109\n<v Sasha>Hi Anna, the shipment\nreached Lyon on Tuesday.</v>\n\n\
         00:00:06.580 --> 00:00:08.881\n<v Anna>Great, please send me the invoice.</v>\n"
    );
}

#[test]
fn texts_to_read_go_by_turns() {
    let mut wishes = names();
    wishes.language = Some("fr".to_owned());
    assert_eq!(
        rendered(&fixture(), Format::Txt, &wishes),
        "Anna: Bonjour Sasha, ici Anna de Northwind.\n\n\
         Sasha: Bonjour Anna, la livraison est arrivée à Lyon mardi.\n\n\
         Anna: Parfait, envoyez-moi la facture.\n"
    );
    assert_eq!(
        rendered(&fixture(), Format::Md, &wishes),
        "# call.mp3\n\n- Duration: 00:00:09\n- Language: fr\n- Translated from: en\n- Speakers: Anna; Sasha\n\n\
         **Anna** *00:00:00 – 00:00:03*\n\nBonjour Sasha, ici Anna de Northwind.\n\n\
         **Sasha** *00:00:03 – 00:00:06*\n\nBonjour Anna, la livraison est arrivée à Lyon mardi.\n\n\
         **Anna** *00:00:06 – 00:00:08*\n\nParfait, envoyez-moi la facture.\n"
    );
    let result = result([
        spoken(0.0, "One.", Some(0), None),
        spoken(2.0, "Two.", Some(0), None),
        spoken(4.0, "Three.", Some(1), None),
    ]);
    assert_eq!(
        text(&result, Format::Txt),
        "Speaker 1: One.\nTwo.\n\nSpeaker 2: Three.\n"
    );
}

#[test]
fn the_original_is_also_had_by_its_language() {
    let mut wishes = Wishes::default();
    let original = rendered(&fixture(), Format::Txt, &wishes);
    wishes.language = Some("EN".to_owned());
    assert_eq!(rendered(&fixture(), Format::Txt, &wishes), original);
}

#[test]
fn a_translation_that_is_not_there_or_failed_is_told() {
    let asked = |result: &Value, language: &str| {
        let wishes = Wishes {
            language: Some(language.to_owned()),
            ..Wishes::default()
        };
        try_render(result, Format::Srt, &wishes)
    };
    let mut result = fixture();
    let none = Err(CannotRender::NoTranslation(vec!["fr".to_owned()]));
    assert_eq!(asked(&result, "de"), none);
    let error = json!({ "status_code": 500, "exception": "Error", "message": "no model" });
    result["translation"]["results"]
        .as_array_mut()
        .unwrap()
        .push(
            json!({ "languages": ["de"], "utterances": [], "full_transcript": "", "error": error }),
        );
    let failed = Err(CannotRender::TranslationFailed("no model".to_owned()));
    assert_eq!(asked(&result, "de"), failed);
    assert!(asked(&result, "fr").is_ok());
    result["translation"] = json!({ "success": false, "results": null, "error": error });
    assert_eq!(asked(&result, "fr"), failed);
    result["translation"] = Value::Null;
    assert_eq!(
        asked(&result, "fr"),
        Err(CannotRender::NoTranslation(Vec::new()))
    );
}

#[test]
fn a_table_has_each_word_with_its_numbers() {
    let mut result = result([
        spoken(1.0, "Hello, \"you\" =1+1", Some(2), Some(1)),
        json!({ "text": "no words, but text", "start": 5.0, "end": 6.5 }),
    ]);
    result["transcription"]["utterances"][0]["words"][0]["start"] = json!(0.999_999_999_9);
    let file = text(&result, Format::Csv);
    assert!(file.ends_with("\r\n"));
    let mut table = csv::Reader::from_reader(file.as_bytes());
    let rows: Vec<Vec<String>> = table
        .records()
        .map(|row| row.unwrap().iter().map(str::to_owned).collect())
        .collect();
    assert_eq!(
        rows,
        [
            ["0", "0", "1.000", "1.300", "Hello,", "0.9", "2", "1", "en"],
            ["0", "1", "1.400", "1.700", "\"you\"", "0.9", "2", "1", "en"],
            ["0", "2", "1.800", "2.100", "'=1+1", "0.9", "2", "1", "en"],
            [
                "1",
                "",
                "5.000",
                "6.500",
                "no words, but text",
                "",
                "",
                "",
                ""
            ],
        ]
    );
}

#[test]
fn what_would_break_a_format_is_a_text_in_it() {
    let text = "{\\an8} a --> b <i>c</i> &amp; <v Eve>\n\n2\n00:00:01,000 --> 00:00:02,000";
    let result = result([json!({ "text": text, "start": 0, "end": 5 })]);
    let expected = dense(text);
    let captions = srt(&result, &Wishes::default());
    let got: String = captions.iter().map(|c| dense(&c.text())).collect();
    assert!(!got.contains(['<', '\\']), "{got}");
    assert_eq!(as_said(&got), expected);
    let captions = vtt(&result, &Wishes::default());
    let got: String = captions.iter().map(|c| dense(&c.text())).collect();
    assert_eq!(got, expected);
    assert!(captions.iter().all(|caption| caption.voice.is_none()));
}

#[test]
fn redacted_words_stay_redacted() {
    let result = result([said(0.0, "My name is [NAME_1], my number #### ##.")]);
    assert_eq!(
        rows(&srt(&result, &Wishes::default())),
        ["My name is [NAME_1], my number #### ##."]
    );
    assert_eq!(
        text(&result, Format::Txt),
        "My name is [NAME_1], my number #### ##.\n"
    );
}

#[test]
fn words_without_their_spaces_take_those_of_the_text() {
    let words = json!([
        { "word": "Hello", "start": 0.0, "end": 0.4 },
        { "word": "world.", "start": 0.5, "end": 0.9 },
    ]);
    let result =
        result([json!({ "text": "Hello world.", "start": 0, "end": 0.9, "words": words })]);
    assert_eq!(text(&result, Format::Txt), "Hello world.\n");
    assert_eq!(rows(&srt(&result, &narrow(6, 1))), ["Hello", "world."]);
}

#[test]
fn where_the_words_say_something_else_than_the_text_the_text_counts() {
    let utterance = |text: &str, words: &str| {
        let mut utterance = said(2.0, words);
        utterance["text"] = json!(text);
        utterance
    };
    for (shown, words) in [
        ("My name is [NAME_1].", "My| name| is| John."),
        ("My name is ####.", "My| name| is| John."),
        ("SQL is spelt right.", "Sequel| is| spelt| right."),
        ("[NAME_1]", "John|."),
    ] {
        let mut result = result([utterance(shown, words)]);
        assert_eq!(text(&result, Format::Txt), format!("{shown}\n"));
        let caption = &srt(&result, &Wishes::default())[0];
        assert_eq!((caption.text().as_str(), caption.start_ms), (shown, 2_000));
        let captions = vtt(&result, &Wishes::default());
        assert_eq!(rows(&captions), [shown]);
        let table = text(&result, Format::Csv);
        let rows: Vec<&str> = table.lines().skip(1).collect();
        let [row] = rows.as_slice() else {
            panic!("not one row: {table}")
        };
        assert!(row.starts_with("0,,2.000,"), "{row}");
        assert!(row.contains(shown), "{row}");
        for format in [Format::Md, Format::Csv] {
            let file = text(&result, format);
            assert!(!file.contains("John") && !file.contains("Sequel"), "{file}");
        }
        // Without times of its own it has those of its words.
        let end = result["transcription"]["utterances"][0]["end"].take();
        let end_ms = (end.as_f64().unwrap() * 1_000.0).round();
        result["transcription"]["utterances"][0]["start"] = Value::Null;
        let table = text(&result, Format::Csv);
        let row = table.lines().nth(1).unwrap();
        let expected = format!("0,,2.000,{:.3},", end_ms / 1_000.0);
        assert!(row.starts_with(&expected), "{row}");
    }
    // The same but for spaces and the case of letters: the words keep their times.
    for (written, words, shown) in [
        ("Hello world.", "Hello|world.", "Hello world."),
        ("GitHub, Straße", "github,| strasse", "GitHub, Straße"),
        ("GitHub, STRASSE", "github,| strasse", "GitHub, STRASSE"),
        ("", "Only| words.", "Only words."),
    ] {
        let result = result([utterance(written, words)]);
        assert_eq!(text(&result, Format::Txt), format!("{shown}\n"));
        let rows = text(&result, Format::Csv).lines().count() - 1;
        assert_eq!(rows, if written.contains('ß') { 1 } else { 2 }, "{written}");
    }
}

/// A caller who has a file asks whether there is another one by now, and is told by the version. So where this fails, and is
/// right to, the version goes up and the hash is replaced.
#[test]
fn what_is_rendered_in_another_way_has_another_version() {
    let scripts = [
        "Dr. Smith said: \"yes\", on the 3.5 < 4 & _so_ on.",
        "安定した、会議。始めます。",
        "안녕하세요 고객님 무엇을 도와드릴까요",
        "ภาษาไทยเป็นภาษาที่ไม่มีช่องว่างระหว่างคำ",
        "مرحبا بكم في Northwind كيف",
        "👩‍👩‍👧‍👦 e\u{301}",
        "=1+1",
        "a;=1+1 \"=1+1\" a\t=1+1",
        "Donaudampfschifffahrtsgesellschaft",
    ];
    let mut start = 0.0;
    let utterances: Vec<Value> = (0..)
        .zip(scripts)
        .map(|(number, text)| {
            start += 1.5;
            spoken(start, text, Some(number % 3), Some(number % 2))
        })
        .collect();
    let mut hash = Sha256::new();
    for result in [fixture(), result(utterances)] {
        for format in [
            Format::Txt,
            Format::Srt,
            Format::Vtt,
            Format::Md,
            Format::Csv,
        ] {
            for wishes in [Wishes::default(), names(), narrow(16, 3), narrow(24, 1)] {
                hash.update(rendered(&result, format, &wishes));
            }
        }
    }
    let hash = hash.finalize();
    assert_eq!((VERSION, &hash[..4]), (4, &[76, 216, 156, 174][..]));
}
