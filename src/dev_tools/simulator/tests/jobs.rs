//! Creating, reading and deleting jobs; what a transcript holds.

use axum::http::Method;
use serde_json::{Value, json};

use super::support::{Api, body, eventually, quick, scripted, slow};
use crate::dev_tools::simulator::SimulatorSettings;

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
}

#[tokio::test]
async fn errors_come_in_the_envelope_that_names_the_path() {
    let api = Api::start(quick()).await;
    let known = "/v2/pre-recorded";
    let unknown = "/v2/pre-recorded/b7d3f0aa-6a55-4c0e-9d58-0f6a0e2f4c11";
    for (method, path, key, status, message) in [
        (Method::GET, known, None, 401, "no gladia key provided"),
        (
            Method::GET,
            known,
            Some("other"),
            401,
            "gladia user not found",
        ),
        (
            Method::GET,
            unknown,
            Some("simulated-key"),
            404,
            "Not found",
        ),
        (
            Method::DELETE,
            unknown,
            Some("simulated-key"),
            404,
            "Not found",
        ),
        (
            Method::GET,
            "/v2/pre-recorded/nope",
            Some("simulated-key"),
            404,
            "Not found",
        ),
        (
            Method::GET,
            "/v2/nope",
            Some("simulated-key"),
            404,
            "Cannot GET /v2/nope",
        ),
        (
            Method::PUT,
            known,
            Some("simulated-key"),
            404,
            "Cannot PUT /v2/pre-recorded",
        ),
    ] {
        let mut request = api.bare(method, path);
        if let Some(key) = key {
            request = request.header("x-gladia-key", key);
        }
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), status);
        assert_eq!(response.headers()["access-control-allow-origin"], "*");
        let error = body(response).await;
        assert_eq!(error["statusCode"], status);
        assert_eq!(error["path"], path);
        assert_eq!(error["message"], message);
        assert_eq!(error["request_id"].as_str().unwrap().len(), 10);
        assert!(error["timestamp"].as_str().unwrap().ends_with('Z'));
    }
    let response = api.post(&json!({"audio_url": 5, "diarization": 1})).await;
    assert_eq!(response.status(), 400);
    let error = body(response).await;
    assert_eq!(
        error["validation_errors"],
        json!([
            "audio_url must be a URL address",
            "diarization must be a boolean value"
        ])
    );
    assert_eq!(
        body(api.bare(Method::GET, "/health").send().await.unwrap()).await,
        json!({"health": "OK"})
    );
}

#[tokio::test]
async fn jobs_above_the_limit_wait_and_those_above_the_queue_are_refused() {
    let api = Api::start(SimulatorSettings {
        max_running: 1,
        max_queued: 1,
        ..slow()
    })
    .await;
    let first = api.create_synthetic(&json!({})).await;
    let second = api.create_synthetic(&json!({})).await;
    let response = api
        .post(&json!({"audio_url": "https://audio.example/3.wav"}))
        .await;
    assert_eq!(response.status(), 429);
    let error = body(response).await;
    assert!(
        error["message"]
            .as_str()
            .unwrap()
            .starts_with("Rate limit exceeded. As a ")
    );
    let status =
        async |id: &str| api.get(&format!("/v2/pre-recorded/{id}")).await["status"].clone();
    assert_eq!(status(&first).await, "processing");
    assert_eq!(status(&second).await, "queued");
    let counts = api.ledger().await["counts"].clone();
    assert_eq!(counts["creates_received"], 3);
    assert_eq!(counts["creates_accepted"], 2);
    assert_eq!(counts["max_in_flight_seen"], 2);
}

#[tokio::test]
async fn the_next_job_starts_when_one_ends() {
    let api = Api::start(SimulatorSettings {
        max_running: 1,
        ..quick()
    })
    .await;
    let mut ids = Vec::new();
    for _ in 0..5 {
        ids.push(api.create_synthetic(&json!({})).await);
    }
    for id in &ids {
        assert_eq!(api.wait_until_ended(id).await["status"], "done");
    }
}

#[tokio::test]
async fn a_job_cannot_be_deleted_before_it_has_ended() {
    let api = Api::start(scripted(&json!({"entries": [
        {"match": "https://audio.example/long", "duration": 8000.0},
        {"match": "https://audio.example/short", "duration": 1.0},
    ]})))
    .await;
    let busy = api
        .create(&json!({"audio_url": "https://audio.example/long"}))
        .await;
    let path = format!("/v2/pre-recorded/{busy}");
    let response = api.request(Method::DELETE, &path).send().await.unwrap();
    assert_eq!(response.status(), 403);
    assert_eq!(body(response).await["message"], "Invalid parameter");

    let ended = api
        .create(&json!({"audio_url": "https://audio.example/short"}))
        .await;
    api.wait_until_ended(&ended).await;
    let path = format!("/v2/transcription/{ended}");
    let response = api.request(Method::DELETE, &path).send().await.unwrap();
    assert_eq!(response.status(), 202);
    assert_eq!(response.bytes().await.unwrap().len(), 0);
    let response = api.request(Method::GET, &path).send().await.unwrap();
    assert_eq!(response.status(), 404);
}

#[tokio::test]
async fn audio_that_cannot_be_fetched_ends_the_job_in_error() {
    let api = Api::start(quick()).await;
    let id = api
        .create(&json!({"audio_url": "http://127.0.0.1:1/a.wav"}))
        .await;
    let job = api.wait_until_ended(&id).await;
    assert_eq!(job["status"], "error");
    assert_eq!(job["error_code"], 400);
    assert_eq!(job["result"], Value::Null);
}

#[tokio::test]
async fn private_addresses_are_not_fetched_from_unless_they_are_allowed() {
    let api = Api::start(SimulatorSettings {
        allow_loopback: false,
        ..quick()
    })
    .await;
    for url in [api.url("/health"), "http://localhost:1/a.wav".to_owned()] {
        let id = api.create(&json!({"audio_url": url})).await;
        assert_eq!(api.wait_until_ended(&id).await["status"], "error");
    }
    // It would have reached its own address.
    let requests = api.ledger().await["requests"].clone();
    assert!(
        requests
            .as_array()
            .unwrap()
            .iter()
            .all(|request| request["path"] != "/health")
    );
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

#[tokio::test]
async fn the_file_is_served_by_another_origin_that_must_not_see_the_key() {
    let api = Api::start(quick()).await;
    let uploaded = api.upload_recording().await;
    let id = api
        .create(&json!({"audio_url": uploaded["audio_url"]}))
        .await;
    let path = format!("/v2/pre-recorded/{id}/file");
    let response = api.request(Method::GET, &path).send().await.unwrap();
    assert_eq!(response.status(), 302);
    let location = response.headers()["location"].to_str().unwrap().to_owned();
    assert!(!location.starts_with(&api.url("")));

    let leaked = api
        .http
        .get(&location)
        .header("x-gladia-key", "simulated-key");
    assert_eq!(leaked.send().await.unwrap().status(), 400);
    assert_eq!(api.ledger().await["counts"]["keys_leaked"], 1);

    let response = api.http.get(&location).send().await.unwrap();
    assert_eq!(
        response.headers()["content-type"],
        "application/octet-stream"
    );
    let bytes = response.bytes().await.unwrap();
    assert_eq!(bytes, crate::dev_tools::simulator::BUNDLED_RECORDING);
    let unsigned = location.split('?').next().unwrap();
    assert_eq!(api.http.get(unsigned).send().await.unwrap().status(), 403);
}

#[tokio::test]
async fn a_reset_forgets_everything() {
    let api = Api::start(slow()).await;
    api.create_synthetic(&json!({})).await;
    let reset = api.bare(Method::POST, "/_simulator/reset").send().await;
    assert_eq!(reset.unwrap().status(), 204);
    let ledger = api.ledger().await;
    assert_eq!(ledger["jobs"], json!([]));
    assert_eq!(ledger["counts"]["creates_received"], 0);
}

#[tokio::test]
async fn a_simulator_that_is_shut_down_frees_its_port_although_jobs_run() {
    let api = Api::start(slow()).await;
    api.create_synthetic(&json!({})).await;
    let address = api.simulator.url();
    api.simulator.shutdown().await;
    let port = address.port().unwrap();
    eventually(async || {
        tokio::net::TcpListener::bind(("127.0.0.1", port))
            .await
            .ok()
    })
    .await;
}
