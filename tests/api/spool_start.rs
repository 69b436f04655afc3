//! Starting with a spool: what is checked first, and starting while the database is away.

use std::fs;

use serde_json::json;

use crate::support::{
    Answer, TestApp, callbacks::processing, eventually, rows::success, spool::SpoolDirectory,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_starts_while_postgres_is_away_keeps_callbacks_and_does_the_rest_later() {
    let directory = SpoolDirectory::new();
    let mut app = TestApp::builder().with_database_relay().start().await;
    let (id, attempt, gladia_id) = processing(&app).await;
    app.database_relay().cut().await;
    // Without a spool there is nothing that it could do.
    let refused = app.try_replica(&[]).await.unwrap_err();
    let refused = format!("{refused:#}");
    assert!(refused.contains("DATABASE_URL"), "{refused}");

    let setting = [("CALLBACK_SPOOL_DIR", directory.setting())];
    app.add_replica(&setting).await;
    let late = app.acme.at(&app.replicas[1].base);
    let url = app.callback_url(1, attempt.id);
    let request = app.http.post(url).body(success(&gladia_id, "words"));
    assert_eq!(Answer::to(request).await.status, 200);
    for refused in [
        late.get("/v1/transcriptions").await,
        late.post("/webhooks/gladia", &json!({})).await,
    ] {
        refused.problem(503, "database-unavailable");
        assert!(refused.header("retry-after").is_some());
    }
    let anonymous = late.with_key(None);
    assert_eq!(anonymous.get("/readyz").await.status, 200);
    assert_eq!(anonymous.get("/readyz?for=api").await.status, 503);
    assert_eq!(anonymous.get("/livez").await.status, 200);

    app.database_relay().mend();
    eventually("readiness for the API", async || {
        (anonymous.get("/readyz?for=api").await.status == 200).then_some(())
    })
    .await;
    late.wait_until_done(&id).await;
    directory.wait_until_empty().await;
    // It submits as well, also alone.
    app.replicas[0].stop(crate::support::builder::DRAIN).await;
    app.point_front_at_replicas();
    late.wait_until_done(&late.start("a.mp3").await).await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_start_that_finds_a_database_it_cannot_work_with_stops_the_process() {
    let directory = SpoolDirectory::new();
    let mut app = TestApp::builder().with_database_relay().start().await;
    let (_, attempt, gladia_id) = processing(&app).await;
    app.database_relay().cut().await;
    let settings = [
        ("CALLBACK_SPOOL_DIR", directory.setting()),
        ("CALLBACK_KEYS", "new:fedcba9876543210fedcba9876543210"),
    ];
    app.add_replica(&settings).await;
    app.database_relay().mend();
    eventually("stop", async || {
        let stops = app.replicas[1].shutdown.soft.is_cancelled();
        stops.then_some(())
    })
    .await;
    // Connections of the other one may have died just now. Gladia comes again then.
    eventually("answer that the callback is kept", async || {
        let answer = app.call_back(attempt.id, success(&gladia_id, "words"));
        (answer.await.status == 200).then_some(())
    })
    .await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spool_that_cannot_be_written_stops_the_start() {
    let directory = SpoolDirectory::new();
    let mut app = TestApp::start().await;
    fs::write(directory.path(), "").unwrap();
    let refused = app
        .try_replica(&[("CALLBACK_SPOOL_DIR", directory.setting())])
        .await
        .unwrap_err();
    let refused = format!("{refused:#}");
    assert!(refused.contains("CALLBACK_SPOOL_DIR"), "{refused}");
    assert!(refused.contains(directory.setting()), "{refused}");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn zero_data_retention_without_a_spool_stops_the_start() {
    let mut app = TestApp::start().await;
    let refused = app
        .try_replica(&[("GLADIA_ZERO_DATA_RETENTION", "true")])
        .await
        .unwrap_err()
        .to_string();
    for name in ["GLADIA_ZERO_DATA_RETENTION", "CALLBACK_SPOOL_DIR"] {
        assert!(refused.contains(name), "{refused}");
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn readiness_for_something_unknown_is_refused_with_what_there_is() {
    let app = TestApp::start().await;
    let anonymous = app.acme.with_key(None);
    for path in [
        "/readyz?for=",
        "/readyz?for=webhooks",
        "/readyz?for=api&for=x",
    ] {
        let problem = anonymous.get(path).await.problem(400, "invalid-parameter");
        let detail = problem["detail"].as_str().unwrap();
        assert!(
            detail.contains("`api`") && detail.contains("`callbacks`"),
            "{detail}"
        );
    }
    for path in ["/readyz?for=callbacks", "/readyz?other=1", "/readyz?"] {
        assert_eq!(anonymous.get(path).await.status, 200, "{path}");
    }
    app.finish().await;
}
