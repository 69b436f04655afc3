//! What whoever runs the service asks it.

use reqwest::Method;
use serde_json::json;

use crate::support::{
    Answer, TestApp, callbacks::processing, eventually, process::Process, rows::success,
};

#[tokio::test(flavor = "multi_thread")]
async fn probes_need_no_key_and_tell_whether_the_database_answers() {
    let app = TestApp::builder().with_database_relay().start().await;
    let anonymous = app.acme.with_key(None);
    for path in ["/livez", "/readyz", "/readyz?for=api"] {
        let answer = anonymous.get(path).await;
        assert_eq!(
            (answer.status, answer.text().as_str()),
            (200, "ok\n"),
            "{path}"
        );
    }
    app.database_relay().cut().await;
    for path in ["/readyz", "/readyz?for=api"] {
        let answer = anonymous.get(path).await;
        assert_eq!(answer.status, 503, "{path}");
        assert_eq!(answer.text(), "the database does not answer\n");
    }
    // A restart would not bring the database back.
    assert_eq!(anonymous.get("/livez").await.status, 200);
    app.database_relay().mend();
    eventually("readiness", async || {
        (anonymous.get("/readyz").await.status == 200).then_some(())
    })
    .await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn however_many_ask_what_takes_no_key_creates_and_callbacks_have_their_connections() {
    let app = TestApp::builder()
        .set("DATABASE_POOL_SIZE", 8)
        .start()
        .await;
    let (id, attempt, gladia_id) = processing(&app).await;
    // To count takes long.
    let mut held = app.pool.begin().await.unwrap();
    sqlx::query("LOCK TABLE upstream_deletions IN ACCESS EXCLUSIVE MODE")
        .execute(&mut *held)
        .await
        .unwrap();
    let anonymous = app.acme.with_key(None);
    let asking: Vec<_> = (0..50)
        .flat_map(|_| ["/metrics", "/readyz?for=api"])
        .map(|path| tokio::spawn(Answer::to(anonymous.request(Method::GET, path))))
        .collect();
    let counting = "pg_stat_activity WHERE datname = current_database()
                    AND wait_event_type = 'Lock' AND query LIKE '%quarantined_callbacks!%'";
    eventually("statement that counts", async || {
        (app.rows(counting).await > 0).then_some(())
    })
    .await;

    app.acme.start("b.mp3").await;
    let called_back = app.call_back(attempt.id, success(&gladia_id, "words"));
    assert_eq!(called_back.await.status, 200);
    app.acme.wait_until_done(&id).await;
    // One, and one that was given up where this has taken long.
    let counting = app.rows(counting).await;
    assert!(counting <= 2, "{counting}");

    held.rollback().await.unwrap();
    for asked in asking {
        assert_eq!(asked.await.unwrap().status, 200);
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn addresses_of_their_own_serve_nothing_else() {
    let app = TestApp::builder()
        .set("CALLBACK_LISTEN_ADDR", "127.0.0.1:0")
        .set("OPS_LISTEN_ADDR", "127.0.0.1:0")
        .start()
        .await;
    // Callbacks take the way of their own.
    let id = app.acme.start("a.mp3").await;
    app.acme.wait_until_done(&id).await;

    let main = &app.replicas[0].base;
    let callbacks = format!("http://{}", app.replicas[0].callback_address);
    let ops = format!("http://{}", app.replicas[0].ops_address);
    let attempt = app.attempt(&id).await;
    let path = app.callback_url(0, attempt.id).replace(main, "");
    let late = success(&attempt.gladia_id.unwrap(), "late");
    for (base, api, callback, probe) in [
        (main, 200, 404, 404),
        (&callbacks, 404, 200, 404),
        (&ops, 404, 404, 200),
    ] {
        let caller = app.acme.at(base);
        for path in ["/v1/transcriptions", "/openapi.json"] {
            assert_eq!(caller.get(path).await.status, api, "{base}{path}");
        }
        for path in ["/livez", "/readyz", "/metrics"] {
            assert_eq!(caller.get(path).await.status, probe, "{base}{path}");
        }
        let request = app.http.post(format!("{base}{path}")).body(late.clone());
        assert_eq!(Answer::to(request).await.status, callback, "{base}");
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn links_go_by_the_address_that_callers_know() {
    let app = TestApp::builder()
        .set("API_URL", "https://transcription.internal/base/")
        .start()
        .await;
    let body = json!({ "audio_url": "https://audio.example/a.mp3" });
    let answer = app.acme.transcribe(&body).await;
    let id = answer.expect(202)["id"].as_str().unwrap().to_owned();
    let expected = format!("https://transcription.internal/base/v1/transcriptions/{id}");
    assert_eq!(answer.header("location"), Some(expected.as_str()));
    app.acme.wait_until_done(&id).await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bootstrap_key_opens_the_default_tenant_and_stays_revoked_once_it_is() {
    let key = "bootstrap-key-of-the-tests-1";
    let mut app = TestApp::builder()
        .set("BOOTSTRAP_API_KEY", key)
        .start()
        .await;
    let caller = app.acme.with_key(Some(key));
    caller.get("/v1/transcriptions").await.expect(200);
    app.add_replica(&[]).await;
    assert_eq!(app.rows("api_keys WHERE name = 'bootstrap'").await, 1);
    app.execute("UPDATE api_keys SET revoked_at = gateway_now() WHERE name = 'bootstrap'")
        .await;
    app.add_replica(&[]).await;
    caller
        .get("/v1/transcriptions")
        .await
        .problem(401, "unauthorized");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_for_machines_have_times_as_numbers() {
    let app = TestApp::start().await;
    let mut process = Process::serve(&app, &[("LOG_FORMAT", "json")]);
    let base = format!("http://{}", process.address().await);
    let caller = app.acme.at(&base);
    caller.wait_until_done(&caller.start("a.mp3").await).await;
    process.terminate();
    let log = process.log().await;
    let lines = log
        .iter()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let times: Vec<_> = lines
        .filter_map(|line| line.get("elapsed_ms").cloned())
        .collect();
    assert!(
        !times.is_empty() && times.iter().all(serde_json::Value::is_u64),
        "{times:?}"
    );
    app.finish().await;
}
