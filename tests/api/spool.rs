//! Callbacks that come while they cannot be committed.

use std::fs;

use serde_json::Value;
use uuid::Uuid;

use crate::support::{
    Answer, TestApp,
    builder::DRAIN,
    callbacks::processing,
    eventually,
    rows::{failure, success},
    spool::SpoolDirectory,
};

/// Waits for a job as its row has it.
async fn wait_for_row(app: &TestApp, id: &str, status: &str) {
    eventually(&format!("job that is {status}"), async || {
        let found: String = app
            .scalar(&format!("SELECT status FROM jobs WHERE id = '{id}'"))
            .await;
        (found == status).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn callbacks_that_come_while_postgres_is_away_are_carried_out_when_it_is_back() {
    let directory = SpoolDirectory::new();
    let app = TestApp::with_spool(&directory).await;
    let (succeeded, attempt, gladia_id) = processing(&app).await;
    let (failed, other_attempt, other_gladia_id) = processing(&app).await;
    app.database_relay().cut().await;
    let success = success(&gladia_id, "words");
    let failure = failure(&other_gladia_id, 500, "worker lost");
    for _ in 0..2 {
        for (attempt, body) in [(attempt.id, &success), (other_attempt.id, &failure)] {
            assert_eq!(app.call_back(attempt, body.clone()).await.status, 200);
        }
    }
    assert_eq!(app.rows("callbacks").await, 0);
    assert_eq!(directory.files("callback").len(), 4);
    let metrics = app.acme.with_key(None).get("/metrics").await.text();
    for line in [
        "gateway_callbacks_spooled 4",
        "gateway_callbacks_spooled_total ",
    ] {
        assert!(metrics.contains(line), "no {line} in\n{metrics}");
    }
    // Nothing of the token stands in what is kept.
    let url = app.callback_url(0, attempt.id);
    let (_, token) = url.rsplit_once('/').unwrap();
    let kept = fs::read(&directory.files("callback")[0]).unwrap();
    assert!(!String::from_utf8_lossy(&kept).contains(token));

    app.set_clock_ahead("1 hour").await;
    app.database_relay().mend();
    wait_for_row(&app, &succeeded, "done").await;
    wait_for_row(&app, &failed, "error").await;
    directory.wait_until_empty().await;
    // The one that came twice was carried out once, and came when it came.
    assert_eq!(app.callback_outcomes(&succeeded).await, ["completed"]);
    assert_eq!(app.callback_outcomes(&failed).await, ["failed"]);
    let early: i64 = app
        .scalar("SELECT count(*) FROM callbacks WHERE received_at < gateway_now() - interval '50 minutes'")
        .await;
    assert_eq!(early, 2);
    // From now on callbacks are committed at once.
    let (id, attempt, gladia_id) = processing(&app).await;
    let body = crate::support::rows::success(&gladia_id, "words");
    assert_eq!(app.call_back(attempt.id, body).await.status, 200);
    assert_eq!(app.callback_outcomes(&id).await, ["completed"]);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_callbacks_at_once_are_kept_without_waiting_for_a_database_that_is_away() {
    let directory = SpoolDirectory::new();
    let app = TestApp::with_spool(&directory).await;
    let (id, attempt, gladia_id) = processing(&app).await;
    app.database_relay().cut().await;
    let started = std::time::Instant::now();
    let bodies: Vec<String> = (0..100)
        .map(|number| success(&gladia_id, &format!("words {number}")))
        .collect();
    let sent = bodies
        .into_iter()
        .map(|body| app.call_back(attempt.id, body));
    for answer in futures_util::future::join_all(sent).await {
        assert_eq!(answer.status, 200);
    }
    // Those that came first waited for a connection; each of the others would have had to wait as long.
    let elapsed = started.elapsed();
    assert!(elapsed.as_secs() < 15, "{elapsed:?}");
    assert_eq!(directory.files("callback").len(), 100);
    app.database_relay().mend();
    directory.wait_until_empty().await;
    wait_for_row(&app, &id, "done").await;
    assert_eq!(app.rows("callbacks").await, 100);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_does_not_answer_is_as_good_as_away() {
    let directory = SpoolDirectory::new();
    let app = TestApp::with_spool(&directory).await;
    let (id, attempt, gladia_id) = processing(&app).await;
    app.database_relay().hold_answers();
    let answer = app
        .call_back(attempt.id, success(&gladia_id, "words"))
        .await;
    assert_eq!(answer.status, 200);
    assert_eq!(directory.files("callback").len(), 1);
    app.database_relay().release_answers();
    wait_for_row(&app, &id, "done").await;
    directory.wait_until_empty().await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_stopped_while_postgres_was_away_carries_its_spool_out_when_it_is_back() {
    let directory = SpoolDirectory::new();
    let mut app = TestApp::with_spool(&directory).await;
    let (id, attempt, gladia_id) = processing(&app).await;
    app.database_relay().cut().await;
    let body = success(&gladia_id, "words");
    assert_eq!(app.call_back(attempt.id, body).await.status, 200);
    app.replicas[0].stop(DRAIN).await;
    app.database_relay().mend();
    assert_eq!(directory.files("callback").len(), 1);
    // What a crash left in the middle was never answered, and goes.
    let unfinished = directory.path().join(format!("{}.part", Uuid::now_v7()));
    fs::write(&unfinished, "{").unwrap();
    app.add_replica(&[]).await;
    assert!(!unfinished.exists());
    wait_for_row(&app, &id, "done").await;
    directory.wait_until_empty().await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_callback_of_an_attempt_that_is_not_here_yet_waits_in_the_spool_for_it() {
    let directory = SpoolDirectory::new();
    let app = TestApp::with_spool(&directory).await;
    let (id, attempt, gladia_id) = processing(&app).await;
    let hidden = Uuid::now_v7();
    let rename = async |from: Uuid, to: Uuid| {
        app.execute(&format!(
            "UPDATE attempts SET id = '{to}' WHERE id = '{from}'"
        ))
        .await;
    };
    app.execute("ALTER TABLE slots DROP CONSTRAINT slots_attempt_id_fkey")
        .await;
    rename(attempt.id, hidden).await;
    let body = success(&gladia_id, "words");
    assert_eq!(app.call_back(attempt.id, body).await.status, 200);
    // Others go on meanwhile.
    let (other, other_attempt, other_gladia_id) = processing(&app).await;
    let body = success(&other_gladia_id, "words");
    app.call_back(other_attempt.id, body).await;
    wait_for_row(&app, &other, "done").await;
    assert_eq!(directory.files("callback").len(), 1);

    rename(hidden, attempt.id).await;
    wait_for_row(&app, &id, "done").await;
    directory.wait_until_empty().await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_be_kept_nowhere_is_asked_for_again() {
    let directory = SpoolDirectory::new();
    let app = TestApp::with_spool(&directory).await;
    let (id, attempt, gladia_id) = processing(&app).await;
    app.database_relay().cut().await;
    // A disk on which nothing can be written.
    fs::remove_dir_all(directory.path()).unwrap();
    fs::write(directory.path(), "").unwrap();
    let body = success(&gladia_id, "words");
    let answer = app.call_back(attempt.id, body.clone()).await;
    answer.problem(503, "database-unavailable");
    assert!(answer.header("retry-after").is_some());
    let readiness = async |query: &str| {
        let anonymous = app.acme.with_key(None);
        anonymous.get(&format!("/readyz{query}")).await.status
    };
    assert_eq!(readiness("").await, 503);
    fs::remove_file(directory.path()).unwrap();
    fs::create_dir(directory.path()).unwrap();
    assert_eq!(
        (readiness("").await, readiness("?for=api").await),
        (200, 503)
    );
    assert_eq!(app.call_back(attempt.id, body).await.status, 200);
    app.database_relay().mend();
    wait_for_row(&app, &id, "done").await;
    eventually("readiness for the API", async || {
        (readiness("?for=api").await == 200).then_some(())
    })
    .await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_cannot_be_read_is_set_aside_and_the_others_are_carried_out() {
    let directory = SpoolDirectory::new();
    let app = TestApp::with_spool(&directory).await;
    let (id, attempt, gladia_id) = processing(&app).await;
    app.database_relay().cut().await;
    let body = success(&gladia_id, "words");
    assert_eq!(app.call_back(attempt.id, body).await.status, 200);
    let whole = fs::read(&directory.files("callback")[0]).unwrap();
    let header = whole.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    let mut damaged = whole.clone();
    *damaged.last_mut().unwrap() ^= 1;
    let of_tomorrow =
        String::from_utf8_lossy(&whole[..header]).replace("\"version\":1", "\"version\":2");
    let broken: [&[u8]; 6] = [
        b"",
        b"no header\n",
        of_tomorrow.as_bytes(),
        &whole[..header],
        &whole[..whole.len() - 5],
        &damaged,
    ];
    for content in broken {
        // Older than the one that is fine.
        let path = directory
            .path()
            .join(format!("0-{}.callback", Uuid::now_v7()));
        fs::write(path, content).unwrap();
    }
    app.database_relay().mend();
    wait_for_row(&app, &id, "done").await;
    directory.wait_until_empty().await;
    assert_eq!(directory.files("broken").len(), broken.len());
    let metrics = app.acme.with_key(None).get("/metrics").await.text();
    let line = format!("gateway_callbacks_spool_broken {}", broken.len());
    assert!(metrics.contains(&line), "{metrics}");
    app.finish().await;
}

/// A body of which nobody knows the size before its end.
fn in_pieces(body: &str) -> reqwest::Body {
    let pieces: Vec<_> = body.as_bytes().chunks(999).map(<[u8]>::to_vec).collect();
    let pieces = pieces.into_iter().map(std::io::Result::Ok);
    reqwest::Body::wrap_stream(futures_util::stream::iter(pieces))
}

#[tokio::test(flavor = "multi_thread")]
async fn with_zero_data_retention_a_broken_spool_costs_no_callback_that_the_database_takes() {
    let directory = SpoolDirectory::new();
    let app = TestApp::builder()
        .set("CALLBACK_SPOOL_DIR", directory.setting())
        .set("GLADIA_ZERO_DATA_RETENTION", true)
        .set("MAX_CALLBACK_BYTES", 2000)
        .start()
        .await;
    let (id, attempt, gladia_id) = processing(&app).await;
    // A disk on which nothing can be written.
    fs::remove_dir_all(directory.path()).unwrap();
    fs::write(directory.path(), "").unwrap();
    // One that is too large for the memory is asked for again.
    let large = in_pieces(&success(&gladia_id, &"word ".repeat(1000)));
    let answer = app.call_back(attempt.id, large).await;
    answer.problem(503, "database-unavailable");
    assert_eq!(app.rows("callbacks").await, 0);
    let body = in_pieces(&success(&gladia_id, "words"));
    assert_eq!(app.call_back(attempt.id, body).await.status, 200);
    wait_for_row(&app, &id, "done").await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_zero_data_retention_a_small_callback_of_an_undeclared_size_needs_no_disk() {
    let directory = SpoolDirectory::new();
    let app = TestApp::builder()
        .set("CALLBACK_SPOOL_DIR", directory.setting())
        .set("GLADIA_ZERO_DATA_RETENTION", true)
        .start()
        .await;
    let (id, attempt, gladia_id) = processing(&app).await;
    let body = in_pieces(&success(&gladia_id, "words"));
    assert_eq!(app.call_back(attempt.id, body).await.status, 200);
    // With the answer, and not once the spool is carried out.
    assert_eq!(app.callback_outcomes(&id).await, ["completed"]);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_zero_data_retention_a_callback_of_any_size_is_kept_and_completes_the_job() {
    let directory = SpoolDirectory::new();
    let app = TestApp::builder()
        .set("CALLBACK_SPOOL_DIR", directory.setting())
        .set("GLADIA_ZERO_DATA_RETENTION", true)
        .set("MAX_CALLBACK_BYTES", 2000)
        .start()
        .await;
    let words = "word ".repeat(10_000);
    // Of a declared size, and of one that turns out.
    for is_declared in [true, false] {
        let (id, attempt, gladia_id) = processing(&app).await;
        let body = success(&gladia_id, &words);
        let body = if is_declared {
            reqwest::Body::from(body)
        } else {
            in_pieces(&body)
        };
        let request = app.http.post(app.callback_url(0, attempt.id)).body(body);
        assert_eq!(Answer::to(request).await.status, 200);
        let done: Value = app.acme.wait_until_done(&id).await;
        assert_eq!(done["result"]["transcription"]["full_transcript"], words);
        assert_eq!(app.callback_outcomes(&id).await, ["completed"]);
    }
    directory.wait_until_empty().await;
    app.finish().await;
}
