//! Whatever is sent, the answer names what is wrong with it, and it is never the gateway's fault.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, TestApp};

const CREATE: &str = "/v1/transcriptions";
const NOBODY: &str = "/v1/transcriptions/01890000-0000-7000-8000-000000000000";

#[tokio::test(flavor = "multi_thread")]
async fn an_id_that_is_none_names_nothing() {
    let app = TestApp::start().await;
    let long = "a".repeat(5000);
    for id in [
        "..%2f..%2fetc",
        "%00",
        "%ff%fe",
        "nope",
        "%F0%9F%92%A9",
        "01890000-0000-7000-8000-00000000000g",
        "'%20OR%201=1",
        long.as_str(),
        "01890000-0000-7000-8000-000000000000",
    ] {
        let address = format!("/v1/transcriptions/{id}");
        app.acme.get(&address).await.problem(404, "not-found");
        app.acme
            .get(&format!("{address}/result"))
            .await
            .problem(404, "not-found");
        app.acme
            .get(&format!("{address}/audio"))
            .await
            .problem(404, "not-found");
        app.acme.cancel(id).await.problem(404, "not-found");
        app.acme.delete(id).await.problem(404, "not-found");
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_that_breaks_a_rule_is_refused_by_its_parameter() {
    let app = TestApp::start().await;
    for (query, parameter) in [
        ("limit=0", "limit"),
        ("limit=101", "limit"),
        ("limit=-1", "limit"),
        ("limit=ten", "limit"),
        ("limit=", "limit"),
        ("limit=99999999999999999999", "limit"),
        ("limit=5&limit=6", "limit"),
        ("status=running", "status"),
        ("status=submitting", "status"),
        ("status=", "status"),
        ("status=DONE", "status"),
        ("cursor=", "cursor"),
        ("cursor=nonsense", "cursor"),
        ("cursor=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "cursor"),
        ("cursor=%00%ff", "cursor"),
        ("error_type=failed", "error_type"),
        ("batch_id=7", "batch_id"),
        ("batch_id=&batch_id=", "batch_id"),
        ("created_after=2026-11-26", "created_after"),
        ("created_after=2026-11-26T15:00:00+01:00", "created_after"),
        ("created_before=now", "created_before"),
        (
            "created_before=2026-11-26T15:00:00Z&created_before=2026-11-27T15:00:00Z",
            "created_before",
        ),
        ("metadata=sales", "metadata"),
        ("metadata=:sales", "metadata"),
        ("metadata=a:x&metadata=a:x", "metadata"),
        ("metadata=a:x&metadata[a]=y", "metadata[a]"),
        ("metadata[]=sales", "metadata[]"),
        ("metadata[a]=%00", "metadata[a]"),
        ("metadata[a]=x&metadata[a]=y", "metadata[a]"),
        ("page=2", "page"),
        ("Limit=2", "Limit"),
        ("offset=99999999999999999999", "offset"),
    ] {
        let answer = app.acme.get(&format!("/v1/transcriptions?{query}")).await;
        let problem = answer.problem(400, "invalid-parameter");
        assert_eq!(problem["errors"][0]["parameter"], parameter, "{query}");
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_carries_a_request_id() {
    let app = TestApp::start().await;
    let get = |id: &'static str| {
        app.acme
            .request(Method::GET, NOBODY)
            .header("x-request-id", id)
    };
    let honoured = Answer::to(get("trace-42/7")).await;
    assert_eq!(honoured.header("x-request-id"), Some("trace-42/7"));
    assert_eq!(
        honoured.problem(404, "not-found")["request_id"],
        "trace-42/7"
    );
    let mut seen = std::collections::HashSet::new();
    for unusable in ["", "with space", "ünusable"] {
        let answer = Answer::to(get(unusable)).await;
        let made = answer.header("x-request-id").unwrap().to_owned();
        assert!(made.parse::<uuid::Uuid>().is_ok(), "{made}");
        seen.insert(made);
    }
    let long = app
        .acme
        .request(Method::GET, "/livez")
        .header("x-request-id", "x".repeat(129));
    let answer = Answer::to(long).await;
    seen.insert(answer.header("x-request-id").unwrap().to_owned());
    seen.insert(
        app.acme
            .get("/nowhere")
            .await
            .header("x-request-id")
            .unwrap()
            .to_owned(),
    );
    assert_eq!(seen.len(), 5);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_or_a_method_that_is_not_there_is_told_apart() {
    let app = TestApp::start().await;
    for path in [
        "/v1",
        "/v3/pre-recorded",
        "/v1/transcriptions/",
        "/v1/transcriptions/a/b",
        "/callbacks/gladia/a",
    ] {
        app.acme.get(path).await.problem(404, "not-found");
    }
    for (method, path) in [
        (Method::PUT, CREATE),
        (Method::DELETE, CREATE),
        (Method::PATCH, NOBODY),
        (Method::POST, NOBODY),
        (Method::GET, "/v1/uploads"),
        (Method::POST, "/livez"),
    ] {
        let answer = Answer::to(app.acme.request(method.clone(), path)).await;
        assert_eq!(answer.status, 405, "{method} {path}: {}", answer.text());
        answer.problem(405, "method-not-allowed");
        assert!(answer.header("allow").is_some(), "{method} {path}");
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_request_is_the_gateways_fault() {
    let app = TestApp::start().await;
    let bodies: Vec<Vec<u8>> = vec![
        Vec::new(), b"{}".to_vec(), b"\0".to_vec(), vec![0xff; 1000], b"{\"audio_url\":{}}".to_vec(),
        json!({ "audio_url": "https://audio.example/\u{202e}a" }).to_string().into_bytes(),
        json!({ "audio_url": "https://audio.example/a", "custom_metadata": { "a\u{0}b": "\u{0}" } }).to_string().into_bytes(),
        json!({ "audio_url": "https://audio.example/a", "extra_options": { "x": "\u{0}" } }).to_string().into_bytes(),
        json!({ "audio_url": "https://audio.example/a", "translation_config": { "target_languages": [[[]]] } }).to_string().into_bytes(),
        br#"{"audio_url":"https://audio.example/a","audio_url":"https://audio.example/b"}"#.to_vec(),
        br#"{"audio_url":"https://audio.example/a","extra_options":{"n":1e999}}"#.to_vec(),
        br#"{"audio_url":"https://audio.example/a","extra_options":{"n":123456789012345678901234567890}}"#.to_vec(),
        br#"{"audio_url":"https://audio.example/a","extra_options":{"s":"\udc00"}}"#.to_vec(),
        format!("{{\"audio_url\":\"https://audio.example/a\",\"extra_options\":{}1{}}}", "{\"a\":".repeat(120), "}".repeat(120)).into_bytes(),
    ];
    let paths = [
        "/",
        "/v1/transcriptions",
        "/v1/transcriptions/upload",
        "/v1/uploads",
        NOBODY,
        "/v1/transcriptions/%00/cancel",
        "/v1/transcriptions?cursor=%00",
        "/v1/transcriptions?%ff=%fe",
        "/v1/transcriptions/%c0%ae%c0%ae/result",
        "/callbacks/gladia/x/y",
        "/openapi.json",
        "/docs/",
        "/docs/../../etc/passwd",
        "/livez",
        "/readyz?for=%00",
        "/metrics",
        "/v1//transcriptions",
        "/%2e%2e/%2e%2e",
    ];
    for path in paths {
        for method in [
            Method::GET,
            Method::POST,
            Method::PUT,
            Method::DELETE,
            Method::PATCH,
            Method::OPTIONS,
            Method::HEAD,
        ] {
            let answer = Answer::to(app.acme.request(method.clone(), path)).await;
            assert!(answer.status < 500, "{method} {path}: {}", answer.text());
        }
        for body in &bodies {
            for content_type in [
                "application/json",
                "multipart/form-data; boundary=b",
                "application/json; charset=\"\\\"",
            ] {
                let request = app
                    .acme
                    .request(Method::POST, path)
                    .header("content-type", content_type)
                    .body(body.clone());
                let answer = Answer::to(request).await;
                assert!(
                    answer.status < 500,
                    "POST {path} {}: {}",
                    String::from_utf8_lossy(body),
                    answer.text()
                );
            }
        }
    }
    for request in [
        &b"GET / HTTP/1.1\r\n\r\n"[..],
        b"GET /v1/transcriptions/\xff\xfe HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n",
        b"GET /v1/transcriptions HTTP/1.1\r\nhost: a\r\nauthorization: Bearer \xff\xfe\r\nconnection: close\r\n\r\n",
        b"POST /v1/transcriptions HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\n{}",
        b"POST /v1/transcriptions HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        b"GARBAGE\r\n\r\n",
        b"GET http://elsewhere.example/v1/transcriptions HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n",
        b"OPTIONS * HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n",
    ] {
        let mut closing = request.to_vec();
        if request.starts_with(b"GET / HTTP") {
            closing = b"GET / HTTP/1.1\r\nconnection: close\r\n\r\n".to_vec();
        }
        let answer = app.send_bytes(&closing).await;
        assert!(!answer.starts_with("HTTP/1.1 5"), "{answer}");
    }
    // It still serves.
    let id = app.acme.start("a.mp3").await;
    app.acme.wait_until_done(&id).await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_document_is_served_and_the_page_needs_nothing_from_elsewhere() {
    let app = TestApp::start().await;
    let anonymous = app.acme.with_key(None);
    let document: Value = anonymous.get("/openapi.json").await.expect(200);
    assert!(document["paths"]["/v1/transcriptions"].is_object());
    let page = anonymous.get("/docs/").await;
    assert_eq!(page.status, 200);
    assert!(!page.text().contains("https://"), "{}", page.text());
    app.finish().await;
}
