//! A spool whose disk does not fail, but lets everybody wait: a volume in the network that is away.

use std::{
    fs,
    time::{Duration, Instant},
};

use futures_util::{StreamExt, future::join_all, stream};
use uuid::Uuid;

use crate::support::{
    TestApp, callbacks::processing, eventually, rows::success, spool::SpoolDirectory,
};

/// More than a process has threads for work that blocks.
const MANY: usize = 600;

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_does_not_answer_takes_nothing_from_what_the_database_does() {
    let directory = SpoolDirectory::new();
    let app = TestApp::with_spool(&directory).await;
    directory.stall();
    let anonymous = app.acme.with_key(None);
    let started = Instant::now();
    assert_eq!(anonymous.get("/readyz").await.status, 200);
    let elapsed = started.elapsed();
    assert!(elapsed < Duration::from_secs(3), "{elapsed:?}");
    let metrics = anonymous.get("/metrics").await.text();
    for line in [
        "gateway_database_up 1\n",
        "gateway_callbacks_spooled NaN\n",
        "gateway_callbacks_spool_broken NaN\n",
    ] {
        assert!(metrics.contains(line), "no {line} in\n{metrics}");
    }
    // Each is told at once: that the disk does not answer is known.
    let started = Instant::now();
    let asked: Vec<u16> = stream::iter(0..MANY)
        .map(|number| {
            let path = if number % 2 == 0 {
                "/readyz"
            } else {
                "/metrics"
            };
            let anonymous = &anonymous;
            async move { anonymous.get(path).await.status }
        })
        .buffer_unordered(20)
        .collect()
        .await;
    assert!(asked.iter().all(|status| *status == 200), "{asked:?}");
    let elapsed = started.elapsed();
    assert!(elapsed < Duration::from_secs(20), "{elapsed:?}");
    // Its body is understood on a thread of its own, of which enough are left.
    let (id, attempt, gladia_id) = processing(&app).await;
    let large = success(&gladia_id, &"word ".repeat(60_000));
    assert_eq!(app.call_back(attempt.id, large).await.status, 200);
    assert_eq!(app.callback_outcomes(&id).await, ["completed"]);
    directory.go_on();
    eventually("count of what is kept", async || {
        let metrics = anonymous.get("/metrics").await.text();
        metrics
            .contains("gateway_callbacks_spooled 0\n")
            .then_some(())
    })
    .await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_neither_answers_the_gateway_is_not_ready_and_callbacks_are_to_come_again() {
    let directory = SpoolDirectory::new();
    let app = TestApp::with_spool(&directory).await;
    let (id, attempt, gladia_id) = processing(&app).await;
    directory.stall();
    app.database_relay().cut().await;
    let started = Instant::now();
    let ready = app.acme.with_key(None).get("/readyz").await;
    assert_eq!(ready.status, 503, "{}", ready.text());
    // Both are asked within the same time.
    let elapsed = started.elapsed();
    assert!(elapsed < Duration::from_millis(3500), "{elapsed:?}");
    let bodies: Vec<String> = (0..20)
        .map(|number| success(&gladia_id, &format!("words {number}")))
        .collect();
    let sent = bodies
        .iter()
        .map(|body| app.call_back(attempt.id, body.clone()));
    for answer in join_all(sent).await {
        answer.problem(503, "database-unavailable");
    }
    // Once the database is back, it is what keeps them, whatever the disk does.
    app.database_relay().mend();
    eventually("callback that is kept", async || {
        let answer = app.call_back(attempt.id, bodies[0].clone()).await;
        (answer.status == 200).then_some(())
    })
    .await;
    assert_eq!(app.callback_outcomes(&id).await, ["completed"]);
    assert!(directory.files("callback").is_empty());
    // And another one at once.
    let (other, attempt, gladia_id) = processing(&app).await;
    let started = Instant::now();
    let body = success(&gladia_id, "words");
    assert_eq!(app.call_back(attempt.id, body).await.status, 200);
    let elapsed = started.elapsed();
    assert!(elapsed < Duration::from_secs(5), "{elapsed:?}");
    assert_eq!(app.callback_outcomes(&other).await, ["completed"]);
    // What the disk takes after all, when nobody waits for it any more, changes nothing.
    directory.go_on();
    eventually("callbacks that are carried out once more", async || {
        let kept = app.rows("callbacks WHERE outcome = 'superseded'").await;
        (kept > 0).then_some(())
    })
    .await;
    directory.wait_until_empty().await;
    let outcomes = app.callback_outcomes(&id).await;
    let completed = outcomes.iter().filter(|outcome| *outcome == "completed");
    assert_eq!(completed.count(), 1, "{outcomes:?}");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_whose_disk_stops_answering_while_it_arrives_gives_its_turn_back() {
    let directory = SpoolDirectory::new();
    let app = TestApp::builder()
        .set("CALLBACK_SPOOL_DIR", directory.setting())
        .set("GLADIA_ZERO_DATA_RETENTION", true)
        .set("MAX_CALLBACK_BYTES", 2000)
        .start()
        .await;
    let (id, attempt, gladia_id) = processing(&app).await;
    // Nothing that compressing would make small.
    let words: String = (0..20_000).map(|_| Uuid::now_v7().to_string()).collect();
    let body = success(&gladia_id, &words);
    let (sender, pieces) = tokio::sync::mpsc::unbounded_channel::<std::io::Result<Vec<u8>>>();
    let pieces = stream::unfold(pieces, |mut pieces| async {
        pieces.recv().await.map(|piece| (piece, pieces))
    });
    let mut whole = body.into_bytes();
    let rest = whole.split_off(600_000);
    sender.send(Ok(whole)).unwrap();
    let sending = app.call_back(attempt.id, reqwest::Body::wrap_stream(pieces));
    let stalling = async {
        eventually("file that is being written", async || {
            let files = directory.files("part");
            let sizes = files.iter().filter_map(|file| fs::metadata(file).ok());
            // More than what proves that something can be written.
            sizes.map(|file| file.len()).find(|bytes| *bytes > 1)
        })
        .await;
        directory.stall();
        sender.send(Ok(rest)).unwrap();
        drop(sender);
    };
    let (answer, ()) = tokio::join!(sending, stalling);
    answer.problem(503, "database-unavailable");
    // It is written after all, and carried out.
    directory.go_on();
    eventually("job that is done", async || {
        let done = app.rows("jobs WHERE status = 'done'").await;
        (done == 1).then_some(())
    })
    .await;
    assert_eq!(app.callback_outcomes(&id).await, ["completed"]);
    directory.wait_until_empty().await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_ends_whatever_its_disk_does() {
    let directory = SpoolDirectory::new();
    let app = TestApp::with_spool(&directory).await;
    directory.stall();
    let started = Instant::now();
    app.finish().await;
    let elapsed = started.elapsed();
    assert!(elapsed < Duration::from_secs(8), "{elapsed:?}");
}
