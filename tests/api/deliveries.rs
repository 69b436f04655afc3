//! Events on their way to webhook endpoints: what goes out, and what becomes of it where the receiver does not take it.

use std::collections::BTreeSet;

use gladia_gateway::domain::access::Scope;
use serde_json::{Value, json};

use crate::support::{
    TestApp,
    builder::DRAIN,
    callbacks::processing,
    eventually,
    receiver::{Received, Receiver, Reply},
    rows::success,
};

const DONE: &[&str] = &["transcription.done"];

/// Past the second and the third try, with all the jitter that there is.
const NEXT_TRIES: [&str; 2] = ["7 seconds", "50 seconds"];

fn ids(requests: &[Received]) -> Vec<String> {
    requests.iter().map(Received::id).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_done_job_reaches_an_endpoint_once_and_signed() {
    let app = TestApp::start().await;
    let receiver = Receiver::start().await;
    let endpoint = app.add_endpoint(&app.acme, &receiver.url(), DONE).await;
    let id = app.acme.start("spoken.mp3").await;
    let [delivery] = &app.wait_for_deliveries(&endpoint, &["delivered"]).await[..] else {
        panic!("one delivery");
    };
    assert_eq!(delivery.tries, 1);

    let [request] = &receiver.received()[..] else {
        panic!("one request");
    };
    assert_eq!(request.method, "POST");
    assert_eq!(request.path, "/hook?token=secret");
    assert_eq!(request.header("content-type"), "application/json");
    assert!(request.header("user-agent").starts_with("gladia-gateway/"));
    assert!(request.is_signed_with(&endpoint.secret));
    let now: i64 = app
        .scalar("SELECT extract(epoch FROM gateway_now())::bigint")
        .await;
    let signed_at: i64 = request.header("webhook-timestamp").parse().unwrap();
    assert!((now - signed_at).abs() < 30);

    let number: i64 = app
        .scalar(&format!(
            "SELECT number FROM events WHERE job_id = '{id}' AND type = 'transcription.done'"
        ))
        .await;
    let event = request.json();
    assert_eq!(request.id(), format!("evt_{number}"));
    assert_eq!(event["id"], request.id());
    assert_eq!(event["type"], "transcription.done");
    assert_eq!(event["data"]["transcription_id"], id);
    assert_eq!(
        event["data"]["links"]["result"],
        format!("/v1/transcriptions/{id}/result")
    );
    assert!(event["data"].get("result").is_none());

    let [one] = &app.tries(delivery.id).await[..] else {
        panic!("one try");
    };
    assert_eq!((one.number, one.http_status), (1, Some(200)));
    assert_eq!(one.error, None);
    assert_eq!(one.response_start.as_deref(), Some("noted"));
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_gets_the_types_that_it_wants_of_its_own_tenant() {
    let app = TestApp::start().await;
    let (theirs, others) = (Receiver::start().await, Receiver::start().await);
    let wanted = &["transcription.queued", "transcription.error"];
    let endpoint = app.add_endpoint(&app.acme, &theirs.url(), wanted).await;
    let other = app.add_endpoint(&app.globex, &others.url(), DONE).await;
    app.acme.start("failing.mp3").await;
    let id = app.globex.start("spoken.mp3").await;
    app.wait_for_deliveries(&endpoint, &["delivered"; 2]).await;
    app.wait_for_deliveries(&other, &["delivered"]).await;
    let types: BTreeSet<String> = theirs
        .received()
        .iter()
        .map(|request| request.json()["type"].as_str().unwrap().to_owned())
        .collect();
    assert!(
        types
            .iter()
            .eq(["transcription.error", "transcription.queued"])
    );
    assert_eq!(others.received()[0].json()["data"]["transcription_id"], id);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fails_is_tried_again_with_the_same_id_and_signed_anew() {
    let app = TestApp::start().await;
    let receiver = Receiver::start().await;
    receiver.reply_next([Reply::Status(500), Reply::Reset]);
    let endpoint = app.add_endpoint(&app.acme, &receiver.url(), DONE).await;
    app.acme.start("spoken.mp3").await;
    for (tries, ahead) in (1..).zip(NEXT_TRIES) {
        app.wait_for_tries("true", tries).await;
        app.set_clock_ahead(ahead).await;
    }
    let delivery = app.wait_for_deliveries(&endpoint, &["delivered"]).await[0].clone();
    let requests = receiver.received();
    assert_eq!(ids(&requests), vec![requests[0].id(); 3]);
    let signed_at: BTreeSet<&str> = requests
        .iter()
        .map(|request| request.header("webhook-timestamp"))
        .collect();
    assert_eq!(signed_at.len(), 3);
    for request in &requests {
        assert!(request.is_signed_with(&endpoint.secret));
        assert_eq!(request.body, requests[0].body);
    }
    let tries = app.tries(delivery.id).await;
    let told: Vec<_> = tries
        .iter()
        .map(|one| (one.number, one.http_status, one.error.as_deref()))
        .collect();
    assert_eq!(
        told,
        [
            (1, Some(500), Some("http_status")),
            (2, None, Some("connection")),
            (3, Some(200), None),
        ]
    );
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_never_gets_through_is_dead_after_the_last_try_of_the_schedule() {
    let app = TestApp::start().await;
    let receiver = Receiver::answering(Reply::Status(404)).await;
    let endpoint = app.add_endpoint(&app.acme, &receiver.url(), DONE).await;
    app.acme.start("spoken.mp3").await;
    let mut ahead = 0;
    for (tries, minutes) in (1..).zip([1, 1, 3, 13, 37, 73, 145, 289, 577, 865]) {
        app.wait_for_tries("true", tries).await;
        assert_eq!(app.deliveries_to(&endpoint).await[0].status, "pending");
        ahead += minutes;
        app.set_clock_ahead(&format!("{ahead} minutes")).await;
    }
    let delivery = app.wait_for_deliveries(&endpoint, &["dead"]).await[0].clone();
    assert_eq!(delivery.dead_reason.as_deref(), Some("exhausted"));
    assert_eq!(delivery.tries, 11);
    assert_eq!(receiver.received().len(), 11);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_asks_for_a_rest_gets_it_for_everything_that_is_sent_there() {
    let app = TestApp::start().await;
    let receiver = Receiver::start().await;
    receiver.reply_next([Reply::RetryAfter(503, 600)]);
    let endpoint = app.add_endpoint(&app.acme, &receiver.url(), DONE).await;
    app.acme.start("spoken.mp3").await;
    app.wait_for_tries("true", 1).await;
    let rests: f64 = app
        .scalar("SELECT extract(epoch FROM next_try_at - gateway_now())::float8 FROM deliveries")
        .await;
    assert!((550.0..=600.0).contains(&rests), "{rests}");

    // What comes in between waits, too: it is due, and so is something at another endpoint, which is sent.
    let other = Receiver::start().await;
    let beside = app.add_endpoint(&app.acme, &other.url(), DONE).await;
    app.acme.start("spoken.mp3").await;
    app.wait_for_deliveries(&beside, &["delivered"]).await;
    assert_eq!(app.lane(&endpoint).await, (1, true));
    assert_eq!(receiver.received().len(), 1);
    app.set_clock_ahead("11 minutes").await;
    app.wait_for_deliveries(&endpoint, &["delivered"; 2]).await;
    assert_eq!(app.lane(&endpoint).await, (0, false));
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_success_that_was_under_way_does_not_end_the_rest_that_a_receiver_asked_for() {
    let app = TestApp::start().await;
    let receiver = Receiver::start().await;
    let endpoint = app.add_endpoint(&app.acme, &receiver.url(), DONE).await;
    // Known to work, so that two are under way at once.
    app.acme.start("spoken.mp3").await;
    app.wait_for_deliveries(&endpoint, &["delivered"]).await;
    receiver.reply_next([Reply::Held(200), Reply::RetryAfter(429, 600)]);
    app.acme.start("spoken.mp3").await;
    receiver.wait_for(2).await;
    app.acme.start("spoken.mp3").await;
    receiver.wait_for(3).await;
    eventually("rest", async || {
        (app.lane(&endpoint).await == (1, true)).then_some(())
    })
    .await;
    app.acme.start("spoken.mp3").await;
    eventually("delivery that is due", async || {
        (app.deliveries_to(&endpoint).await.len() == 4).then_some(())
    })
    .await;
    receiver.release();
    app.wait_for_deliveries(&endpoint, &["delivered", "delivered", "pending", "pending"])
        .await;
    // It counts as a success, and the rest goes on.
    assert_eq!(app.lane(&endpoint).await, (0, true));
    app.set_clock_ahead("9 minutes").await;
    let other = Receiver::start().await;
    let beside = app.add_endpoint(&app.acme, &other.url(), DONE).await;
    app.acme.start("spoken.mp3").await;
    app.wait_for_deliveries(&beside, &["delivered"]).await;
    assert_eq!(receiver.received().len(), 3);
    app.set_clock_ahead("11 minutes").await;
    app.wait_for_deliveries(&endpoint, &["delivered"; 5]).await;
    assert_eq!(app.lane(&endpoint).await, (0, false));
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_answers_410_is_disabled_and_another_one_is_told() {
    let app = TestApp::start().await;
    let (receiver, watcher) = (
        Receiver::answering(Reply::Status(410)).await,
        Receiver::start().await,
    );
    let endpoint = app.add_endpoint(&app.acme, &receiver.url(), DONE).await;
    let types = &["webhook_endpoint.disabled"];
    let watching = app.add_endpoint(&app.acme, &watcher.url(), types).await;
    app.acme.start("spoken.mp3").await;
    app.wait_for_deliveries(&watching, &["delivered"]).await;
    let event = watcher.received()[0].json();
    assert_eq!(event["type"], "webhook_endpoint.disabled");
    assert_eq!(
        event["data"]["webhook_endpoint_id"],
        endpoint.id.to_string()
    );
    assert_eq!(event["data"]["disabled_reason"], "gone");

    let id = app.acme.start("spoken.mp3").await;
    app.acme.wait_until_done(&id).await;
    let [delivery] = &app.deliveries_to(&endpoint).await[..] else {
        panic!("a disabled endpoint is sent nothing");
    };
    assert_eq!(delivery.dead_reason.as_deref(), Some("endpoint_gone"));
    assert_eq!(app.tries(delivery.id).await[0].http_status, Some(410));
    assert_eq!(receiver.received().len(), 1);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_is_moved_while_its_old_address_says_410_is_told_at_the_new_one() {
    let app = TestApp::start().await;
    let old = Receiver::answering(Reply::Held(410)).await;
    let new = Receiver::start().await;
    let endpoint = app.add_endpoint(&app.acme, &old.url(), DONE).await;
    app.acme.start("spoken.mp3").await;
    old.wait_for(1).await;
    let moved = json!({ "url": new.url() });
    let id = endpoint.id.to_string();
    app.acme.change_endpoint(&id, &moved).await.expect(200);
    old.release();
    new.wait_for(1).await;
    app.wait_for_deliveries(&endpoint, &["delivered"]).await;
    let endpoint = app.acme.endpoint_now(&id).await;
    assert_eq!(endpoint["status"], "enabled");
    assert_eq!(endpoint["last_failure_at"], Value::Null, "it never failed");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_for_an_endpoint_that_is_disabled_or_deleted_is_not_sent() {
    let app = TestApp::start().await;
    let receiver = Receiver::answering(Reply::Status(500)).await;
    let disabled = app.add_endpoint(&app.acme, &receiver.url(), DONE).await;
    let deleted = app.add_endpoint(&app.acme, &receiver.url(), DONE).await;
    app.acme.start("spoken.mp3").await;
    app.wait_for_tries("true", 2).await;
    // As if both had happened while their deliveries were being made.
    app.execute(&format!(
        "UPDATE webhook_endpoints SET status = 'disabled', disabled_reason = 'request', disabled_at = gateway_now()
         WHERE id = '{}'",
        disabled.id
    ))
    .await;
    app.execute(&format!(
        "DELETE FROM webhook_endpoints WHERE id = '{}'",
        deleted.id
    ))
    .await;
    app.set_clock_ahead("1 minute").await;
    for (endpoint, reason) in [
        (&disabled, "endpoint_disabled"),
        (&deleted, "endpoint_deleted"),
    ] {
        let delivery = app.wait_for_deliveries(endpoint, &["dead"]).await[0].clone();
        assert_eq!(delivery.dead_reason.as_deref(), Some(reason));
        assert_eq!(app.tries(delivery.id).await.len(), 1);
    }
    assert_eq!(receiver.received().len(), 2);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_is_included_byte_for_byte_where_the_endpoint_wants_it() {
    let app = TestApp::start().await;
    let receiver = Receiver::start().await;
    let types = &["transcription.done", "transcription.processing"];
    let endpoint = app
        .add_endpoint_with(&app.acme, &receiver.url(), types, true)
        .await;
    let id = app.acme.start("spoken.mp3").await;
    app.wait_for_deliveries(&endpoint, &["delivered"; 2]).await;
    let result = app.acme.result(&id).await;
    assert_eq!(result.bytes, app.result_at_gladia(&id).await);
    let requests = receiver.received();
    let with_type = |kind: &str| {
        let found = requests
            .iter()
            .find(|request| request.json()["type"] == kind);
        found.unwrap().clone()
    };
    let done = with_type("transcription.done");
    assert!(done.is_signed_with(&endpoint.secret));
    let end = [br#","result":"#, &result.bytes[..], b"}}"].concat();
    assert!(done.body.ends_with(&end));
    assert_eq!(done.json()["data"]["result"], result.json());
    let processing = with_type("transcription.processing").json();
    assert_eq!(processing["data"].get("result"), None);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_that_is_erased_meanwhile_is_left_out() {
    let app = TestApp::start().await;
    let receiver = Receiver::start().await;
    receiver.reply_next([Reply::Status(500)]);
    let endpoint = app
        .add_endpoint_with(&app.acme, &receiver.url(), DONE, true)
        .await;
    let id = app.acme.start("spoken.mp3").await;
    app.wait_for_tries("true", 1).await;
    app.acme.delete(&id).await.expect(204);
    app.set_clock_ahead("1 minute").await;
    app.wait_for_deliveries(&endpoint, &["delivered"]).await;
    let requests = receiver.received();
    assert!(requests[0].json()["data"]["result"].is_object());
    let [before, after] = [&requests[0], &requests[1]].map(|request| {
        let mut event = request.json();
        event["data"]["result"] = Value::Null;
        event
    });
    assert_eq!(before, after);
    assert!(requests[1].json()["data"].get("result").is_none());
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_never_ends_is_read_no_further_than_necessary() {
    let app = TestApp::start().await;
    let receiver = Receiver::answering(Reply::Endless).await;
    let endpoint = app.add_endpoint(&app.acme, &receiver.url(), DONE).await;
    app.acme.start("spoken.mp3").await;
    let delivery = app.wait_for_deliveries(&endpoint, &["delivered"]).await[0].clone();
    let start = app.tries(delivery.id).await[0]
        .response_start
        .clone()
        .unwrap();
    assert!(start.len() <= 1024, "{}", start.len());
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_replicas_share_the_deliveries_and_none_is_sent_twice() {
    let app = TestApp::builder().replicas(2).start().await;
    let receiver = Receiver::start().await;
    let types = &["transcription.queued", "transcription.done"];
    let endpoint = app.add_endpoint(&app.acme, &receiver.url(), types).await;
    let other = app
        .caller("acme", Scope::Write)
        .await
        .at(&app.replicas[1].base);
    for _ in 0..10 {
        app.acme.start("spoken.mp3").await;
        other.start("spoken.mp3").await;
    }
    app.wait_for_deliveries(&endpoint, &["delivered"; 40]).await;
    let requests = ids(&receiver.received());
    assert_eq!(requests.len(), 40);
    assert_eq!(requests.iter().collect::<BTreeSet<_>>().len(), 40);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_under_way_at_a_shutdown_is_finished_and_nothing_else_is_begun() {
    let app = TestApp::start().await;
    let receiver = Receiver::answering(Reply::Held(200)).await;
    let endpoint = app.add_endpoint(&app.acme, &receiver.url(), DONE).await;
    app.acme.start("spoken.mp3").await;
    receiver.wait_for(1).await;
    let stopping = app.replicas[0].stop(DRAIN);
    let release = async {
        eventually("stop", async || {
            app.replicas[0].shutdown.soft.is_cancelled().then_some(())
        })
        .await;
        receiver.release();
    };
    let (ended, ()) = tokio::join!(stopping, release);
    assert!(ended);
    assert_eq!(app.deliveries_to(&endpoint).await[0].status, "delivered");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_hard_stop_cuts_off_is_noted_as_interrupted_and_sent_again_by_the_next_process() {
    let mut app = TestApp::start().await;
    let receiver = Receiver::start().await;
    receiver.reply_next([Reply::Held(200)]);
    let endpoint = app.add_endpoint(&app.acme, &receiver.url(), DONE).await;
    app.acme.start("spoken.mp3").await;
    receiver.wait_for(1).await;
    assert!(app.replicas[0].stop(std::time::Duration::ZERO).await);
    app.add_replica(&[]).await;
    let delivery = app.wait_for_deliveries(&endpoint, &["delivered"]).await[0].clone();
    let tries = app.tries(delivery.id).await;
    assert_eq!(tries[0].error.as_deref(), Some("interrupted"));
    assert_eq!((tries[1].number, tries[1].http_status), (2, Some(200)));
    let requests = ids(&receiver.received());
    assert_eq!(requests, vec![requests[0].clone(); 2]);
    // It says nothing of the receiver, and is no try of the schedule.
    assert_eq!(app.lane(&endpoint).await, (0, false));
    assert_eq!(delivery.tries, 1);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_success_is_an_event_of_its_own() {
    let app = TestApp::start().await;
    let receiver = Receiver::start().await;
    let types = &["transcription.error", "transcription.done"];
    let endpoint = app.add_endpoint(&app.acme, &receiver.url(), types).await;
    let (_, attempt, gladia_id) = processing(&app).await;
    let failed = crate::support::rows::failure(&gladia_id, 500, "no luck");
    app.call_back(attempt.id, failed).await.expect(200);
    app.wait_for_deliveries(&endpoint, &["delivered"]).await;
    app.call_back(attempt.id, success(&gladia_id, "after all"))
        .await
        .expect(200);
    app.wait_for_deliveries(&endpoint, &["delivered"; 2]).await;
    let requests = receiver.received();
    assert_eq!(requests[0].json()["data"]["error"]["code"], 500);
    assert_eq!(requests[1].json()["data"]["error"], Value::Null);
    assert_ne!(requests[0].id(), requests[1].id());
    app.finish().await;
}
