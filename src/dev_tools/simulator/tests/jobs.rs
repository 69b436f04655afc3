//! Creating, reading and deleting jobs; limits; files.

use axum::http::Method;
use serde_json::{Value, json};

use super::support::{Api, body, eventually, quick, scripted, slow};
use crate::dev_tools::simulator::SimulatorSettings;

#[tokio::test]
async fn a_slash_at_the_end_changes_nothing() {
    let api = Api::start(quick()).await;
    for (number, base) in (1..).zip(["/v2/pre-recorded/", "/v2/transcription/"]) {
        let bare = api.bare(Method::POST, base).json(&json!({}));
        assert_eq!(bare.send().await.unwrap().status(), 401);
        let create = api.request(Method::POST, base);
        let create = create.json(&json!({"audio_url": "https://audio.example/1.wav"}));
        let created = create.send().await.unwrap();
        assert_eq!(created.status(), 201);
        assert_eq!(
            api.get(base).await["items"].as_array().unwrap().len(),
            number
        );
        let id = body(created).await["id"].as_str().unwrap().to_owned();
        api.wait_until_ended(&id).await;
    }
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
            Method::POST,
            "/v2/pre-recordedfoo",
            Some("simulated-key"),
            404,
            "Cannot POST /v2/pre-recordedfoo",
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
    assert_eq!(api.ledger().await["counts"]["creates_received"], 0);
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
        allow_private: false,
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
#[tokio::test]
async fn links_lead_to_the_public_address_and_files_are_known_by_it() {
    let api = Api::start(SimulatorSettings {
        public_url: Some("http://gladia.example:81/".parse().unwrap()),
        ..quick()
    })
    .await;
    let uploaded = api.upload_recording().await;
    let audio_url = uploaded["audio_url"].as_str().unwrap();
    assert!(audio_url.starts_with("http://gladia.example:81/file/"));
    let created = body(api.post(&json!({"audio_url": audio_url})).await).await;
    let result_url = created["result_url"].as_str().unwrap();
    assert!(result_url.starts_with("http://gladia.example:81/v2/pre-recorded/"));
    let job = api.wait_until_ended(created["id"].as_str().unwrap()).await;
    assert_eq!(job["status"], "done");
}

#[tokio::test]
async fn unknown_options_are_echoed_or_refused_as_the_settings_say() {
    let options = json!({"audio_url": "https://audio.example/1.wav", "chapterization": true, "new": {"a": 1}});
    let api = Api::start(slow()).await;
    let id = api.create(&options).await;
    let job = api.get(&format!("/v2/pre-recorded/{id}")).await;
    assert_eq!(job["request_params"]["chapterization"], true);
    assert_eq!(job["request_params"]["new"], json!({"a": 1}));
    let strict = Api::start(SimulatorSettings {
        strict_options: true,
        ..slow()
    })
    .await;
    assert_eq!(strict.post(&options).await.status(), 400);
}
