//! Whether the public address leads back.

use reqwest::StatusCode;
use serde_json::json;

use crate::support::{
    Answer, TestApp, builder::CALLBACK_KEYS, command::run_with, eventually, process::Process,
    relay::Relay,
};

const OTHER_KEYS: &str = "test:fedcba9876543210fedcba9876543210";

/// A proxy that nobody has.
const NOBODY: &str = "http://127.0.0.1:9";

/// Runs `check-callback` on an address. Whether it succeeded, and what it said.
async fn check(app: &TestApp, public_url: &str, keys: &str) -> (bool, String) {
    let settings = [
        ("PUBLIC_URL", public_url),
        ("CALLBACK_KEYS", keys),
        // What is on this machine is behind no proxy.
        ("HTTP_PROXY", NOBODY),
        ("NO_PROXY", "nowhere.invalid"),
    ];
    let (succeeded, stdout, stderr) = run_with(app, &["check-callback"], &settings).await;
    // The address with its token is a credential.
    assert!(!stderr.contains("/callbacks/gladia/0"), "{stderr}");
    (succeeded, stdout + &stderr)
}

/// Answers every request with this text.
async fn stranger(answer: &'static str) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            use tokio::io::{AsyncReadExt, AsyncWriteExt};
            let _ = stream.read(&mut [0; 4096]).await;
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    format!("http://{address}/")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_tells_what_answers_at_the_public_address() {
    let app = TestApp::builder().with_database_relay().start().await;
    let base = app.replicas[0].base.clone();
    let (back, told) = check(&app, &base, CALLBACK_KEYS).await;
    assert!(back && told.contains("leads to a gateway"), "{told}");
    assert!(told.contains("also a callback of 12 MB"), "{told}");
    // The way is what counts, not the database behind it.
    app.database_relay().cut().await;
    assert!(check(&app, &base, CALLBACK_KEYS).await.0);
    app.database_relay().mend();

    let closed = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let refused = format!("http://{}/", closed.local_addr().unwrap());
    drop(closed);
    let page =
        stranger("HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\nhello").await;
    let moved = stranger(
        "HTTP/1.1 301 Moved\r\nlocation: https://elsewhere.example/x\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
    )
    .await;
    let missing =
        stranger("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").await;
    let tls = page.replace("http:", "https:");
    for (url, keys, expected) in [
        (base.as_str(), OTHER_KEYS, "CALLBACK_KEYS differ"),
        (&refused, CALLBACK_KEYS, "refused"),
        (&page, CALLBACK_KEYS, "it is not this gateway"),
        (&moved, CALLBACK_KEYS, "https://elsewhere.example"),
        (&missing, CALLBACK_KEYS, "no gladia-gateway"),
        (&tls, CALLBACK_KEYS, "TLS failed"),
        (
            "http://nowhere.invalid/",
            CALLBACK_KEYS,
            "cannot be resolved",
        ),
    ] {
        let (back, told) = check(&app, url, keys).await;
        assert!(!back && told.contains(expected), "{url}: {told}");
    }
    app.finish().await;
}

/// A proxy that passes on what has a megabyte at most, as nginx does unless it is told otherwise.
async fn narrow_proxy(app: &TestApp) -> String {
    let (target, client) = (app.replicas[0].base.clone(), app.http.clone());
    let pass_on = move |request: axum::extract::Request| {
        let (target, client) = (target.clone(), client.clone());
        async move {
            let path = request.uri().path().trim_start_matches('/').to_owned();
            let body = request.into_body();
            let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
            if body.len() > 1_000_000 {
                return (StatusCode::PAYLOAD_TOO_LARGE, "Too large".to_owned());
            }
            let sent = client
                .post(format!("{target}/{path}"))
                .body(body)
                .send()
                .await
                .unwrap();
            (sent.status(), sent.text().await.unwrap())
        }
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = axum::Router::new().fallback(pass_on);
    tokio::spawn(axum::serve(listener, router).into_future());
    format!("http://{address}/")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_that_takes_no_large_callback_is_found_before_one_is_lost() {
    let app = TestApp::start().await;
    let narrow = narrow_proxy(&app).await;
    let (back, told) = check(&app, &narrow, CALLBACK_KEYS).await;
    let says = |part: &str| assert!(!back && told.contains(part), "{told}");
    says("leads back to a gateway, but a callback of 12 MB does not get through");
    says("413");

    let settings = [("PUBLIC_URL", &*narrow), ("PUBLIC_URL_CHECK", "pause")];
    let mut process = Process::serve(&app, &settings);
    let base = format!("http://{}", process.address().await);
    let metrics = eventually("look at large callbacks", async || {
        let text = app.acme.at(&base).with_key(None).get("/metrics").await;
        let text = text.text();
        text.contains("\ngateway_public_url_takes_large_callbacks ")
            .then_some(text)
    })
    .await;
    assert!(
        metrics.contains("\ngateway_public_url_takes_large_callbacks 0\n")
            && metrics.contains("\ngateway_public_url_reachable 1\n"),
        "{metrics}"
    );
    process.terminate();
    let log = process.log().await;
    let lines = log.concat();
    assert!(
        lines.contains("a callback of 12 MB does not get through"),
        "{lines}"
    );
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_of_the_own_address_is_no_callback() {
    let app = TestApp::start().await;
    let id = app.acme.start("endless.mp3").await;
    app.acme.wait_until(&id, "processing").await;
    let attempt = app.attempt(&id).await;
    let base = app.replicas[0].base.parse().unwrap();
    // Even where it names an attempt.
    let url = app.callback_keys.canary_url(&base, attempt.id);
    let gladia_id = attempt.gladia_id.unwrap();
    let body = crate::support::rows::success(&gladia_id, "forged");
    let answer = Answer::to(app.http.post(url).body(body.clone())).await;
    assert_eq!(answer.status, 200);
    assert!(
        app.callback_keys
            .is_canary_answer(attempt.id, &answer.text())
    );
    assert_eq!(app.rows("callbacks").await, 0);
    assert_eq!(app.acme.job(&id).await["status"], "processing");
    app.call_back(attempt.id, body).await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_sent_from_where_callbacks_could_not_come_back() {
    let way_back = Relay::start(Vec::new());
    let app = TestApp::builder()
        .set("PUBLIC_URL", format!("http://{}/", way_back.address()))
        .set("PUBLIC_URL_CHECK", "pause")
        .start()
        .await;
    let reachable = async || {
        let text = app.acme.with_key(None).get("/metrics").await.text();
        text.lines()
            .find_map(|line| line.strip_prefix("gateway_public_url_reachable "))
            .map(str::to_owned)
    };
    let id = app.acme.start("a.mp3").await;
    eventually("failing look", async || {
        (reachable().await.as_deref() == Some("0")).then_some(())
    })
    .await;
    assert_eq!(app.acme.job(&id).await["status"], "queued");
    assert_eq!(app.upstream.count("creates_received").await, 0);
    way_back.set_targets(vec![app.replicas[0].address]);
    app.acme.wait_until_done(&id).await;
    // Tests share the registry of metrics, so only that it can be one is certain.
    assert!(reachable().await.is_some());
    assert_eq!(app.rows("attempts").await, 1);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_public_address_that_fails_is_a_warning_unless_more_is_asked_for() {
    let nowhere = Relay::start(Vec::new());
    let app = TestApp::builder()
        .set("PUBLIC_URL", format!("http://{}/", nowhere.address()))
        .set("PUBLIC_URL_CHECK", "warn")
        .start()
        .await;
    let id = app.acme.start("endless.mp3").await;
    app.acme.wait_until(&id, "processing").await;
    let attempt = app.attempt(&id).await;
    let body = crate::support::rows::success(&attempt.gladia_id.unwrap(), "words");
    app.call_back(attempt.id, body).await;
    let done = app.acme.wait_until_done(&id).await;
    assert_eq!(
        done["result"]["transcription"]["full_transcript"],
        json!("words")
    );
    app.finish().await;
}
