//! Whatever is sent, the answer names what is wrong with it, and it is never the gateway's fault.

use gladia_gateway::domain::access::Scope;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::support::{Answer, TestApp, audio};

const CREATE: &str = "/v1/transcriptions";
const NOBODY: &str = "/v1/transcriptions/01890000-0000-7000-8000-000000000000";

async fn post(app: &TestApp, content_type: &str, body: impl Into<reqwest::Body>) -> Answer {
    let request = app
        .acme
        .request(Method::POST, CREATE)
        .header("content-type", content_type)
        .body(body);
    Answer::to(request).await
}

/// The lines of an answer to a request that no client library would send.
async fn raw(app: &TestApp, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(app.replicas[0].address).await.unwrap();
    stream.write_all(request).await.unwrap();
    let mut answer = Vec::new();
    // A connection that is reset after its answer is as good as one that is closed.
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_no_json_object_is_refused() {
    let app = TestApp::start().await;
    let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
    for body in [
        "",
        "{",
        "nul",
        "[]",
        "null",
        "7",
        "\"text\"",
        "{\"a\": 1,}",
        "{} {}",
        "\u{feff}{}",
        &deep,
        "{\"audio_url\": \"\\ud800\"}",
    ] {
        let answer = post(&app, "application/json", body.to_owned()).await;
        answer.problem(400, "malformed-json");
    }
    let answer = post(
        &app,
        "application/json",
        b"{\"audio_url\": \"\xff\"}".to_vec(),
    )
    .await;
    answer.problem(400, "malformed-json");
    for content_type in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "nonsense",
    ] {
        let answer = post(&app, content_type, "{}").await;
        answer.problem(415, "unsupported-media-type");
    }
    let request = app.acme.request(Method::POST, CREATE).body("{}");
    Answer::to(request)
        .await
        .problem(415, "unsupported-media-type");
    assert_eq!(app.rows("jobs").await, 0);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_too_large_is_refused() {
    let app = TestApp::builder()
        .set("MAX_REQUEST_BYTES", 10_000)
        .start()
        .await;
    let body = json!({ "audio_url": format!("https://audio.example/{}", "a".repeat(20_000)) });
    app.acme
        .transcribe(&body)
        .await
        .problem(413, "payload-too-large");
    assert_eq!(app.rows("jobs").await, 0);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_does_not_come_is_not_waited_for() {
    let app = TestApp::builder()
        .set("REQUEST_TIMEOUT_SECONDS", 1)
        .start()
        .await;
    let key = app.acme.key.as_ref().unwrap();
    let request = format!(
        "POST {CREATE} HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer {key}\r\nconnection: close\r\n\
         content-type: application/json\r\ncontent-length: 100\r\n\r\n{{"
    );
    let answer = raw(&app, request.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    assert!(answer.contains("problem:request-timeout"), "{answer}");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_field_that_breaks_a_rule_is_named() {
    let app = TestApp::start().await;
    for (more, pointer, hint) in [
        (
            json!({ "diarisation": true }),
            "/diarisation",
            "diarization",
        ),
        (
            json!({ "callback_url": "https://a.example/" }),
            "/callback_url",
            "",
        ),
        (json!({ "callback": true }), "/callback", ""),
        (
            json!({ "callback_config": { "url": "https://a.example/" } }),
            "/callback_config",
            "",
        ),
        (json!({ "language": "en" }), "/language", "language_config"),
        (
            json!({ "diarization": "yes" }),
            "/diarization",
            "true or false",
        ),
        (json!({ "diarization": 1 }), "/diarization", ""),
        (
            json!({ "custom_metadata": [] }),
            "/custom_metadata",
            "object",
        ),
        (
            json!({ "custom_metadata": { "gladia_gateway_attempt": "x" } }),
            "/custom_metadata/gladia_gateway_attempt",
            "",
        ),
        (
            json!({ "custom_metadata": { "a": "x".repeat(3000) } }),
            "/custom_metadata",
            "2000",
        ),
        (
            json!({ "extra_options": "all" }),
            "/extra_options",
            "object",
        ),
    ] {
        let mut body = json!({ "audio_url": "https://audio.example/a.mp3" });
        let fields = body.as_object_mut().unwrap();
        fields.extend(more.as_object().unwrap().clone());
        let answer = app.acme.transcribe(&body).await;
        let rule = answer.violation(422, "invalid-request", pointer);
        assert!(rule.contains(hint), "{rule}");
    }
    // Several at once are all told.
    let body = json!({ "audio_url": 7, "diarisation": true, "model": false });
    let problem = app
        .acme
        .transcribe(&body)
        .await
        .problem(422, "invalid-request");
    let pointers: std::collections::BTreeSet<&str> = problem["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|error| error["pointer"].as_str().unwrap())
        .collect();
    assert_eq!(
        pointers.into_iter().collect::<Vec<_>>(),
        ["/audio_url", "/diarisation", "/model"]
    );
    assert_eq!(app.rows("jobs").await, 0);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_audio_url_must_be_one_that_gladia_can_fetch() {
    let app = TestApp::start().await;
    let long = format!("https://audio.example/{}", "a".repeat(9000));
    for url in [
        json!(""),
        json!("a.mp3"),
        json!("/a.mp3"),
        json!("//audio.example/a.mp3"),
        json!("ftp://audio.example/a.mp3"),
        json!("file:///etc/passwd"),
        json!("data:audio/wav;base64,AA"),
        json!("https://"),
        json!("https://user:secret@audio.example/a.mp3"),
        json!("https://audio.example/a b"),
        json!("https://audio.example/\u{0}"),
        json!("https://audio.example:99999/"),
        json!(long),
        json!(null),
        json!(7),
        json!(["https://audio.example/a.mp3"]),
    ] {
        let answer = app.acme.transcribe(&json!({ "audio_url": url })).await;
        answer.violation(422, "invalid-request", "/audio_url");
        assert!(!answer.text().contains("secret"), "{}", answer.text());
    }
    app.acme
        .transcribe(&json!({}))
        .await
        .violation(422, "invalid-request", "/audio_url");
    app.finish().await;
}

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
async fn nobody_gets_in_without_a_valid_key() {
    let app = TestApp::start().await;
    let revoked = app.caller("acme", Scope::Write).await;
    revoked.get(CREATE).await.expect(200);
    app.execute(&format!(
        "UPDATE api_keys SET revoked_at = gateway_now() WHERE id = '{}'",
        revoked.api_key_id
    ))
    .await;
    let valid = app.acme.key.clone().unwrap();
    let anonymous = app.acme.with_key(None);
    let mut answers = vec![revoked.get(CREATE).await, anonymous.get(CREATE).await];
    for header in [
        String::new(),
        "Bearer".to_owned(),
        "Bearer ".to_owned(),
        "Bearer wrong".to_owned(),
        format!("Basic {valid}"),
        valid.clone(),
        format!("Bearer {}", &valid[..valid.len() - 1]),
        format!("Bearer {valid}x"),
        format!("Bearer {}", "x".repeat(5000)),
    ] {
        let request = anonymous
            .request(Method::GET, CREATE)
            .header("authorization", header);
        answers.push(Answer::to(request).await);
    }
    for answer in &answers {
        let problem = answer.problem(401, "unauthorized");
        assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
        assert!(!problem.to_string().contains(&valid));
    }
    // The scheme's name is written in any case.
    let request = anonymous
        .request(Method::GET, CREATE)
        .header("authorization", format!("bearer {valid}"));
    Answer::to(request).await.expect(200);
    // Every operation asks for it.
    for (method, path) in [
        (Method::POST, CREATE),
        (Method::POST, "/v1/transcriptions/upload"),
        (Method::POST, "/v1/uploads"),
        (Method::GET, NOBODY),
        (Method::DELETE, NOBODY),
        (
            Method::GET,
            "/v1/transcriptions/01890000-0000-7000-8000-000000000000/result",
        ),
        (
            Method::GET,
            "/v1/transcriptions/01890000-0000-7000-8000-000000000000/audio",
        ),
        (
            Method::POST,
            "/v1/transcriptions/01890000-0000-7000-8000-000000000000/cancel",
        ),
    ] {
        Answer::to(anonymous.request(method, path))
            .await
            .problem(401, "unauthorized");
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_may_look_may_not_write() {
    let app = TestApp::start().await;
    let id = app.acme.start("a.mp3").await;
    app.acme.wait_until_done(&id).await;
    let reader = app.caller("acme", Scope::Read).await;
    reader.job(&id).await;
    reader.result(&id).await.expect(200);
    let body = json!({ "audio_url": "https://audio.example/a.mp3" });
    for answer in [
        reader.transcribe(&body).await,
        reader.upload(audio::short(), "a.wav", None).await,
        Answer::to(reader.form("/v1/uploads", reqwest::multipart::Form::new())).await,
        reader.cancel(&id).await,
        reader.delete(&id).await,
    ] {
        let problem = answer.problem(403, "forbidden");
        assert!(
            problem["detail"].as_str().unwrap().contains("write"),
            "{problem}"
        );
    }
    // The greatest scope includes the lesser ones.
    let admin = app.caller("acme", Scope::Admin).await;
    admin.transcribe(&body).await.expect(202);
    assert_eq!(app.upstream.count("uploads").await, 0);
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
        "/",
        "/v1",
        "/v2/pre-recorded",
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
        let answer = raw(&app, &closing).await;
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
