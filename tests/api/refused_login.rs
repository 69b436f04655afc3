//! A database that does not let the gateway in any more.

use serde_json::json;
use url::Url;
use uuid::Uuid;

use crate::support::{TestApp, process::Process};

#[tokio::test(flavor = "multi_thread")]
async fn where_the_login_is_refused_callers_come_back_later_and_the_log_alone_says_why() {
    let app = TestApp::start().await;
    let role = format!("refused_{}", Uuid::new_v4().simple());
    app.execute(&format!(
        "CREATE ROLE {role} LOGIN SUPERUSER PASSWORD 'refused'"
    ))
    .await;
    let mut url: Url = app.database_url().parse().unwrap();
    url.set_username(&role).unwrap();
    url.set_password(Some("refused")).unwrap();
    let mut process = Process::serve(&app, &[("DATABASE_URL", url.as_str())]);
    let base = format!("http://{}", process.address().await);
    let caller = app.acme.at(&base);
    let body = json!({ "audio_url": "https://audio.example/spoken.mp3" });
    caller.transcribe(&body).await.expect(202);

    app.execute(&format!("ALTER ROLE {role} NOLOGIN")).await;
    app.execute(&format!(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{role}'"
    ))
    .await;
    for _ in 0..3 {
        let refused = [
            caller.transcribe(&body).await,
            caller.get("/v1/transcriptions").await,
        ];
        for answer in refused {
            answer.problem(503, "database-unavailable");
            assert!(answer.header("retry-after").is_some());
            assert!(!answer.text().contains(&role), "{}", answer.text());
        }
    }
    let ready = caller.with_key(None).get("/readyz").await;
    assert_eq!(ready.status, 503);
    app.execute(&format!("ALTER ROLE {role} LOGIN")).await;
    caller.transcribe(&body).await.expect(202);

    process.terminate();
    let log = process.log().await;
    let told = log
        .iter()
        .filter(|line| line.contains("does not let the gateway in") && line.contains(&role));
    assert!(told.count() >= 2, "{log:#?}");
    // Creates share a commit, and each of them says why it was refused all the same.
    let creates = log
        .iter()
        .filter(|line| line.contains("The database is not available") && line.contains(&role));
    assert!(creates.count() >= 2, "{log:#?}");
    app.execute(&format!("DROP ROLE {role}")).await;
    app.finish().await;
}
