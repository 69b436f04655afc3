//! Events that get their number with the commit that makes them, and those that are left to the sequencer.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use serde_json::json;

use crate::support::{
    TestApp,
    callbacks::processing,
    database::until_statements_wait,
    events::{all_told, wait_until_numbered},
    receiver::{Received, Receiver},
    rows::success,
    sse::EventStream,
};

const DONE: &[&str] = &["transcription.done"];

/// Workers look by themselves 0.7 seconds after their last look, at the earliest.
const BEFORE_A_LOOK: Duration = Duration::from_millis(500);

/// The numbers that a job's events have, in the order in which they were added.
async fn numbers(app: &TestApp, job: &str) -> Vec<i64> {
    sqlx::query_scalar(
        "SELECT number FROM events WHERE job_id = $1::uuid AND number IS NOT NULL ORDER BY position",
    )
    .bind(job)
    .fetch_all(&app.pool)
    .await
    .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_end_has_its_number_and_its_delivery_when_its_callback_is_answered() {
    let app = TestApp::start().await;
    let receiver = Receiver::start().await;
    let endpoint = app.add_endpoint(&app.acme, &receiver.url(), DONE).await;
    // The lane has to have worked before anything is leased in it unseen.
    for tries in 1..=2 {
        let (id, attempt, gladia_id) = processing(&app).await;
        wait_until_numbered(&app).await;
        assert_eq!(
            app.call_back(attempt.id, success(&gladia_id, "words"))
                .await
                .status,
            200
        );
        // queued, processing, done
        assert_eq!(numbers(&app, &id).await.len(), 3);
        let deliveries = app.deliveries_to(&endpoint).await;
        assert_eq!(deliveries.len(), tries);
        app.wait_for_deliveries(&endpoint, &vec!["delivered"; tries])
            .await;
    }
    let sent = receiver.received();
    assert_eq!(sent.len(), 2);
    assert!(sent.iter().all(|one| one.is_signed_with(&endpoint.secret)));
    app.finish().await;
}

/// Adds an event to a job, of which the sequencer is not told. It looks by itself within a second.
async fn add_unseen_event(app: &TestApp, job: &str) -> i64 {
    app.scalar(&format!(
        "INSERT INTO events (tenant_id, job_id, type, data)
         SELECT tenant_id, id, 'transcription.processing', '{{\"status\":\"processing\"}}' FROM jobs WHERE id = '{job}'
         RETURNING position"
    ))
    .await
}

/// The number that an event has got.
async fn number_at(app: &TestApp, position: i64) -> i64 {
    app.scalar(&format!(
        "SELECT number FROM events WHERE position = {position}"
    ))
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_end_is_numbered_after_what_happened_before_to_whichever_job() {
    let app = TestApp::start().await;
    let (other, others_attempt, others_gladia_id) = processing(&app).await;
    for _ in 0..5 {
        let (id, attempt, gladia_id) = processing(&app).await;
        wait_until_numbered(&app).await;
        let of_other = add_unseen_event(&app, &other).await;
        let of_same = add_unseen_event(&app, &id).await;
        let answer = app.call_back(attempt.id, success(&gladia_id, "words"));
        assert_eq!(answer.await.status, 200);
        wait_until_numbered(&app).await;
        let end = numbers(&app, &id).await.pop().unwrap();
        let in_order = [
            number_at(&app, of_other).await,
            number_at(&app, of_same).await,
            end,
        ];
        assert!(in_order.is_sorted(), "{in_order:?}");
    }
    let answer = app.call_back(others_attempt.id, success(&others_gladia_id, "words"));
    assert_eq!(answer.await.status, 200);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_begins_to_wait_at_the_instant_of_the_end_is_told_of_it() {
    let app = TestApp::start().await;
    for nth in 0..40 {
        let (id, attempt, gladia_id) = processing(&app).await;
        // Nobody else waits, so the last look at whether somebody does and the subscription meet in any order.
        let path = format!("/v1/transcriptions/{id}?wait=18");
        let waiting = app.acme.get(&path);
        let ending = app.call_back(attempt.id, success(&gladia_id, "words"));
        let begun = Instant::now();
        let (seen, ended) = if nth % 2 == 0 {
            tokio::join!(waiting, ending)
        } else {
            let (ended, seen) = tokio::join!(ending, waiting);
            (seen, ended)
        };
        assert_eq!(ended.status, 200);
        assert_eq!(seen.expect(200)["status"], "done");
        // Who was not told sees it too, at the end of the wait.
        assert!(begun.elapsed() < Duration::from_secs(15));
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_callback_does_not_wait_for_whoever_numbers_events() {
    let app = TestApp::start().await;
    let receiver = Receiver::start().await;
    let endpoint = app.add_endpoint(&app.acme, &receiver.url(), DONE).await;
    let (id, attempt, gladia_id) = processing(&app).await;
    wait_until_numbered(&app).await;
    let mut somebody = app.pool.begin().await.unwrap();
    sqlx::query("SELECT FROM event_sequence FOR UPDATE")
        .execute(&mut *somebody)
        .await
        .unwrap();
    let answer = app.call_back(attempt.id, success(&gladia_id, "words"));
    assert_eq!(answer.await.status, 200);
    assert_eq!(app.acme.job(&id).await["status"], "done");
    assert_eq!(numbers(&app, &id).await.len(), 2);
    somebody.rollback().await.unwrap();
    app.wait_for_deliveries(&endpoint, &["delivered"]).await;
    assert_eq!(receiver.received().len(), 1);
    app.finish().await;
}

/// Callbacks are kept only once the test lets go of this advisory lock.
const KEEPING: i64 = 4711;

#[tokio::test(flavor = "multi_thread")]
async fn who_wants_to_be_told_from_now_on_is_told_of_an_end_that_is_being_kept() {
    let app = TestApp::start().await;
    app.execute(&format!(
        "CREATE FUNCTION keep_later() RETURNS trigger LANGUAGE plpgsql AS
         $$ BEGIN PERFORM pg_advisory_xact_lock({KEEPING}); RETURN new; END $$"
    ))
    .await;
    app.execute(
        "CREATE TRIGGER later BEFORE INSERT ON callbacks FOR EACH ROW EXECUTE FUNCTION keep_later()",
    )
    .await;
    for change in ["enable", "widen", "create"] {
        let receiver = Receiver::start().await;
        let other = ["transcription.canceled"];
        let wants = if change == "widen" { &other } else { DONE };
        let mut endpoint = app.add_endpoint(&app.acme, &receiver.url(), wants).await;
        let path = endpoint.id.to_string();
        if change != "widen" {
            app.acme.tell_endpoint(&path, "disable").await.expect(200);
        }
        let (id, attempt, gladia_id) = processing(&app).await;
        app.all_numbered().await;
        let mut keeping = app.pool.begin().await.unwrap();
        sqlx::query("SELECT pg_advisory_xact_lock($1)")
            .bind(KEEPING)
            .execute(&mut *keeping)
            .await
            .unwrap();
        let changing = async {
            until_statements_wait(&app, 1).await;
            match change {
                "enable" => {
                    app.acme.tell_endpoint(&path, "enable").await.expect(200);
                }
                "widen" => {
                    let wanted = json!({ "event_types": DONE });
                    app.acme.change_endpoint(&path, &wanted).await.expect(200);
                }
                _ => endpoint = app.add_endpoint(&app.acme, &receiver.url(), DONE).await,
            }
            assert_eq!(app.acme.job(&id).await["status"], "processing");
            keeping.commit().await.unwrap();
        };
        let answer = app.call_back(attempt.id, success(&gladia_id, "words"));
        let (answer, ()) = tokio::join!(answer, changing);
        assert_eq!(answer.status, 200);
        app.wait_for_deliveries(&endpoint, &["delivered"]).await;
        assert_eq!(receiver.received().len(), 1, "{change}");
        app.acme.delete_endpoint(&endpoint.id.to_string()).await;
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ends_at_the_same_instant_on_two_replicas_are_told_once_and_in_one_order() {
    let app = TestApp::builder().replicas(2).start().await;
    let receiver = Receiver::start().await;
    let endpoint = app.add_endpoint(&app.acme, &receiver.url(), DONE).await;
    let mut ends = Vec::new();
    for nth in 0..20 {
        let (id, attempt, gladia_id) = processing(&app).await;
        ends.push((id, app.callback_url(nth % 2, attempt.id), gladia_id));
    }
    let answers = ends.iter().map(|(_, url, gladia_id)| {
        let request = app.http.post(url).body(success(gladia_id, "words"));
        async { request.send().await.unwrap().status() }
    });
    assert!(join_all(answers).await.iter().all(|status| *status == 200));
    app.wait_for_deliveries(&endpoint, &["delivered"; 20]).await;
    let told = all_told(&app).await;
    let count = app
        .scalar::<i64>("SELECT count(*) FROM events WHERE number > 0")
        .await;
    // Three each, and every number once.
    assert_eq!((told.len(), count), (60, 60));
    assert_eq!(
        app.scalar::<i64>("SELECT last_number FROM event_sequence")
            .await,
        60
    );
    for (id, ..) in &ends {
        assert!(numbers(&app, id).await.is_sorted());
    }
    let events: BTreeSet<String> = receiver.received().iter().map(Received::id).collect();
    assert_eq!(events.len(), 20);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_told_at_once_costs_no_callback() {
    let app = TestApp::start().await;
    let receiver = Receiver::start().await;
    app.add_endpoint(&app.acme, &receiver.url(), DONE).await;
    let (id, attempt, gladia_id) = processing(&app).await;
    wait_until_numbered(&app).await;
    app.execute("ALTER TABLE deliveries ADD CONSTRAINT none CHECK (false) NOT VALID")
        .await;
    let answer = app.call_back(attempt.id, success(&gladia_id, "words"));
    assert_eq!(answer.await.status, 200);
    assert_eq!(app.callback_outcomes(&id).await, ["completed"]);
    app.execute("ALTER TABLE deliveries DROP CONSTRAINT none")
        .await;
    let next = app.acme.start("next.mp3").await;
    app.acme.wait_until_done(&next).await;
    wait_until_numbered(&app).await;
    assert_eq!(numbers(&app, &id).await.len(), 3);
    app.finish().await;
}

/// Of several, the one in the middle counts: some may meet a busy machine, and some a look by the way.
#[tokio::test(flavor = "multi_thread")]
async fn who_cancels_or_deletes_has_it_told_before_anybody_looks_by() {
    let app = TestApp::start().await;
    app.pause_dispatch().await;
    let path = "/v1/events/stream?types=transcription.canceled,transcription.deleted";
    let mut stream = EventStream::open(&app.acme, path).await;
    let mut ids = Vec::new();
    for _ in 0..8 {
        ids.push(app.acme.start("a.mp3").await);
    }
    wait_until_numbered(&app).await;
    let (deleted, deleted_as_at_gladia) = ids.split_at(4);
    for (way, ids) in [
        ("cancel", &ids[..]),
        ("delete", deleted),
        ("DELETE /v2/pre-recorded", deleted_as_at_gladia),
    ] {
        let mut told_after = Vec::new();
        for id in ids {
            let begin = Instant::now();
            let answer = match way {
                "cancel" => app.acme.cancel(id).await,
                "delete" => app.acme.delete(id).await,
                _ => app.acme.v2_delete(id).await,
            };
            assert!((200..300).contains(&answer.status), "{way}");
            stream.next().await;
            told_after.push(begin.elapsed());
        }
        told_after.sort();
        let median = told_after[told_after.len() / 2];
        assert!(median < BEFORE_A_LOOK, "{way}: told after {told_after:?}");
    }
    drop(stream);
    app.finish().await;
}
