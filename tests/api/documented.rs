//! What the document says of every operation, held against what the gateway answers.

use gladia_gateway::{domain::access::Scope, http::openapi};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, Caller, TestApp, audio, callbacks::processing, rows::success};

const NOBODY: &str = "01890000-0000-7000-8000-000000000000";

/// An operation as it is asked for things that do not exist.
struct Operation {
    name: String,
    method: Method,
    path: String,
    responses: Value,
    body: Option<&'static str>,
}

fn operations() -> Vec<Operation> {
    let document = serde_json::to_value(openapi::document()).unwrap();
    let mut all = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let content = operation["requestBody"]["content"].as_object();
            let body = content.map(|content| {
                if content.contains_key("application/json") {
                    "application/json"
                } else {
                    "multipart/form-data; boundary=b"
                }
            });
            all.push(Operation {
                name: operation["operationId"].as_str().unwrap().to_owned(),
                method: method.to_uppercase().parse().unwrap(),
                path: path.replace("{id}", NOBODY).replace("{format}", "txt"),
                responses: operation["responses"].clone(),
                body,
            });
        }
    }
    all
}

impl Operation {
    /// Asks as this caller, with this body where the operation has one.
    async fn ask(&self, caller: &Caller, query: &str, body: &str) -> Answer {
        let path = format!("{}{query}", self.path);
        let mut request = caller.request(self.method.clone(), &path);
        if let Some(content_type) = self.body {
            request = request
                .header("content-type", content_type)
                .body(body.to_owned());
        }
        Answer::to(request).await
    }

    /// Panics unless the document has this answer: its status, and the type of its problem.
    fn check(&self, answer: &Answer) {
        let Self { name, .. } = self;
        let declared = &self.responses[answer.status.to_string()];
        assert!(
            declared.is_object(),
            "{name}: {} {}",
            answer.status,
            answer.text()
        );
        if answer.status >= 400 {
            let kind = answer.json()["type"].as_str().unwrap().to_owned();
            let slug = kind.rsplit(':').next().unwrap();
            let known = &declared["content"]["application/problem+json"]["examples"];
            assert!(known[slug].is_object(), "{name}: {} {slug}", answer.status);
        }
        assert!(declared["headers"]["X-Request-Id"].is_object());
        assert!(answer.header("x-request-id").is_some(), "{name}");
    }

    fn refuses_as(&self, status: &str, slug: &str) -> bool {
        let examples = &self.responses[status]["content"]["application/problem+json"]["examples"];
        examples[slug].is_object()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_operation_refuses_what_the_document_says_and_as_that() {
    let app = TestApp::start().await;
    let reader = app.caller("acme", Scope::Read).await;
    let admin = app.caller("acme", Scope::Admin).await;
    let anonymous = app.acme.with_key(None);
    let all = operations();
    assert!(all.len() > 30, "{}", all.len());
    for operation in &all {
        let name = &operation.name;
        let answer = operation.ask(&anonymous, "", "{}").await;
        operation.check(&answer);
        assert_eq!(answer.status, 401, "{name}");
        // A stream without an end is looked at elsewhere.
        if name == "stream_events" {
            continue;
        }
        let answer = operation.ask(&reader, "", "{}").await;
        operation.check(&answer);
        // Of a report only a part takes another scope.
        let forbidden = operation.refuses_as("403", "forbidden") && name != "get_usage";
        assert_eq!(answer.status == 403, forbidden, "{name}");
        for (query, body) in [
            ("", "{}"),
            ("", "[1"),
            ("?limit=0&nonsense=1", "{}"),
            ("", "{\"nonsense\":1}"),
        ] {
            let answer = operation.ask(&admin, query, body).await;
            operation.check(&answer);
            let has_query = operation.refuses_as("400", "invalid-parameter");
            if query.is_empty() && body == "[1" && operation.body == Some("application/json") {
                answer.problem(400, "malformed-json");
            }
            if !query.is_empty()
                && operation.method == Method::GET
                && has_query
                && name != "get_transcription"
            {
                answer.problem(400, "invalid-parameter");
            }
        }
        if operation.body.is_some() {
            let path = &operation.path;
            let request = admin.raw(path, "text/plain", json!({}).to_string());
            let answer = Answer::to(request).await;
            if operation.method == Method::POST {
                operation.check(&answer);
                answer.problem(415, "unsupported-media-type");
            }
        }
    }
    app.stop().await;
}

/// Panics unless an answer of 200 is what the document says of what is asked for at this path.
#[track_caller]
fn check_body(path: &str, answer: &Answer) {
    let mut document = serde_json::to_value(openapi::document()).unwrap();
    let pointer = "/get/responses/200/content/application~1json/schema/$ref";
    let schema = document["paths"][path].pointer(pointer).cloned();
    document["$ref"] = schema.unwrap_or_else(|| panic!("{path} has no schema"));
    let validator = jsonschema::validator_for(&document).unwrap();
    let body = answer.expect(200);
    let errors: Vec<String> = validator
        .iter_errors(&body)
        .map(|error| format!("{error} at {}", error.instance_path()))
        .collect();
    assert!(errors.is_empty(), "{path}: {errors:#?} in {body}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transcript_whose_add_on_failed_without_a_word_is_what_the_document_says() {
    let app = TestApp::start().await;
    let (id, attempt, gladia_id) = processing(&app).await;
    let mut body: Value = serde_json::from_str(&success(&gladia_id, "words")).unwrap();
    body["payload"]["metadata"]["transcription_time"] = json!(1.5);
    body["payload"]["summarization"] = json!({ "success": false, "is_empty": true, "results": null, "exec_time": 0, "error": null });
    let answer = app.call_back(attempt.id, body.to_string()).await;
    assert_eq!(answer.status, 200);
    let done = app.acme.get(&format!("/v1/transcriptions/{id}")).await;
    check_body("/v1/transcriptions/{id}", &done);
    let errors = json!([{ "pointer": "/summarization", "status_code": null, "exception": null, "message": null }]);
    assert_eq!(done.json()["addon_errors"], errors);
    let list = app.acme.get("/v1/transcriptions").await;
    check_body("/v1/transcriptions", &list);
    // Rows may lack what Gladia did not say.
    sqlx::query(r#"UPDATE jobs SET addon_errors = '[{"pointer":"/summarization"}]'"#)
        .execute(&app.pool)
        .await
        .unwrap();
    assert_eq!(app.acme.job(&id).await["addon_errors"], errors);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_is_shown_as_it_was_spelt_and_as_the_document_says() {
    let app = TestApp::start().await;
    app.pause_dispatch().await;
    let document = serde_json::to_value(openapi::document()).unwrap();
    let is_documented = |schema: &str, body: &Value| {
        let mut document = document.clone();
        document["$ref"] = format!("#/components/schemas/{schema}").into();
        jsonschema::is_valid(&document, body)
    };
    for (audio, told) in [
        ("https://a.example/a.mp3", "https://b.example/told"),
        ("HTTP://A.EXAMPLE/a.mp3", "HTTP://B.EXAMPLE/told"),
        ("Https://a.example/a.mp3", "hTTps:b.example/told"),
    ] {
        let body =
            json!({ "audio_url": audio, "callback_url": told, "callback_config": { "url": told } });
        assert!(is_documented("CreateTranscription", &body), "{body}");
        let job = app.acme.transcribe(&body).await.expect(202);
        assert_eq!(job["audio_url"], audio);
        assert_eq!(job["options"]["callback_config"]["url"], told);
        let endpoint = json!({ "url": told });
        assert!(is_documented("CreateWebhookEndpoint", &endpoint), "{told}");
        let created = app.acme.post("/v1/webhook-endpoints", &endpoint).await;
        assert_eq!(created.expect(201)["url"], told);
    }
    for path in ["/v1/transcriptions", "/v1/webhook-endpoints"] {
        check_body(path, &app.acme.get(path).await);
    }
    for other in ["ftp://a.example/a.mp3", "httpss://a.example/a.mp3"] {
        let body = json!({ "audio_url": other });
        assert!(!is_documented("CreateTranscription", &body), "{other}");
        assert_eq!(app.acme.transcribe(&body).await.status, 422, "{other}");
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_name_of_a_file_stands_in_a_header_of_the_document() {
    let app = TestApp::start().await;
    let job = app.acme.upload(audio::short(), "call.wav", None).await;
    let id = job.expect(202)["id"].as_str().unwrap().to_owned();
    app.acme.wait_until_done(&id).await;
    let document = serde_json::to_value(openapi::document()).unwrap();
    for (path, asked) in [
        (
            "/v1/transcriptions/{id}/export/{format}",
            "/v1/transcriptions/{id}/export/srt",
        ),
        (
            "/v1/transcriptions/{id}/export/json",
            "/v1/transcriptions/{id}/export/json",
        ),
        (
            "/v1/transcriptions/{id}/audio",
            "/v1/transcriptions/{id}/audio",
        ),
        ("/v1/usage", "/v1/usage?format=csv"),
    ] {
        let answer = app.acme.get(&asked.replace("{id}", &id)).await;
        assert_eq!(answer.status, 200, "{asked}: {}", answer.text());
        let said = answer.header("content-disposition").unwrap();
        assert!(said.starts_with("attachment"), "{said}");
        let headers = &document["paths"][path]["get"]["responses"]["200"]["headers"];
        assert_eq!(
            headers["Content-Disposition"]["schema"]["type"], "string",
            "{path}"
        );
    }
    app.finish().await;
}
