//! W3C Trace Context: what a caller says of its trace is kept with the job, and never refused.

use std::sync::{Arc, Mutex};

use axum::{Router, http::HeaderMap, routing::post};
use gladia_gateway::{
    db::jobs::trace_contexts,
    domain::{ids::JobId, trace_context::TraceContext},
};
use reqwest::Method;
use serde_json::json;

use crate::support::{Answer, TestApp, audio, receiver::Receiver};

const TRACEPARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// What is kept with a job.
async fn kept(app: &TestApp, id: &str) -> (Option<String>, Option<String>) {
    sqlx::query_as("SELECT traceparent, tracestate FROM jobs WHERE id = $1::uuid")
        .bind(id)
        .fetch_one(&app.pool)
        .await
        .unwrap()
}

/// Asks for a transcription with these headers, and gives its id.
async fn start(app: &TestApp, headers: &[(&str, &str)]) -> String {
    let mut request = app.acme.request(Method::POST, "/v1/transcriptions");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let body = json!({ "audio_url": "https://audio.example/a.mp3" });
    let job = Answer::to(request.json(&body)).await.expect(202);
    job["id"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_trace_of_a_request_is_kept_with_its_job() {
    let app = TestApp::start().await;
    let headers = [
        ("traceparent", TRACEPARENT),
        ("tracestate", "rojo=1 , congo=2"),
        ("tracestate", "last=3"),
    ];
    let id = start(&app, &headers).await;
    // No span of ours is exported, so what goes on belongs below the caller's.
    let expected = (
        Some(TRACEPARENT.to_owned()),
        Some("rojo=1,congo=2,last=3".to_owned()),
    );
    assert_eq!(kept(&app, &id).await, expected);
    let mut conn = app.pool.acquire().await.unwrap();
    let job_id: JobId = id.parse().unwrap();
    let found = trace_contexts::find(&mut conn, job_id).await.unwrap();
    let expected = TraceContext::from_headers(&[TRACEPARENT], &["rojo=1,congo=2,last=3"]);
    assert_eq!(found, expected);
    drop(conn);

    // Of an erased job only the ids of its trace are left.
    app.acme.wait_until_done(&id).await;
    assert_eq!(app.acme.delete(&id).await.status, 204);
    assert_eq!(kept(&app, &id).await, (Some(TRACEPARENT.to_owned()), None));
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn uploads_and_every_job_of_a_batch_keep_it_too() {
    let app = TestApp::start().await;
    let upload = app
        .acme
        .upload_request(audio::short(), "a.wav", None)
        .header("traceparent", TRACEPARENT);
    let job = Answer::to(upload).await.expect(202);
    let (traceparent, tracestate) = kept(&app, job["id"].as_str().unwrap()).await;
    assert_eq!(traceparent.as_deref(), Some(TRACEPARENT));
    assert_eq!(tracestate, None);

    let of_batch = TRACEPARENT.replace("0af7", "1af7");
    let requests: Vec<_> = (0..3)
        .map(|number| json!({ "audio_url": format!("https://audio.example/{number}.mp3") }))
        .collect();
    let batch = app
        .acme
        .request(Method::POST, "/v1/batches")
        .header("traceparent", &of_batch)
        .header("tracestate", "vendor=1")
        .json(&json!({ "requests": requests }));
    Answer::to(batch).await.expect(202);
    let filter = format!("jobs WHERE traceparent = '{of_batch}' AND tracestate = 'vendor=1'");
    assert_eq!(app.rows(&filter).await, 3);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_malformed_is_ignored() {
    let app = TestApp::start().await;
    let zero = TRACEPARENT.replace("0af7651916cd43dd8448eb211c80319c", &"0".repeat(32));
    let long = format!("{TRACEPARENT}-more");
    let twice = [("traceparent", TRACEPARENT), ("traceparent", TRACEPARENT)];
    let ignored: [&[(&str, &str)]; 6] = [
        &[],
        &[("tracestate", "rojo=1")],
        &[("traceparent", "what?"), ("tracestate", "rojo=1")],
        &[("traceparent", &zero)],
        &[("traceparent", &long)],
        &twice,
    ];
    for headers in ignored {
        let id = start(&app, headers).await;
        assert_eq!(kept(&app, &id).await, (None, None), "{headers:?}");
    }
    let headers = [("traceparent", TRACEPARENT), ("tracestate", "No State")];
    let id = start(&app, &headers).await;
    assert_eq!(kept(&app, &id).await, (Some(TRACEPARENT.to_owned()), None));
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn gladia_is_told_nothing_of_it() {
    let seen: Arc<Mutex<Vec<HeaderMap>>> = Arc::default();
    let keeping = Arc::clone(&seen);
    // It refuses, and keeps what the request said.
    let refuse = async move |headers: HeaderMap| {
        keeping.lock().unwrap().push(headers);
        let envelope = json!({
            "statusCode": 400, "message": "No", "request_id": "r", "path": "/v2/pre-recorded",
            "timestamp": "2026-01-01T00:00:00Z",
        });
        (axum::http::StatusCode::BAD_REQUEST, axum::Json(envelope))
    };
    let router = Router::new().route("/v2/pre-recorded", post(refuse));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(axum::serve(listener, router).into_future());

    let app = TestApp::builder().set("GLADIA_API_URL", url).start().await;
    let headers = [("traceparent", TRACEPARENT), ("tracestate", "vendor=1")];
    let id = start(&app, &headers).await;
    app.acme.wait_until(&id, "error").await;
    let seen = std::mem::take(&mut *seen.lock().unwrap());
    assert_eq!(seen.len(), 1);
    assert!(seen[0].contains_key("x-gladia-key"));
    assert!(!seen[0].contains_key("traceparent") && !seen[0].contains_key("tracestate"));
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_carries_the_trace_of_its_job() {
    let app = TestApp::start().await;
    let receiver = Receiver::start().await;
    let types = &["transcription.done"];
    let endpoint = app.add_endpoint(&app.acme, &receiver.url(), types).await;
    let traced = start(&app, &[("traceparent", TRACEPARENT)]).await;
    let untraced = start(&app, &[]).await;
    app.wait_for_deliveries(&endpoint, &["delivered"; 2]).await;
    for request in receiver.received() {
        let job = request.json()["data"]["transcription_id"].clone();
        assert!(job == traced || job == untraced);
        let told = request.headers.get("traceparent");
        let expected = (job == traced).then_some(TRACEPARENT);
        assert_eq!(told.map(|value| value.to_str().unwrap()), expected);
    }
    app.finish().await;
}
