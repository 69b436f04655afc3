//! Rows that this version cannot understand, such as another one may write: nobody else is kept from being told.

use crate::support::{TestApp, callbacks::processing, receiver::Receiver, rows::success};

const DONE: &[&str] = &["transcription.done"];

#[tokio::test(flavor = "multi_thread")]
async fn an_event_and_a_callback_that_cannot_be_understood_keep_nobody_from_being_told() {
    let app = TestApp::start().await;
    let receiver = Receiver::start().await;
    let endpoint = app.add_endpoint(&app.globex, &receiver.url(), DONE).await;
    let (odd, attempt, gladia_id) = processing(&app).await;
    app.execute(&format!(
        "UPDATE jobs SET callback = '{{\"url\": \"nowhere\", \"method\": \"PATCH\"}}' WHERE id = '{odd}'"
    ))
    .await;
    for (kind, data) in [("processing", "7"), ("sung", "{}")] {
        app.execute(&format!(
            "INSERT INTO events (tenant_id, job_id, type, data)
             SELECT tenant_id, id, 'transcription.{kind}', '{data}' FROM jobs WHERE id = '{odd}'"
        ))
        .await;
    }
    app.call_back(attempt.id, success(&gladia_id, "words"))
        .await;
    app.acme.wait_until_done(&odd).await;
    let other = app.globex.start("spoken.mp3").await;
    app.globex.wait_until_done(&other).await;
    app.wait_for_deliveries(&endpoint, &["delivered"]).await;

    let list = app.acme.get("/v1/events?after=evt_0").await.expect(200);
    let kinds: Vec<&str> = list["events"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| event["type"].as_str().unwrap())
        .collect();
    assert!(
        kinds.ends_with(&["transcription.processing", "transcription.done"]),
        "{kinds:?}"
    );
    // What a newer version tells of waits for that one.
    let unnumbered = "events WHERE number IS NULL AND type = 'transcription.sung'";
    assert_eq!(app.rows(unnumbered).await, 1);
    app.finish().await;
}
