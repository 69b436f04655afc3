//! What a result holds.

use serde_json::{Value, json};

use super::support::{Api, body, quick, scripted};

#[tokio::test]
async fn the_bundled_recording_comes_back_with_its_words_speakers_and_times() {
    let api = Api::start(quick()).await;
    let uploaded = api.upload_recording().await;
    let metadata = &uploaded["audio_metadata"];
    assert_eq!(metadata["filename"], "support-call.ogg");
    assert_eq!(metadata["extension"], "ogg");
    assert_eq!(metadata["number_of_channels"], 1);
    let duration = metadata["audio_duration"].as_f64().unwrap();
    assert!((duration - 32.25).abs() < 0.1, "{duration}");

    let created = body(
        api.post(&json!({"audio_url": uploaded["audio_url"], "diarization": true}))
            .await,
    )
    .await;
    let id = created["id"].as_str().unwrap();
    assert_eq!(
        created["result_url"],
        api.url(&format!("/v2/pre-recorded/{id}"))
    );
    let job = api.wait_until_ended(id).await;
    assert_eq!(job["status"], "done");
    assert_eq!(job["request_id"], format!("G-{}", &id[..8]));
    assert_eq!(job["file"]["id"], metadata["id"]);
    assert_eq!(job["file"]["source"], Value::Null);

    let transcription = &job["result"]["transcription"];
    let utterances = transcription["utterances"].as_array().unwrap();
    assert_eq!(utterances.len(), 7);
    assert_eq!(
        utterances[0]["text"],
        "Good morning, this is Anna from Northwind Freight. How can I help you?"
    );
    assert_eq!(utterances[1]["speaker"], 1);
    assert_eq!(utterances[0]["words"][0]["word"], "Good");
    assert_eq!(utterances[1]["words"][0]["word"], " Hello");
    let words = utterances
        .iter()
        .flat_map(|utterance| utterance["words"].as_array().unwrap());
    let joined: String = words.map(|word| word["word"].as_str().unwrap()).collect();
    assert_eq!(transcription["full_transcript"], joined);
    assert_eq!(
        job["result"]["metadata"]["billing_time"],
        metadata["audio_duration"]
    );
    api.simulator.shutdown().await;
}

#[tokio::test]
async fn every_add_on_that_is_asked_for_is_answered_in_its_shape() {
    let api = Api::start(quick()).await;
    let uploaded = api.upload_recording().await;
    let id = api
        .create(&json!({
            "audio_url": uploaded["audio_url"],
            "diarization": true, "sentences": true, "summarization": true, "sentiment_analysis": true,
            "named_entity_recognition": true,
            "subtitles": true, "subtitles_config": {"formats": ["srt", "vtt"]},
            "translation": true, "translation_config": {"target_languages": ["fr", "de"]},
            "audio_to_llm": true, "audio_to_llm_config": {"prompts": ["List the action items.", "Why?"]},
            "custom_spelling": true,
            "custom_spelling_config": {"spelling_dictionary": {"Morrow": ["moreau"]}},
        }))
        .await;
    let result = api.wait_until_ended(&id).await["result"].clone();

    let subtitles = &result["transcription"]["subtitles"];
    let srt = subtitles[0]["subtitles"].as_str().unwrap();
    assert!(srt.starts_with("1\n00:00:00.400 --> "), "{srt}");
    assert!(
        subtitles[1]["subtitles"]
            .as_str()
            .unwrap()
            .starts_with("WEBVTT\n\n1\n")
    );
    let translations = &result["translation"]["results"];
    assert!(
        translations[0]["full_transcript"]
            .as_str()
            .unwrap()
            .starts_with("Bonjour, ici Anna")
    );
    assert!(
        translations[1]["full_transcript"]
            .as_str()
            .unwrap()
            .starts_with("de:Good de:morning,")
    );
    assert!(
        result["summarization"]["results"]
            .as_str()
            .unwrap()
            .contains("Lyon")
    );
    assert_eq!(
        result["sentiment_analysis"]["results"][0]["sentiment"],
        "positive"
    );
    let entities = result["named_entity_recognition"]["results"]
        .as_array()
        .unwrap();
    assert!(
        entities
            .iter()
            .any(|entity| entity["text"] == "Daniel Moreau")
    );
    let answers = &result["audio_to_llm"]["results"];
    assert!(
        answers[0]["results"]["response"]
            .as_str()
            .unwrap()
            .contains("invoice")
    );
    assert_eq!(
        answers[1]["results"]["response"],
        "Simulated answer to: Why?"
    );
    assert_eq!(
        result["sentences"]["results"][1]["sentence"],
        "How can I help you?"
    );
    assert_eq!(result["transcription"]["sentences"][0], result["sentences"]);
    assert_eq!(result["diarization"]["success"], true);
    let text = result["transcription"]["full_transcript"].as_str().unwrap();
    assert!(text.contains("Daniel Morrow. I am"), "{text}");
}

#[tokio::test]
async fn redaction_hides_the_entities_in_every_text() {
    let api = Api::start(quick()).await;
    let uploaded = api.upload_recording().await;
    let mut options = json!({
        "audio_url": uploaded["audio_url"],
        "pii_redaction": true, "pii_redaction_config": {"entity_types": ["NAME", "LOCATION_CITY"]},
        "translation": true, "translation_config": {"target_languages": ["fr"]},
    });
    let id = api.create(&options).await;
    let result = api.wait_until_ended(&id).await["result"].to_string();
    for hidden in ["Anna", "Daniel", "Moreau", "Lyon"] {
        assert!(!result.contains(hidden), "{hidden}");
    }
    assert!(result.contains("my name is [NAME_1]. I am"));
    options["pii_redaction_config"]["processed_text_type"] = "MASK".into();
    let id = api.create(&options).await;
    let job = api.wait_until_ended(&id).await;
    let text = job["result"]["transcription"]["full_transcript"]
        .as_str()
        .unwrap();
    assert!(text.contains("my name is ###### ######. I am"), "{text}");
    // One kind may stand by itself, without a list.
    options["pii_redaction_config"]["entity_types"] = "LOCATION_CITY".into();
    let id = api.create(&options).await;
    let result = api.wait_until_ended(&id).await["result"].to_string();
    assert!(!result.contains("Lyon"));
    assert!(result.contains("my name is Daniel Moreau. I am"));
}

#[tokio::test]
async fn a_count_may_be_written_with_a_point() {
    let api = Api::start(quick()).await;
    let uploaded = api.upload_recording().await;
    let with = |speakers: Value, columns: Value, rows: Value| {
        json!({
            "audio_url": uploaded["audio_url"],
            "diarization": true, "diarization_config": speakers,
            "subtitles": true, "subtitles_config": {
                "formats": ["srt"], "maximum_characters_per_row": columns, "maximum_rows_per_caption": rows,
            },
        })
    };
    let mut transcriptions = Vec::new();
    for options in [
        with(json!({ "number_of_speakers": 1 }), json!(20), json!(1)),
        with(
            json!({ "number_of_speakers": 1.0 }),
            json!(20.0),
            json!(1.0),
        ),
        with(json!({ "max_speakers": 1.0 }), json!(2e1), json!(1e0)),
    ] {
        let id = api.create(&options).await;
        transcriptions.push(api.wait_until_ended(&id).await["result"]["transcription"].clone());
    }
    let utterances = transcriptions[0]["utterances"].as_array().unwrap();
    assert!(utterances.iter().all(|said| said["speaker"] == 0));
    let srt = transcriptions[0]["subtitles"][0]["subtitles"].as_str();
    assert!(srt.unwrap().contains("Good morning, this\n\n"), "{srt:?}");
    assert_eq!(transcriptions[1], transcriptions[0]);
    assert_eq!(transcriptions[2], transcriptions[0]);
}

#[tokio::test]
async fn a_script_can_fail_add_ons_and_jobs() {
    let api = Api::start(scripted(&json!({"entries": [
        {"match": "*/addon", "duration": 1.0, "failed_addons": {
            "summarization": {"status_code": 503, "exception": "E", "message": "away"}}},
        {"match": "*/job", "duration": 1.0, "error": {"code": 500, "message": "broken"}},
    ]})))
    .await;
    let addon = api
        .create(&json!({"audio_url": "https://a.example/addon", "summarization": true}))
        .await;
    let job = api.wait_until_ended(&addon).await;
    assert_eq!(job["status"], "done");
    assert_eq!(job["result"]["summarization"]["success"], false);
    assert_eq!(job["result"]["summarization"]["error"]["message"], "away");
    let failed = api
        .create(&json!({"audio_url": "https://a.example/job"}))
        .await;
    assert_eq!(api.wait_until_ended(&failed).await["error_code"], 500);
}
