//! A database to which no connection can be opened: the log says why, once a while.

use serde_json::json;

use crate::support::{TestApp, process::Process};

const NONE: &str = "No connection to the database can be opened";

fn count(log: &[String], text: &str) -> usize {
    log.iter().filter(|line| line.contains(text)).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn while_connections_are_refused_the_log_says_so_and_blames_no_setting() {
    let app = TestApp::builder().with_database_relay().start().await;
    let mut process = Process::serve(&app, &[]);
    let base = format!("http://{}", process.address().await);
    let caller = app.acme.at(&base);
    let body = json!({ "audio_url": "https://audio.example/spoken.mp3" });
    caller.transcribe(&body).await.expect(202);

    app.database_relay().cut().await;
    let refused = [
        caller.transcribe(&body).await,
        caller.get("/v1/transcriptions").await,
    ];
    for answer in refused {
        answer.problem(503, "database-unavailable");
        assert!(!answer.text().contains("refused"), "{}", answer.text());
    }
    // Others have waited for long by now.
    app.database_relay().mend();
    caller.transcribe(&body).await.expect(202);

    process.terminate();
    let log = process.log().await;
    let told = log
        .iter()
        .filter(|line| line.contains(NONE) && line.contains("Connection refused"));
    assert_eq!(told.count(), 1, "{log:#?}");
    let answered = log.iter().filter(|line| {
        line.contains("The database is not available") && line.contains("Connection refused")
    });
    assert!(answered.count() >= 1, "{log:#?}");
    assert_eq!(count(&log, "pool timed out"), 0, "{log:#?}");
    assert_eq!(count(&log, "DATABASE_POOL_SIZE"), 0, "{log:#?}");
    app.finish().await;
}
