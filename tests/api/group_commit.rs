//! Group commit: what comes at the same time shares a commit, and nobody is the worse for it.

use std::{sync::Arc, time::Duration};

use futures_util::future::join_all;
use serde_json::json;
use sqlx::{Postgres, Transaction};
use tokio::task::JoinHandle;
use uuid::Uuid;

use crate::support::{
    Answer, TestApp,
    builder::DRAIN,
    callbacks::processing,
    database::{hold_lock, until_statements_wait},
    deliveries::Endpoint,
    events::{all_told, types_of, wait_until_numbered},
    eventually,
    receiver::{Received, Receiver, Reply},
    rows::{failure, success},
};

/// A callback that is under way and does not come to its end, so that those that come now wait, and then go together.
struct Busy {
    holds_up: Transaction<'static, Postgres>,
    waits: JoinHandle<u16>,
}

impl Busy {
    async fn start(app: &Arc<TestApp>) -> Self {
        let (_, attempt, gladia_id) = processing(app).await;
        wait_until_numbered(app).await;
        app.execute(
            "CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS $$
                 BEGIN PERFORM pg_advisory_xact_lock(7); RETURN NEW; END $$",
        )
        .await;
        app.execute(&format!(
            "CREATE TRIGGER waits BEFORE INSERT ON callbacks FOR EACH ROW
                 WHEN (NEW.attempt_id = '{}') EXECUTE FUNCTION wait()",
            attempt.id
        ))
        .await;
        let holds_up = hold_lock(app).await;
        let waits = send(app, attempt.id, success(&gladia_id, "the first"));
        until_statements_wait(app, 1).await;
        Self { holds_up, waits }
    }

    async fn end(self) {
        assert!(!self.waits.is_finished());
        self.holds_up.rollback().await.unwrap();
        assert_eq!(self.waits.await.unwrap(), 200);
    }
}

fn send(app: &Arc<TestApp>, attempt: Uuid, body: String) -> JoinHandle<u16> {
    let app = Arc::clone(app);
    tokio::spawn(async move { app.call_back(attempt, body).await.status })
}

/// So many callbacks, of which the endpoint is to be told. It has been told of another one.
async fn callbacks_to_a_lane_that_works(
    app: &TestApp,
    endpoint: &Endpoint,
    count: usize,
) -> Vec<(Uuid, String)> {
    let mut callbacks = Vec::new();
    for nth in 0..=count {
        let (_, attempt, gladia_id) = processing(app).await;
        let body = success(&gladia_id, "words");
        if nth == 0 {
            app.call_back(attempt.id, body).await;
            app.wait_for_deliveries(endpoint, &["delivered"]).await;
        } else {
            callbacks.push((attempt.id, body));
        }
    }
    callbacks
}

/// Sends callbacks, each to its attempt, while another one is under way. Returns how they are answered.
async fn send_together(app: &Arc<TestApp>, callbacks: Vec<(Uuid, String)>) -> Vec<u16> {
    let busy = Busy::start(app).await;
    let answers = callbacks
        .into_iter()
        .map(|(attempt, body)| send(app, attempt, body));
    let answers = join_all(answers.collect::<Vec<_>>()).await;
    busy.end().await;
    answers.into_iter().map(Result::unwrap).collect()
}

async fn finish(app: Arc<TestApp>) {
    Arc::into_inner(app).unwrap().finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn callbacks_that_come_together_share_a_commit_and_each_is_told_once() {
    let app = Arc::new(TestApp::start().await);
    let receiver = Receiver::start().await;
    let types = ["transcription.done", "transcription.error"];
    let endpoint = app.add_endpoint(&app.acme, &receiver.url(), &types).await;
    let mut jobs = Vec::new();
    let mut callbacks = Vec::new();
    for nth in 0..9 {
        let (id, attempt, gladia_id) = processing(&app).await;
        let body = if nth % 3 == 2 {
            failure(&gladia_id, 500, "No speech")
        } else {
            success(&gladia_id, &format!("words of {nth}"))
        };
        callbacks.push((attempt.id, body));
        jobs.push(id);
    }
    let answers = send_together(&app, callbacks).await;
    assert_eq!(answers, [200; 9]);
    // Nine, and the one before them.
    let commits: i64 = app
        .scalar("SELECT count(DISTINCT xmin::text) FROM callbacks")
        .await;
    assert!(commits < 10, "{commits} commits");

    app.wait_for_deliveries(&endpoint, &["delivered"; 10]).await;
    let told = all_told(&app).await;
    for (nth, id) in jobs.iter().enumerate() {
        let end = if nth % 3 == 2 {
            "error"
        } else {
            let result = app.acme.result(id).await.expect(200);
            let words = format!("words of {nth}");
            assert_eq!(result["transcription"]["full_transcript"], words);
            "done"
        };
        assert_eq!(types_of(&told, id).last(), Some(&end));
        assert_eq!(app.callback_outcomes(id).await.len(), 1);
    }
    let mut sent: Vec<String> = receiver.received().iter().map(Received::id).collect();
    sent.sort();
    sent.dedup();
    assert_eq!(sent.len(), 10);
    finish(app).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shared_commit_numbers_its_events_and_leases_no_more_than_a_lane_takes() {
    let app = Arc::new(TestApp::start().await);
    let receiver = Receiver::start().await;
    let endpoint = app
        .add_endpoint(&app.acme, &receiver.url(), &["transcription.done"])
        .await;
    // The lane has to have worked before anything is leased in it unseen.
    let callbacks = callbacks_to_a_lane_that_works(&app, &endpoint, 12).await;
    receiver.reply(Reply::Held(200));
    let answers = send_together(&app, callbacks).await;
    assert_eq!(answers, [200; 12]);
    let numbered: i64 = app
        .scalar(
            "SELECT count(DISTINCT e.number) FROM events e JOIN callbacks c ON c.xmin::text = e.xmin::text
             WHERE e.type = 'transcription.done'",
        )
        .await;
    assert!(numbered > 2, "{numbered} numbered");
    let leased: i64 = app
        .scalar(
            "SELECT max(leased) FROM (
                 SELECT count(DISTINCT d.id) AS leased
                 FROM deliveries d JOIN callbacks c ON c.xmin::text = d.xmin::text
                 WHERE d.lease_until IS NOT NULL GROUP BY d.xmin::text) commits",
        )
        .await;
    assert!((2..=8).contains(&leased), "{leased} leased");
    receiver.release();
    app.wait_for_deliveries(&endpoint, &["delivered"; 14]).await;
    assert_eq!(receiver.received().len(), 14);
    finish(app).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_for_a_receiver_is_looked_at_once_for_all_who_share_a_commit() {
    let app = TestApp::builder().set("MAX_IN_FLIGHT", 40).start().await;
    let app = Arc::new(app);
    let receiver = Receiver::start().await;
    let endpoint = app
        .add_endpoint(&app.acme, &receiver.url(), &["transcription.done"])
        .await;
    // The lane has to have worked before it is asked how many wait there.
    let callbacks = callbacks_to_a_lane_that_works(&app, &endpoint, 39).await;
    receiver.reply(Reply::Held(200));
    assert_eq!(send_together(&app, callbacks).await, [200; 39]);
    receiver.release();
    app.wait_for_deliveries(&endpoint, &["delivered"; 41]).await;
    // Where each of those that share a commit is looked at beside each of them.
    let pairs: i64 = app
        .scalar(
            "SELECT sum(together * together)::bigint
             FROM (SELECT count(*) AS together FROM callbacks GROUP BY xmin::text) commits",
        )
        .await;
    assert!(pairs > 300, "{pairs}");

    // Connections tell how often they have looked when they end.
    app.replicas[0].stop(DRAIN).await;
    let looks: i64 = eventually("end of all connections", async || {
        let kept: i64 = app
            .scalar("SELECT n_tup_ins FROM pg_stat_user_tables WHERE relname = 'callbacks'")
            .await;
        if kept < 41 {
            return None;
        }
        let looks =
            "SELECT idx_scan FROM pg_stat_user_indexes WHERE indexrelname = 'deliveries_due'";
        Some(app.scalar(looks).await)
    })
    .await;
    assert!(looks < pairs, "{looks} looks, {pairs} pairs");
    finish(app).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_like_the_others_does_as_it_would_alone() {
    let app = Arc::new(TestApp::start().await);
    let (plain, plain_attempt, plain_gladia) = processing(&app).await;
    let (twice, twice_attempt, twice_gladia) = processing(&app).await;
    let (canceled, canceled_attempt, canceled_gladia) = processing(&app).await;
    let (wrong, wrong_attempt, wrong_gladia) = processing(&app).await;
    app.acme.cancel(&canceled).await.expect(200);
    let same = success(&twice_gladia, "once");
    let of_another = success(&Uuid::new_v4().to_string(), "of another");
    let callbacks = vec![
        (plain_attempt.id, success(&plain_gladia, "plain")),
        (twice_attempt.id, same.clone()),
        (twice_attempt.id, same),
        (canceled_attempt.id, success(&canceled_gladia, "too late")),
        (wrong_attempt.id, of_another),
    ];
    assert_eq!(send_together(&app, callbacks).await, [200; 5]);
    for (id, outcome, status) in [
        (&plain, "completed", "done"),
        (&twice, "completed", "done"),
        (&canceled, "discarded", "canceled"),
        (&wrong, "quarantined", "processing"),
    ] {
        assert_eq!(app.callback_outcomes(id).await, [outcome]);
        assert_eq!(app.acme.job(id).await["status"], status);
    }
    let right = success(&wrong_gladia, "at last");
    app.call_back(wrong_attempt.id, right).await;
    app.acme.wait_until_done(&wrong).await;
    finish(app).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_cannot_be_carried_out_costs_the_others_nothing() {
    let app = Arc::new(TestApp::start().await);
    let mut jobs = Vec::new();
    let mut callbacks = Vec::new();
    for _ in 0..4 {
        let (id, attempt, gladia_id) = processing(&app).await;
        callbacks.push((attempt.id, success(&gladia_id, "words")));
        jobs.push(id);
    }
    let (spoilt, (attempt, body)) = (&jobs[2], callbacks[2].clone());
    app.execute(&format!(
        "ALTER TABLE jobs ADD CONSTRAINT a_mistake_of_ours CHECK (status <> 'done' OR id <> '{spoilt}')"
    ))
    .await;
    assert_eq!(send_together(&app, callbacks).await, [200; 4]);
    for id in &jobs {
        let expected = if id == spoilt {
            ("quarantined", "processing")
        } else {
            ("completed", "done")
        };
        let outcomes = app.callback_outcomes(id).await;
        let job = app.acme.job(id).await;
        assert_eq!(outcomes, [expected.0]);
        assert_eq!(job["status"], expected.1);
    }
    app.execute("ALTER TABLE jobs DROP CONSTRAINT a_mistake_of_ours")
        .await;
    app.call_back(attempt, body).await;
    app.acme.wait_until_done(spoilt).await;
    finish(app).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_callback_whose_job_is_held_does_not_hold_up_the_others() {
    let app = Arc::new(TestApp::start().await);
    let (held, held_attempt, held_gladia) = processing(&app).await;
    let (free, free_attempt, free_gladia) = processing(&app).await;
    let busy = Busy::start(&app).await;
    let mut somebody = app.pool.begin().await.unwrap();
    sqlx::query("SELECT FROM jobs WHERE id = $1::uuid FOR UPDATE")
        .bind(&held)
        .execute(&mut *somebody)
        .await
        .unwrap();
    let waits = send(&app, held_attempt.id, success(&held_gladia, "later"));
    let answer = send(&app, free_attempt.id, success(&free_gladia, "now"));
    // Sooner than one gives up that waits for another.
    let answer = tokio::time::timeout(Duration::from_secs(3), answer).await;
    assert_eq!(answer.expect("it waits as well").unwrap(), 200);
    assert_eq!(app.acme.job(&free).await["status"], "done");
    assert_eq!(app.acme.job(&held).await["status"], "processing");
    assert!(!waits.is_finished());
    somebody.rollback().await.unwrap();
    assert_eq!(waits.await.unwrap(), 200);
    app.acme.wait_until_done(&held).await;
    busy.end().await;
    finish(app).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_create_that_waits_for_its_key_does_not_hold_up_the_others() {
    let app = TestApp::start().await;
    let mut somebody = app.pool.begin().await.unwrap();
    sqlx::query(
        "INSERT INTO idempotency_keys (tenant_id, key, reserved_by, reserved_until)
         VALUES ($1, 'order-7', gen_random_uuid(), gateway_now())",
    )
    .bind(app.acme.tenant_id)
    .execute(&mut *somebody)
    .await
    .unwrap();
    let body = json!({ "audio_url": "https://audio.example/a.mp3" });
    let waits = {
        let (acme, body) = (app.acme.clone(), body.clone());
        tokio::spawn(async move { acme.transcribe_once("order-7", &body).await })
    };
    until_statements_wait(&app, 1).await;
    let others = join_all((0..8).map(|_| app.acme.transcribe(&body)));
    let others = tokio::time::timeout(Duration::from_secs(5), others).await;
    for other in others.expect("they wait as well") {
        other.expect(202);
    }
    assert!(!waits.is_finished());
    somebody.rollback().await.unwrap();
    let late: Answer = waits.await.unwrap();
    late.expect(202);
    app.finish().await;
}
