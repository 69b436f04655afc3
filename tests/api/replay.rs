//! Deliveries that are sent once more, because their tenant asks for it.

use gladia_gateway::domain::access::Scope;
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{
    Answer, Caller, TestApp,
    callbacks::processing,
    eventually,
    receiver::{Receiver, Reply},
    resting_deliveries::Row,
    rows::success,
};

async fn replay(caller: &Caller, id: &str) -> Answer {
    let path = format!("/v1/deliveries/{id}/replay");
    Answer::to(caller.request(Method::POST, &path)).await
}

async fn replay_since(caller: &Caller, endpoint: Uuid, body: &Value) -> Answer {
    let path = format!("/v1/webhook-endpoints/{endpoint}/replay");
    caller.post(&path, body).await
}

async fn status(app: &TestApp, id: &str) -> String {
    app.scalar(&format!("SELECT status FROM deliveries WHERE id = '{id}'"))
        .await
}

async fn disable(app: &TestApp, endpoint: Uuid) {
    app.execute(&format!(
        "UPDATE webhook_endpoints SET status = 'disabled', disabled_reason = 'request', disabled_at = gateway_now()
         WHERE id = '{endpoint}'"
    ))
    .await;
}

/// Has something be under way to an endpoint whose receiver fails, so that nothing else is sent there.
async fn occupy(app: &TestApp, endpoint: Uuid) {
    let row = Row {
        endpoint: Some(endpoint),
        status: "pending",
        dead_reason: None,
        ..Row::default()
    };
    let id = app.insert_delivery(&app.acme, &row).await;
    app.execute(&format!(
        "UPDATE deliveries SET lease_until = gateway_now() + interval '45 seconds', next_try_at = gateway_now() + interval '45 seconds',
                               worker = 'somebody'
         WHERE id = '{id}'"
    ))
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replayed_delivery_is_due_at_once_and_keeps_its_record() {
    let app = TestApp::start().await;
    let (job, event) = app.done_and_told().await;
    let endpoint = app.resting_endpoint(&app.acme).await;
    occupy(&app, endpoint).await;
    for was in ["dead", "delivered", "pending"] {
        let row = Row {
            endpoint: Some(endpoint),
            job: Some(job.clone()),
            event,
            status: was,
            dead_reason: (was == "dead").then_some("exhausted"),
            age: "3 days".to_owned(),
        };
        let id = app.insert_delivery(&app.acme, &row).await;
        app.execute(&format!(
            "INSERT INTO delivery_attempts (delivery_id, number, started_at, duration_ms, error)
             VALUES ('{id}', 3, gateway_now(), 1, 'timeout')"
        ))
        .await;
        app.execute(&format!(
            "UPDATE deliveries SET queued_at = created_at, next_try_at = gateway_now() + interval '5 hours' WHERE id = '{id}'"
        ))
        .await;
        let due = replay(&app.acme, &id).await.expect(202);
        assert_eq!(
            [
                &due["id"],
                &due["status"],
                &due["dead_reason"],
                &due["tries"],
                &due["finished_at"]
            ],
            [
                &json!(id),
                &json!("pending"),
                &Value::Null,
                &json!(0),
                &Value::Null
            ],
            "{was}"
        );
        let is_due_anew: bool = app
            .scalar(&format!(
                "SELECT next_try_at <= gateway_now() AND queued_at > gateway_now() - interval '1 minute'
                        AND created_at < gateway_now() - interval '2 days'
                 FROM deliveries WHERE id = '{id}'"
            ))
            .await;
        assert!(is_due_anew, "{was}");
        let path = format!("/v1/deliveries/{id}");
        let attempts = &app.acme.get(&path).await.expect(200)["attempts"];
        assert_eq!(
            (&attempts[0]["number"], attempts[1].is_null()),
            (&json!(3), true)
        );
    }
    app.finish().await;
}

/// A job that is done, and whose end is told to a receiver as a callback. Gives the delivery, as its caller sees it.
async fn called_back(app: &TestApp, receiver: &Receiver) -> Value {
    let (job, attempt, gladia_id) = processing(app).await;
    app.set_callback(&job, &receiver.url(), "POST").await;
    app.call_back(attempt.id, success(&gladia_id, "words"))
        .await;
    eventually("delivery", async || {
        let path = format!("/v1/deliveries?transcription_id={job}");
        let list = app.acme.get(&path).await.expect(200);
        list["items"].get(0).cloned()
    })
    .await
}

/// How long until a delivery is tried, as its caller is told.
async fn waits(app: &TestApp, delivery: &Value) -> f64 {
    let at = delivery["next_try_at"].as_str().unwrap();
    app.scalar(&format!(
        "SELECT extract(epoch FROM '{at}'::timestamptz - gateway_now())::float8"
    ))
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_for_a_receiver_that_rests_says_until_when_and_a_replay_ends_the_rest() {
    let app = TestApp::start().await;
    let receiver = Receiver::start().await;
    receiver.reply_next([Reply::RetryAfter(503, 86_400)]);
    called_back(&app, &receiver).await;
    app.wait_for_tries("true", 1).await;
    let waiting = called_back(&app, &receiver).await;
    assert_eq!(
        (&waiting["status"], &waiting["tries"]),
        (&json!("pending"), &json!(0))
    );
    let seconds = waits(&app, &waiting).await;
    assert!((86_000.0..=86_400.0).contains(&seconds), "{seconds}");
    let id = waiting["id"].as_str().unwrap();
    let alone = app.acme.get(&format!("/v1/deliveries/{id}")).await;
    assert_eq!(alone.expect(200)["next_try_at"], waiting["next_try_at"]);

    let due = replay(&app.acme, id).await.expect(202);
    let seconds = waits(&app, &due).await;
    assert!(seconds <= 0.0, "{seconds}");
    receiver.wait_for(2).await;
    eventually("delivery that is through", async || {
        (status(&app, id).await == "delivered").then_some(())
    })
    .await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_rests_says_so_of_what_waits_and_a_replay_has_it_asked_again() {
    let app = TestApp::start().await;
    let (job, event) = app.done_and_told().await;
    let endpoint = app.resting_endpoint(&app.acme).await;
    occupy(&app, endpoint).await;
    let row = Row {
        endpoint: Some(endpoint),
        job: Some(job),
        event,
        status: "pending",
        dead_reason: None,
        ..Row::default()
    };
    let id = app.insert_delivery(&app.acme, &row).await;
    app.execute("UPDATE delivery_lanes SET open_until = gateway_now() + interval '9 hours'")
        .await;
    let shown = app.acme.get(&format!("/v1/deliveries/{id}")).await;
    let seconds = waits(&app, &shown.expect(200)).await;
    assert!((32_000.0..=32_400.0).contains(&seconds), "{seconds}");
    replay(&app.acme, &id).await.expect(202);
    // Half open: what is known of it stays, and one more failure pauses it again.
    let (failures, is_half_open): (i32, bool) = sqlx::query_as(
        "SELECT failures, open_until <= gateway_now() AND failing_since IS NOT NULL FROM delivery_lanes",
    )
    .fetch_one(&app.pool)
    .await
    .unwrap();
    assert_eq!((failures, is_half_open), (5, true));
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_being_sent_is_left_alone_until_its_lease_is_over() {
    let app = TestApp::start().await;
    let (job, event) = app.done_and_told().await;
    let row = Row {
        endpoint: Some(app.resting_endpoint(&app.acme).await),
        job: Some(job),
        event,
        status: "pending",
        dead_reason: None,
        ..Row::default()
    };
    let id = app.insert_delivery(&app.acme, &row).await;
    app.execute("UPDATE deliveries SET lease_until = gateway_now() + interval '45 seconds', worker = 'somebody'")
        .await;
    let answer = replay(&app.acme, &id).await;
    answer.problem(409, "delivery-in-progress");
    assert!(answer.header("retry-after").is_some());
    let tries: i32 = app.scalar("SELECT tries FROM deliveries").await;
    assert_eq!(tries, 3);
    app.set_clock_ahead("1 minute").await;
    let due = replay(&app.acme, &id).await.expect(202);
    assert_eq!(due["tries"], 0);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_replayed_to_where_nothing_can_go() {
    let app = TestApp::start().await;
    let (job, event) = app.done_and_told().await;
    let disabled = app.resting_endpoint(&app.acme).await;
    let to = |endpoint: Option<Uuid>, event| Row {
        endpoint,
        job: Some(job.clone()),
        event,
        ..Row::default()
    };
    let id = app
        .insert_delivery(&app.acme, &to(Some(disabled), event))
        .await;
    disable(&app, disabled).await;
    let problem = replay(&app.acme, &id).await;
    problem.problem(409, "webhook-endpoint-disabled");
    let since = json!({ "since": "2020-01-01T00:00:00Z" });
    let problem = replay_since(&app.acme, disabled, &since).await;
    problem.problem(409, "webhook-endpoint-disabled");

    let deleted = Uuid::now_v7();
    let id = app
        .insert_delivery(&app.acme, &to(Some(deleted), event))
        .await;
    let problem = replay(&app.acme, &id).await;
    problem.problem(409, "webhook-endpoint-deleted");
    let problem = replay_since(&app.acme, deleted, &since).await;
    problem.problem(404, "not-found");

    // Its event is not kept any more.
    let enabled = app.resting_endpoint(&app.acme).await;
    let id = app
        .insert_delivery(&app.acme, &to(Some(enabled), 77_777))
        .await;
    replay(&app.acme, &id).await.problem(410, "event-expired");
    let none = replay_since(&app.acme, enabled, &since).await.expect(202);
    assert_eq!(none, json!({ "replayed": 0, "has_more": false }));

    // The callback of a job that has none, because it is erased.
    let id = app.insert_delivery(&app.acme, &to(None, event)).await;
    assert_eq!(app.acme.delete(&job).await.status, 204);
    let problem = replay(&app.acme, &id).await;
    problem.problem(410, "transcription-deleted");
    // To an endpoint it can still be told that there was one.
    let id = app
        .insert_delivery(&app.acme, &to(Some(enabled), event))
        .await;
    replay(&app.acme, &id).await.expect(202);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_that_failed_since_a_time_is_replayed_in_its_order() {
    let app = TestApp::start().await;
    let (job, event) = app.done_and_told().await;
    let endpoint = app.resting_endpoint(&app.acme).await;
    let other = app.resting_endpoint(&app.acme).await;
    let row = |endpoint, status: &'static str, hours: u32| Row {
        endpoint: Some(endpoint),
        job: Some(job.clone()),
        event,
        status,
        dead_reason: (status == "dead").then_some("exhausted"),
        age: format!("{hours} hours"),
    };
    let mut made = Vec::new();
    for row in [
        row(endpoint, "dead", 1),
        row(endpoint, "dead", 3),
        row(endpoint, "dead", 2),
        row(endpoint, "dead", 9),
        row(endpoint, "delivered", 1),
        row(other, "dead", 1),
    ] {
        made.push(app.insert_delivery(&app.acme, &row).await);
    }
    let since: String = app
        .scalar("SELECT to_json(gateway_now() - interval '5 hours') #>> '{}'")
        .await;
    let answer = replay_since(&app.acme, endpoint, &json!({ "since": since })).await;
    assert_eq!(
        answer.expect(202),
        json!({ "replayed": 3, "has_more": false })
    );
    let mut found = Vec::new();
    for id in &made {
        found.push(status(&app, id).await);
    }
    assert_eq!(
        found,
        ["pending", "pending", "pending", "dead", "delivered", "dead"]
    );
    let order: Vec<String> = sqlx::query_scalar(
        "SELECT id::text FROM deliveries WHERE status = 'pending' AND tries = 0 AND finished_at IS NULL ORDER BY next_try_at",
    )
    .fetch_all(&app.pool)
    .await
    .unwrap();
    assert_eq!(order, [made[1].clone(), made[2].clone(), made[0].clone()]);
    // Once is enough.
    let again = replay_since(&app.acme, endpoint, &json!({ "since": since })).await;
    assert_eq!(again.expect(202)["replayed"], 0);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn very_many_are_replayed_in_several_requests() {
    let app = TestApp::start().await;
    let (job, event) = app.done_and_told().await;
    let endpoint = app.resting_endpoint(&app.acme).await;
    let tenant = app.acme.tenant_id;
    app.execute(&format!(
        "INSERT INTO deliveries (id, tenant_id, lane_id, endpoint_id, event_number, event_type, job_id, status,
                                 dead_reason, finished_at)
         SELECT gen_random_uuid(), '{tenant}', '{endpoint}', '{endpoint}', {event}, 'transcription.done', '{job}', 'dead',
                'exhausted', gateway_now()
         FROM generate_series(1, 10001)"
    ))
    .await;
    let body = json!({ "since": "2020-01-01T00:00:00+02:00" });
    let first = replay_since(&app.acme, endpoint, &body).await.expect(202);
    assert_eq!(first, json!({ "replayed": 10_000, "has_more": true }));
    let second = replay_since(&app.acme, endpoint, &body).await.expect(202);
    assert_eq!(second, json!({ "replayed": 1, "has_more": false }));
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_replay_is_told() {
    let app = TestApp::start().await;
    let endpoint = app.resting_endpoint(&app.acme).await;
    for since in [
        json!(null),
        json!("yesterday"),
        json!("2026-11-26"),
        json!(7),
    ] {
        let answer = replay_since(&app.acme, endpoint, &json!({ "since": since })).await;
        let rule = answer.violation(422, "invalid-request", "/since");
        assert!(rule.starts_with("must be an RFC 3339 time"), "{rule}");
    }
    let answer = replay_since(&app.acme, endpoint, &json!({})).await;
    let rule = answer.violation(422, "invalid-request", "/since");
    assert!(rule.starts_with("is required"), "{rule}");
    let answer = replay_since(&app.acme, endpoint, &json!({ "until": 1, "a/b": 2 })).await;
    let pointers = answer.violations(422, "invalid-request");
    assert_eq!(pointers, ["/since", "/a~1b", "/until"]);
    let path = format!("/v1/webhook-endpoints/{endpoint}/replay");
    let answer = Answer::to(app.acme.raw(&path, "application/json", "[]")).await;
    answer.problem(400, "malformed-json");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_its_tenant_may_replay_and_only_with_a_key_that_writes() {
    let app = TestApp::start().await;
    let (job, event) = app.done_and_told().await;
    let endpoint = app.resting_endpoint(&app.acme).await;
    let row = Row {
        endpoint: Some(endpoint),
        job: Some(job),
        event,
        ..Row::default()
    };
    let id = app.insert_delivery(&app.acme, &row).await;
    let since = json!({ "since": "2020-01-01T00:00:00Z" });
    let reader = app.caller("acme", Scope::Read).await;
    replay(&reader, &id).await.problem(403, "forbidden");
    let answer = replay_since(&reader, endpoint, &since).await;
    answer.problem(403, "forbidden");
    replay(&app.globex, &id).await.problem(404, "not-found");
    let answer = replay_since(&app.globex, endpoint, &since).await;
    answer.problem(404, "not-found");
    replay(&app.acme, "no-id").await.problem(404, "not-found");
    assert_eq!(status(&app, &id).await, "dead");
    app.finish().await;
}
