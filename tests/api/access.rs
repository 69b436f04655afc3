//! Who gets in, and how far.

use gladia_gateway::domain::access::Scope;
use reqwest::Method;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::support::{Answer, TestApp, audio};

const CREATE: &str = "/v1/transcriptions";
const NOBODY: &str = "/v1/transcriptions/01890000-0000-7000-8000-000000000000";

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
        (
            Method::POST,
            "/v1/transcriptions/01890000-0000-7000-8000-000000000000/retry",
        ),
        (
            Method::GET,
            "/v1/transcriptions/01890000-0000-7000-8000-000000000000/timeline",
        ),
    ] {
        Answer::to(anonymous.request(method, path))
            .await
            .problem(401, "unauthorized");
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_revoked_opens_nothing_from_then_on_however_well_it_was_known() {
    let app = TestApp::start().await;
    let caller = app.caller("acme", Scope::Write).await;
    let body = json!({ "audio_url": "https://audio.example/spoken.mp3" });
    let id = caller.post(CREATE, &body).await.expect(202)["id"].clone();
    let id = id.as_str().unwrap();
    caller.wait_until_done(id).await;
    let (job, result) = (format!("{CREATE}/{id}"), format!("{CREATE}/{id}/result"));
    let seen = caller.get(&job).await;
    caller.get(&result).await.expect(200);
    let known = seen.header("etag").unwrap();
    app.execute(&format!(
        "UPDATE api_keys SET revoked_at = gateway_now() WHERE id = '{}'",
        caller.api_key_id
    ))
    .await;
    let conditional = caller
        .request(Method::GET, &job)
        .header("if-none-match", known);
    for answer in [
        caller.post(CREATE, &body).await,
        caller.transcribe_once("order-1", &body).await,
        // Not even what is wrong with it.
        caller.post(CREATE, &json!({ "audio_url": 7 })).await,
        caller.post(CREATE, &json!([])).await,
        caller.get(&job).await,
        caller.get(&result).await,
        caller.get(NOBODY).await,
        Answer::to(conditional).await,
    ] {
        answer.problem(401, "unauthorized");
    }
    assert_eq!(app.rows("jobs").await, 1);
    assert_eq!(app.rows("idempotency_keys").await, 0);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_revoked_while_the_body_arrives_makes_no_job() {
    let app = TestApp::start().await;
    let caller = app.caller("acme", Scope::Write).await;
    let body = json!({ "audio_url": "https://audio.example/a.mp3" }).to_string();
    // The first request of its key here, which was looked up to know whose turn it is.
    let head = format!(
        "POST {CREATE} HTTP/1.1\r\nhost: gateway\r\nconnection: close\r\nauthorization: Bearer {}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\nexpect: 100-continue\r\n\r\n",
        caller.key.as_deref().unwrap(),
        body.len()
    );
    let mut stream = TcpStream::connect(app.replicas[0].address).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut asked_for = vec![0; "HTTP/1.1 100 Continue\r\n\r\n".len()];
    stream.read_exact(&mut asked_for).await.unwrap();
    app.execute(&format!(
        "UPDATE api_keys SET revoked_at = gateway_now() WHERE id = '{}'",
        caller.api_key_id
    ))
    .await;
    stream.write_all(body.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
    assert_eq!(app.rows("jobs").await, 0);
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
        reader.retry(&id).await,
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
