//! Bodies that nobody wants: the answer reaches whoever sends them, and what is read of them is bounded.

use std::time::Duration;

use gladia_gateway::domain::access::Scope;
use reqwest::{
    Method,
    multipart::{Form, Part},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::support::{Answer, BOUND, TestApp, audio};

const UPLOAD: &str = "/v1/transcriptions/upload";

/// More than any buffer on the way holds.
const LARGE: usize = 50_000_000;

/// Sends everything before it looks for an answer, as many clients do.
async fn send_all_then_read(app: &TestApp, path: &str, headers: &str) -> String {
    let mut stream = TcpStream::connect(app.replicas[0].address).await.unwrap();
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: gateway\r\nconnection: close\r\ncontent-length: {LARGE}\r\n{headers}\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let piece = vec![b'x'; 1_000_000];
    for _ in 0..LARGE / piece.len() {
        stream
            .write_all(&piece)
            .await
            .unwrap_or_else(|error| panic!("{path} {headers}: {error}"));
    }
    let mut answer = String::new();
    let read = tokio::time::timeout(BOUND, stream.read_to_string(&mut answer)).await;
    read.unwrap()
        .unwrap_or_else(|error| panic!("{path} {headers}: {error}"));
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_sends_a_large_body_in_vain_gets_the_answer() {
    let app = TestApp::start().await;
    let key = app.acme.key.clone().unwrap();
    let reader = app.caller("acme", Scope::Read).await.key.unwrap();
    let form = "content-type: multipart/form-data; boundary=b\r\n";
    for (path, headers, expected) in [
        (
            UPLOAD,
            format!("authorization: Bearer wrong\r\n{form}"),
            "401 unauthorized",
        ),
        (UPLOAD, form.to_owned(), "401 unauthorized"),
        (
            UPLOAD,
            format!("authorization: Bearer {reader}\r\n{form}"),
            "403 forbidden",
        ),
        (
            UPLOAD,
            format!(
                "authorization: Bearer {key}\r\nidempotency-key: a\r\nidempotency-key: b\r\n{form}"
            ),
            "400 invalid-parameter",
        ),
        (
            UPLOAD,
            format!("authorization: Bearer {key}\r\ncontent-type: text/plain\r\n"),
            "415 unsupported-media-type",
        ),
        (
            UPLOAD,
            format!("authorization: Bearer {key}\r\ncontent-type: multipart/form-data\r\n"),
            "400 invalid-form",
        ),
        (
            "/v1/transcriptions",
            format!("authorization: Bearer {key}\r\ncontent-type: application/json\r\n"),
            "413 payload-too-large",
        ),
        ("/v1/uploads/1", String::new(), "404 not-found"),
        ("/livez", String::new(), "405 method-not-allowed"),
        ("/callbacks/gladia/a/b", String::new(), "404 not-found"),
    ] {
        let answer = send_all_then_read(&app, path, &headers).await;
        let (status, slug) = expected.split_once(' ').unwrap();
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} "))
                && answer.contains(&format!("problem:{slug}\"")),
            "{path} {headers}: {answer}"
        );
    }
    app.finish_with_nothing_kept().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_answer_does_not_wait_for_the_body_and_the_connection_can_be_used_again() {
    let app = TestApp::start().await;
    let mut stream = TcpStream::connect(app.replicas[0].address).await.unwrap();
    let head = "POST /v1/uploads HTTP/1.1\r\nhost: gateway\r\ncontent-length: 1000000\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    assert!(read_answer(&mut stream).await.starts_with("HTTP/1.1 401 "));
    stream.write_all(&vec![b'x'; 1_000_000]).await.unwrap();
    let next = "GET /livez HTTP/1.1\r\nhost: gateway\r\n\r\n";
    stream.write_all(next.as_bytes()).await.unwrap();
    assert!(read_answer(&mut stream).await.starts_with("HTTP/1.1 200 "));
    app.finish_with_nothing_kept().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_waits_for_leave_is_asked_for_only_if_it_is_wanted() {
    let app = TestApp::start().await;
    let file = audio::short();
    let begin = "--b\r\ncontent-disposition: form-data; name=\"audio\"; filename=\"a.wav\"\r\n\r\n";
    let end = "\r\n--b--\r\n";
    let head = |key: &str| {
        format!(
            "POST {UPLOAD} HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer {key}\r\nexpect: 100-continue\r\n\
             content-type: multipart/form-data; boundary=b\r\ncontent-length: {}\r\n\r\n",
            begin.len() + file.len() + end.len()
        )
    };
    let mut stream = TcpStream::connect(app.replicas[0].address).await.unwrap();
    stream.write_all(head("wrong").as_bytes()).await.unwrap();
    // Nothing but the refusal comes, and the connection ends: what followed on it could be the body or a request.
    let mut answer = String::new();
    let read = tokio::time::timeout(Duration::from_secs(3), stream.read_to_string(&mut answer));
    read.await.expect("the connection ends").unwrap();
    assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
    assert!(!answer.contains("100 Continue"), "{answer}");

    let mut stream = TcpStream::connect(app.replicas[0].address).await.unwrap();
    let key = app.acme.key.as_ref().unwrap();
    stream.write_all(head(key).as_bytes()).await.unwrap();
    let answer = read_answer(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 100 Continue"), "{answer}");
    for piece in [begin.as_bytes(), &file, end.as_bytes()] {
        stream.write_all(piece).await.unwrap();
    }
    let answer = read_answer(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 202 "), "{answer}");
    app.finish().await;
}

/// What comes at once.
async fn read_answer(stream: &mut TcpStream) -> String {
    let mut buffer = vec![0; 64 * 1024];
    let read = tokio::time::timeout(BOUND, stream.read(&mut buffer)).await;
    buffer.truncate(read.expect("an answer in time").unwrap());
    String::from_utf8(buffer).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_may_hold_little_besides_its_parts() {
    let app = TestApp::start().await;
    let part = "content-disposition: form-data; name=\"audio\"; filename=\"a.wav\"\r\n";
    let file = audio::short();
    let much = "x".repeat(300_000);
    let form = |before: &str, headers: &str, after: &str| {
        let mut form = format!("{before}--b\r\n{part}{headers}\r\n").into_bytes();
        form.extend(&file);
        form.extend(format!("\r\n--b--\r\n{after}").bytes());
        form
    };
    for body in [
        form(&much, "", ""),
        form("", &format!("x-much: {much}\r\n"), ""),
        // What arrives together with the end of a content is not counted.
        form("", "", &much.repeat(10)),
    ] {
        let request = app
            .acme
            .raw(UPLOAD, "multipart/form-data; boundary=b", body);
        let problem = Answer::to(request).await.problem(400, "invalid-form");
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains("65536 bytes"), "{detail}");
    }
    assert_eq!(app.rows("jobs").await, 0);
    // A little is as good as nothing.
    let little = "This is a form.\r\n".repeat(100);
    let body = form(&little, "x-little: 1\r\n", &little);
    let request = app
        .acme
        .raw(UPLOAD, "multipart/form-data; boundary=b", body);
    let job = Answer::to(request).await.expect(202);
    app.acme.wait_until_done(job["id"].as_str().unwrap()).await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn large_parts_one_after_the_other_are_within_what_a_form_may_hold() {
    let app = TestApp::start().await;
    let options = format!("{{\"custom_metadata\": {{}} {}}}", " ".repeat(500_000));
    let form = Form::new().part("options", Part::text(options)).part(
        "audio",
        Part::bytes(audio::wav(30.0, 44_100, 2)).file_name("a.wav"),
    );
    let job = Answer::to(app.acme.form(UPLOAD, form)).await.expect(202);
    app.acme.wait_until_done(job["id"].as_str().unwrap()).await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_boundary_longer_than_boundaries_are_is_refused() {
    let app = TestApp::start().await;
    let boundary = "b".repeat(71);
    let body = format!("--{boundary}--\r\n");
    let content_type = format!("multipart/form-data; boundary={boundary}");
    let answer = Answer::to(app.acme.raw(UPLOAD, &content_type, body)).await;
    answer.problem(400, "invalid-form");
    app.finish_with_nothing_kept().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_are_kept_by_nobody_on_the_way_and_taken_for_what_they_are() {
    let app = TestApp::start().await;
    for path in ["/v1/transcriptions", "/v1/nothing", "/livez"] {
        let answer = Answer::to(app.acme.request(Method::GET, path)).await;
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{path}");
        assert_eq!(
            answer.header("x-content-type-options"),
            Some("nosniff"),
            "{path}"
        );
    }
    app.finish().await;
}
