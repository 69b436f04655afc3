use serde_json::{Value, json};

use super::{SentenceEntry, SentimentResults, TranscriptionResult};

fn fixture(text: &str, member: &str) -> TranscriptionResult {
    let mut body: Value = serde_json::from_str(text).unwrap();
    serde_json::from_value(body[member].take()).unwrap()
}

#[test]
fn every_block_of_a_result_has_its_type() {
    let done = fixture(
        include_str!("../../../tests/fixtures/gladia/done.json"),
        "result",
    );
    assert_eq!(done.other, [].into());
    let transcription = done.transcription.unwrap();
    assert_eq!(transcription.other, [].into());
    let words = transcription.utterances[0].words.as_ref().unwrap();
    assert_eq!(words[1].word, " morning,");
    let translation = &done.translation.unwrap().results.unwrap()[0];
    assert_eq!(translation.languages, ["fr"]);
    let answers = done.audio_to_llm.unwrap().results.unwrap();
    assert!(answers[0].results.is_some());
    assert_eq!(answers[1].error.as_ref().unwrap().status_code, Some(504));
    let sentences = done.sentences.unwrap().results.unwrap();
    assert!(matches!(sentences[0], SentenceEntry::Sentence(_)));
    assert!(!done.chapterization.unwrap().success);
}

#[test]
fn a_failed_addon_has_its_error() {
    for (text, member) in [
        (
            include_str!("../../../tests/fixtures/gladia/done-addon-failed.json"),
            "result",
        ),
        (
            include_str!("../../../tests/fixtures/gladia/callback-success.json"),
            "payload",
        ),
    ] {
        let result = fixture(text, member);
        let failed = [
            result.summarization.and_then(|addon| addon.error),
            result.chapterization.and_then(|addon| addon.error),
        ];
        assert!(failed.into_iter().flatten().any(|e| e.message.is_some()));
    }
}

#[test]
fn both_forms_of_what_is_contested_are_read_and_what_is_not_known_is_kept() {
    let result: TranscriptionResult = serde_json::from_value(json!({
        "metadata": {
            "audio_duration": 1, "number_of_distinct_channels": 1, "billing_time": 1, "transcription_time": 0.5,
        },
        "sentences": { "success": true, "is_empty": false, "results": ["Hello."] },
        "sentiment_analysis": { "success": true, "is_empty": false, "results": "positive", "exec_time": 1, "error": null },
        "named_entity_recognition": {
            "success": true, "is_empty": false,
            "results": [{ "entity": "NAME", "text": "Anna", "start": 0, "end": 1 }],
        },
        "tomorrow": { "success": true },
    }))
    .unwrap();
    let sentences = result.sentences.unwrap().results.unwrap();
    assert_eq!(sentences, [SentenceEntry::Text("Hello.".to_owned())]);
    let sentiments = result.sentiment_analysis.unwrap().results.unwrap();
    assert_eq!(sentiments, SentimentResults::Text("positive".to_owned()));
    let entity = &result.named_entity_recognition.unwrap().results.unwrap()[0];
    assert_eq!(entity.other["entity"], "NAME");
    assert_eq!(result.other["tomorrow"]["success"], true);
}
