//! What must not be in the log.

use std::{
    io,
    sync::{Arc, Mutex},
};

use serde_json::{Value, json};
use tracing_subscriber::{EnvFilter, fmt::MakeWriter, layer::SubscriberExt};

use crate::support::{
    TestApp, audio,
    callbacks::processing,
    receiver::{Receiver, Reply},
    rows::{failure, success},
    upstream::GLADIA_KEY,
};

/// Keeps what is logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

/// Gladia says which address it means.
async fn repeat_addresses(app: &TestApp, body: &Value) {
    let says = |operation: &str, status: u16| {
        let message = "Cannot fetch https://audio.example/a.mp3?X-Amz-Signature=presigned-secret";
        let said = json!({ "statusCode": status, "message": message }).to_string();
        json!({ "operation": operation, "kind": "status", "status": status, "times": 1, "body": said })
    };
    for (status, slug) in [(400, "file-refused"), (503, "upstream-unavailable")] {
        app.upstream.fault(&says("upload", status)).await;
        let answer = app.acme.upload(audio::short(), "a.wav", None).await;
        let told = if status == 400 { 422 } else { status };
        answer.problem(told, slug);
    }
    app.upstream.fault(&says("create", 400)).await;
    let job = app.acme.transcribe(body).await.expect(202);
    let id = job["id"].as_str().unwrap();
    app.acme.wait_until(id, "error").await;
}

/// Where things go wrong, more is told. Gives the address of a callback that was refused.
async fn go_wrong(app: &TestApp, body: &Value, file: &str, ok: &str) -> String {
    let get = format!("/v1/transcriptions/{file}/audio");
    let faults = [
        json!({ "operation": "create", "kind": "drop_after", "times": 1 }),
        json!({ "operation": "create", "kind": "status", "status": 400, "times": 1 }),
        json!({ "operation": "create", "kind": "status", "status": 401, "times": 1 }),
        json!({ "operation": "upload", "kind": "drop_before", "times": 1 }),
        json!({ "operation": "file", "kind": "drop_before", "times": 1 }),
    ];
    repeat_addresses(app, body).await;
    for fault in &faults[..2] {
        app.upstream.fault(fault).await;
        let job = app.acme.transcribe(body).await.expect(202);
        let status = if fault["kind"] == "status" {
            "error"
        } else {
            "done"
        };
        app.acme
            .wait_until(job["id"].as_str().unwrap(), status)
            .await;
    }
    app.upstream.fault(&json!(faults[2..])).await;
    let held = app.acme.transcribe(body).await.expect(202);
    let held = held["id"].as_str().unwrap();
    app.acme.wait_until_reason(held, "gladia_key_refused").await;
    app.acme
        .upload(audio::short(), "a.wav", None)
        .await
        .problem(503, "upstream-unavailable");
    app.acme
        .get(&get)
        .await
        .problem(503, "upstream-unavailable");
    let attempt = app.attempt(ok).await;
    app.call_back(attempt.id, "garbage with spoken-secret words")
        .await;
    let forged = app.callback_url(0, uuid::Uuid::now_v7());
    let body = success("0", "spoken-secret");
    app.http
        .post(&forged)
        .body(body.clone())
        .send()
        .await
        .unwrap();
    app.http
        .post(format!("{forged}x"))
        .body(body)
        .send()
        .await
        .unwrap();
    app.acme
        .with_key(Some("api-key-secret"))
        .get("/v1/transcriptions")
        .await
        .problem(401, "unauthorized");
    app.acme
        .get("/v1/transcriptions?cursor=query-secret")
        .await
        .problem(400, "invalid-parameter");
    app.acme.get("/path-secret").await.problem(404, "not-found");
    app.set_clock_ahead("2 minutes").await;
    app.acme.wait_until_done(held).await;
    forged
}

/// Webhook endpoints, whose addresses and secrets are nobody else's business.
async fn be_told(app: &TestApp) -> Vec<String> {
    let body = json!({ "url": "https://receiver.invalid/told?token=endpoint-secret" });
    let made = app.acme.create_endpoint(&body).await.expect(201);
    let id = made["id"].as_str().unwrap();
    let rotated = app.acme.rotate_secret(Some(id), &json!({})).await;
    let own = app.acme.rotate_secret(None, &json!({})).await;
    app.acme.tell_endpoint(id, "test").await.expect(202);
    let moved = json!({ "url": "https://elsewhere.invalid/told?token=endpoint-secret" });
    app.acme.change_endpoint(id, &moved).await.expect(200);
    let wrong = json!({ "url": "https://receiver.invalid/told?token=endpoint-secret#" });
    app.acme
        .create_endpoint(&wrong)
        .await
        .problem(422, "invalid-request");
    app.acme.tell_endpoint(id, "disable").await.expect(200);
    app.acme.tell_endpoint(id, "enable").await.expect(200);
    app.acme.delete_endpoint(id).await;
    let first = made["secret"].as_str().unwrap().to_owned();
    [first, rotated, own]
        .map(|secret| secret.trim_start_matches("whsec_").to_owned())
        .to_vec()
}

/// Gladia repeats what it was sent, by which anybody may end a job, or fetch its audio.
#[tokio::test(flavor = "multi_thread")]
async fn what_gladia_says_is_told_without_what_opens_anything() {
    let app = TestApp::start().await;
    let said = "audio_url https://gateway.example/callbacks/gladia/0199/test.token-secret and \
                https://user:user-secret@audio.example/a.mp3?X-Amz-Signature=presigned-secret cannot be reached";
    let told = "audio_url https://gateway.example/callbacks/gladia/… and https://@audio.example/a.mp3? cannot be reached";
    let refusal = json!({ "statusCode": 400, "message": "No", "validation_errors": [said] });
    app.upstream
        .fault(&json!({ "operation": "create", "kind": "status", "status": 400, "times": 1, "body": refusal.to_string() }))
        .await;
    let refused = app.acme.start("a.mp3").await;
    let job = app.acme.wait_until(&refused, "error").await;
    let message = job["error"]["message"].as_str().unwrap();
    assert!(message.contains(told), "{message}");

    let (failed, attempt, gladia_id) = processing(&app).await;
    app.call_back(attempt.id, failure(&gladia_id, 400, said))
        .await;
    assert_eq!(app.acme.job(&failed).await["error"]["message"], told);

    let addon = json!({ "success": false, "is_empty": true, "results": null, "exec_time": 1,
                        "error": { "status_code": 500, "exception": said, "message": said } });
    let (done, attempt, gladia_id) = processing(&app).await;
    let mut body: Value = serde_json::from_str(&success(&gladia_id, "words")).unwrap();
    body["payload"]["summarization"] = addon;
    app.call_back(attempt.id, body.to_string()).await;
    let done = app.acme.job(&done).await;
    let errors = done["addon_errors"].to_string();
    assert!(errors.matches(told).count() == 2, "{done}");
    let kept: i64 = app
        .scalar(
            "SELECT (SELECT count(*) FROM jobs j WHERE to_jsonb(j)::text ~ '(token|presigned|user)-secret')
                  + (SELECT count(*) FROM attempts a WHERE to_jsonb(a)::text ~ '(token|presigned|user)-secret')
                  + (SELECT count(*) FROM events e WHERE to_jsonb(e)::text ~ '(token|presigned|user)-secret')",
        )
        .await;
    assert_eq!(kept, 0);
    app.finish().await;
}

/// One thread, so that everything of this test, and nothing of another, is logged through its own subscriber.
#[tokio::test(flavor = "current_thread")]
async fn nothing_secret_is_logged() {
    let log = Log::default();
    let subscriber = tracing_subscriber::registry()
        .with(EnvFilter::new("info,gladia_gateway=trace"))
        .with(
            tracing_subscriber::fmt::layer()
                .json()
                .with_writer(log.clone()),
        );
    let guard = tracing::subscriber::set_default(subscriber);

    let app = TestApp::start().await;
    let (receiver, gone) = (
        Receiver::start().await,
        Receiver::answering(Reply::Reset).await,
    );
    receiver.reply_next([Reply::Status(500)]);
    let types = &["transcription.done"];
    let mut endpoint_secrets = Vec::new();
    for to in [&receiver, &gone] {
        let url = to.url_of("/hook?token=hook-secret");
        let endpoint = app.add_endpoint_with(&app.acme, &url, types, true).await;
        endpoint_secrets.push(endpoint.secret.replace("whsec_", ""));
    }
    let body = json!({
        "audio_url": "https://audio.example/spoken.mp3?X-Amz-Signature=presigned-secret",
        "custom_metadata": { "patient": "metadata-secret" },
        "callback_url": "http://127.0.0.1:1/told?key=told-secret",
    });
    let ok = app
        .acme
        .transcribe_once("idempotency-secret", &body)
        .await
        .expect(202);
    app.acme.wait_until_done(ok["id"].as_str().unwrap()).await;
    let file = app
        .acme
        .upload(audio::short(), "spoken.wav", Some(&json!({})))
        .await
        .expect(202);
    app.acme.wait_until_done(file["id"].as_str().unwrap()).await;
    let get = format!("/v1/transcriptions/{}/audio", file["id"].as_str().unwrap());
    assert_eq!(app.acme.get(&get).await.status, 200);

    let forged = go_wrong(
        &app,
        &body,
        file["id"].as_str().unwrap(),
        ok["id"].as_str().unwrap(),
    )
    .await;

    app.wait_for_tries("true", 4).await;
    let shown_once = be_told(&app).await;

    let mut secrets: Vec<String> = [
        "hook-secret",
        "endpoint-secret",
        "presigned-secret",
        "X-Amz-Signature",
        "metadata-secret",
        "told-secret",
        "idempotency-secret",
        "spoken-secret",
        "api-key-secret",
        "query-secret",
        "path-secret",
        "harbour",
        "lighthouse",
        GLADIA_KEY,
        "0123456789abcdef0123456789abcdef",
    ]
    .map(str::to_owned)
    .to_vec();
    secrets.extend(shown_once);
    secrets.push(app.acme.key.clone().unwrap());
    secrets.extend(endpoint_secrets);
    secrets.push(forged.rsplit_once('/').unwrap().1.to_owned());
    for job in app.upstream.jobs().await {
        let url = job["callback_url"].as_str().unwrap();
        secrets.push(url.rsplit_once('/').unwrap().1.to_owned());
    }
    app.finish().await;
    drop(guard);

    let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    for secret in secrets {
        for line in text.lines() {
            assert!(!line.contains(&secret), "{secret} is in {line}");
        }
    }
    // The positive control: it was this log that everything went to.
    for told in [
        "Submitted job",
        "Sent delivery",
        "Received a callback",
        "Refused a callback whose token is wrong",
        "/callbacks/gladia/{attempt}/{token}",
        "Gladia refuses GLADIA_API_KEY",
        "Gladia did not do what was asked",
        "POST /v1/transcriptions/upload 503",
        "Created webhook endpoint",
        ok["id"].as_str().unwrap(),
    ] {
        assert!(text.contains(told), "no {told} in\n{text}");
    }
}
