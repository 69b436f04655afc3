//! Jobs that are tried again after an error, and what that may cost.

use gladia_gateway::domain::access::Scope;
use serde_json::{Value, json};

use crate::support::{
    Answer, TestApp, audio,
    callbacks::processing,
    receiver::Receiver,
    retries::{given_up, missing, surplus},
    rows::failure,
};

/// A job that Gladia worked on and failed at.
async fn failed(app: &TestApp) -> String {
    let (id, attempt, gladia_id) = processing(app).await;
    let body = failure(&gladia_id, 500, "worker lost");
    app.call_back(attempt.id, body).await;
    assert_eq!(app.acme.job(&id).await["status"], "error");
    id
}

#[tokio::test(flavor = "multi_thread")]
async fn what_gladia_refused_is_tried_again_at_once_and_billed_once() {
    let app = TestApp::start().await;
    let fault = json!({ "operation": "create", "kind": "status", "status": 400, "times": 1 });
    app.upstream.fault(&fault).await;
    let id = app.acme.start("a.mp3").await;
    let job = app.acme.wait_until(&id, "error").await;
    let cost = &job["error"]["retry"];
    assert_eq!(cost["may_be_billed_twice"], false);
    let text = cost["explanation"].as_str().unwrap();
    assert!(text.contains("nothing was billed"), "{text}");

    let answer = app.acme.retry(&id).await.expect(202);
    assert_eq!(
        (&answer["id"], &answer["retries"], &answer["retry"]),
        (&json!(id), &json!(1), cost)
    );
    let done = app.acme.wait_until_done(&id).await;
    assert_eq!(
        (&done["error"], &done["retries"]),
        (&Value::Null, &json!(1))
    );
    let states: Vec<_> = app
        .attempts(&id)
        .await
        .into_iter()
        .map(|a| a.state)
        .collect();
    assert_eq!(states, ["refused", "done"]);
    assert_eq!(app.upstream.count("creates_accepted").await, 1);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_gladia_failed_at_is_billed_anew_and_its_failure_is_no_surplus() {
    let app = TestApp::start().await;
    let id = failed(&app).await;
    let job = app.acme.job(&id).await;
    let cost = &job["error"]["retry"];
    assert_eq!(cost["may_be_billed_twice"], false);
    let text = cost["explanation"].as_str().unwrap();
    assert!(text.contains("billed like any other"), "{text}");

    app.pause_dispatch().await;
    let answer = app.acme.retry(&id).await.expect(202);
    assert_eq!(&answer["retry"], cost);
    for field in ["error", "status_reason", "finished_at", "gladia_id"] {
        assert_eq!(answer[field], Value::Null, "{field}");
    }
    assert_eq!(answer["status"], "queued");
    app.resume_dispatch().await;
    app.acme.wait_until(&id, "processing").await;
    app.end(&id).await;
    app.acme.wait_until_done(&id).await;
    assert_eq!(
        app.events(&id).await,
        [
            "queued",
            "submitting",
            "processing",
            "error",
            "retried",
            "submitting",
            "processing",
            "done"
        ]
    );
    assert!(surplus(&app, &id).await.is_empty());
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_says_of_each_failed_job_what_its_own_retry_may_cost() {
    let app = TestApp::start().await;
    let failed = failed(&app).await;
    let (missing, ..) = missing(&app).await;
    for query in ["", "?status=error"] {
        let path = format!("/v1/transcriptions{query}");
        let list = app.acme.get(&path).await.expect(200);
        let costs = list["items"].as_array().unwrap().iter().map(|job| {
            let cost = &job["error"]["retry"]["may_be_billed_twice"];
            (job["id"].as_str().unwrap(), cost.as_bool().unwrap())
        });
        let costs: Vec<_> = costs.collect();
        assert_eq!(costs, [(&*missing, true), (&*failed, false)], "{query}");
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_be_billed_twice_needs_the_callers_word() {
    let app = TestApp::start().await;
    let (missing, ..) = missing(&app).await;
    let (unknown, _) = given_up(&app, "endless.mp3").await;
    for id in [&missing, &unknown] {
        let before = app.acme.job(id).await;
        let cost = &before["error"]["retry"];
        assert_eq!(cost["may_be_billed_twice"], true);
        let path = format!("/v1/transcriptions/{id}/retry");
        for answer in [
            app.acme.retry(id).await,
            app.acme.post(&path, &json!({})).await,
            app.acme.post(&path, &Value::Null).await,
            app.acme
                .post(&path, &json!({ "accept_second_bill": false }))
                .await,
        ] {
            let problem = answer.problem(409, "second-bill-not-accepted");
            let detail = problem["detail"].as_str().unwrap();
            assert!(detail.contains("billed twice") && detail.contains("accept_second_bill"));
            assert_eq!(problem["errors"][0]["pointer"], "/accept_second_bill");
        }
        assert_eq!(app.acme.job(id).await, before);
        let answer = app.acme.retry_at_any_cost(id).await.expect(202);
        assert_eq!(&answer["retry"], cost);
        app.acme.wait_until(id, "processing").await;
        app.end(id).await;
        app.acme.wait_until_done(id).await;
        // Whatever became of the first attempt, no success of it is known.
        assert!(surplus(&app, id).await.is_empty());
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_nothing_is_ever_sent_twice_the_word_has_to_be_an_operators() {
    let app = TestApp::builder()
        .set("RESEND_UNKNOWN", "never")
        .start()
        .await;
    let failed = failed(&app).await;
    let (unknown, _) = given_up(&app, "endless.mp3").await;
    let before = app.acme.job(&unknown).await;
    let of_other_tenant = app.caller("operators", Scope::Admin).await;
    let answer = of_other_tenant.retry_at_any_cost(&unknown).await;
    answer.problem(404, "not-found");
    for answer in [
        app.acme.retry(&unknown).await,
        app.acme.retry_at_any_cost(&unknown).await,
    ] {
        let problem = answer.problem(409, "second-bill-not-allowed");
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains("operator"), "{detail}");
    }
    assert_eq!(app.acme.job(&unknown).await, before);
    let operator = app.caller("acme", Scope::Admin).await;
    let answer = operator.retry(&unknown).await;
    answer.problem(409, "second-bill-not-accepted");
    operator.retry_at_any_cost(&unknown).await.expect(202);
    // What Gladia failed at is billed once, whoever has it tried again.
    app.acme.retry(&failed).await.expect(202);
    for id in [&unknown, &failed] {
        app.acme.wait_until(id, "processing").await;
        app.end(id).await;
        app.acme.wait_until_done(id).await;
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_word_is_asked_for_with_the_duration_that_is_at_stake() {
    let app = TestApp::start().await;
    let faults = json!([
        { "operation": "create", "kind": "drop_after", "times": 1 },
        { "operation": "callback", "kind": "lose" },
    ]);
    app.upstream.fault(&faults).await;
    let answer = app
        .acme
        .upload(audio::wav(1.5, 8000, 1), "a.wav", None)
        .await;
    let id = answer.expect(202)["id"].as_str().unwrap().to_owned();
    let attempt = app.wait_for_attempt(&id, "unknown").await;
    let admin = app.caller("operators", Scope::Admin).await;
    let path = format!("/v1/admin/attempts/{}/resolve", attempt.id);
    let decision = json!({ "resolution": "failed" });
    admin.post(&path, &decision).await.expect(200);
    let problem = app
        .acme
        .retry(&id)
        .await
        .problem(409, "second-bill-not-accepted");
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("The audio lasts 1.5 seconds."), "{detail}");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_outcome_stays_one_although_a_later_attempt_is_refused() {
    let app = TestApp::start().await;
    let (id, _) = given_up(&app, "endless.mp3").await;
    let fault = json!({ "operation": "create", "kind": "status", "status": 400, "times": 1 });
    app.upstream.fault(&fault).await;
    app.acme.retry_at_any_cost(&id).await.expect(202);
    let job = app.acme.wait_until(&id, "error").await;
    assert_eq!(job["error"]["type"], "gladia_refused");
    assert_eq!(job["error"]["retry"]["may_be_billed_twice"], true);
    app.acme
        .retry(&id)
        .await
        .problem(409, "second-bill-not-accepted");
    let answer = app.acme.retry_at_any_cost(&id).await.expect(202);
    assert_eq!(answer["retries"], 2);
    app.acme.wait_until(&id, "processing").await;
    app.end(&id).await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn retries_at_the_same_time_are_one() {
    let app = TestApp::builder().replicas(2).start().await;
    let id = failed(&app).await;
    app.pause_dispatch().await;
    let callers = [0, 1, 0, 1, 0].map(|replica| app.acme.at(&app.replicas[replica].base));
    let answers = callers.each_ref().map(|caller| caller.retry(&id));
    for answer in futures_util::future::join_all(answers).await {
        let job = answer.expect(202);
        assert_eq!(
            (&job["status"], &job["retries"]),
            (&json!("queued"), &json!(1))
        );
    }
    assert_eq!(
        app.events(&id).await,
        ["queued", "submitting", "processing", "error", "retried"]
    );
    app.acme.cancel(&id).await.expect(200);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_has_not_ended_is_left_as_it_is() {
    let app = TestApp::start().await;
    let (id, ..) = processing(&app).await;
    let before = app.acme.job(&id).await;
    let answer = app.acme.retry(&id).await.expect(202);
    assert_eq!(
        (&answer["status"], &answer["retries"]),
        (&json!("processing"), &json!(0))
    );
    assert_eq!(answer["retry"]["may_be_billed_twice"], false);
    assert_eq!(app.acme.job(&id).await, before);
    app.end(&id).await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_ended_without_an_error_is_not_tried_again() {
    let app = TestApp::start().await;
    let done = app.acme.start("a.mp3").await;
    app.acme.wait_until_done(&done).await;
    app.pause_dispatch().await;
    let canceled = app.acme.start("b.mp3").await;
    app.acme.cancel(&canceled).await.expect(200);
    for id in [&done, &canceled] {
        let before = app.acme.job(id).await;
        app.acme
            .retry_at_any_cost(id)
            .await
            .problem(409, "already-ended");
        assert_eq!(app.acme.job(id).await, before);
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retried_job_can_be_canceled_and_what_was_billed_before_is_not_denied() {
    let app = TestApp::start().await;
    let fault = json!({ "operation": "create", "kind": "status", "status": 400, "times": 1 });
    app.upstream.fault(&fault).await;
    let refused = app.acme.start("a.mp3").await;
    app.acme.wait_until(&refused, "error").await;
    let failed = failed(&app).await;
    app.pause_dispatch().await;
    for (id, reason) in [
        (&refused, "canceled_before_submission"),
        (&failed, "canceled_in_flight"),
    ] {
        app.acme.retry(id).await.expect(202);
        let job = app.acme.cancel(id).await.expect(200);
        assert_eq!(job["status_reason"], reason);
    }
    app.resume_dispatch().await;
    let other = app.acme.start("b.mp3").await;
    app.acme.wait_until_done(&other).await;
    for id in [&refused, &failed] {
        assert_eq!(app.attempts(id).await.len(), 1);
        assert_eq!(app.acme.job(id).await["status"], "canceled");
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retried_job_waits_at_the_end_of_the_line() {
    let app = TestApp::builder().set("MAX_IN_FLIGHT", 1).start().await;
    let id = failed(&app).await;
    app.pause_dispatch().await;
    let later = app.acme.start("endless-later.mp3").await;
    app.acme.retry(&id).await.expect(202);
    assert_eq!(app.acme.timeline(&id).await["now"]["ahead_in_line"], 1);
    app.resume_dispatch().await;
    app.acme.wait_until(&later, "processing").await;
    assert_eq!(app.acme.job(&id).await["status"], "queued");
    app.end(&later).await;
    app.acme.wait_until(&id, "processing").await;
    app.end(&id).await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_create_answers_the_job_that_was_retried() {
    let app = TestApp::start().await;
    let body = json!({ "audio_url": "https://audio.example/failing.mp3" });
    let job = app.acme.transcribe_once("order-9", &body).await.expect(202);
    let id = job["id"].as_str().unwrap();
    app.acme.wait_until(id, "error").await;
    app.pause_dispatch().await;
    app.acme.retry(id).await.expect(202);
    let again = app.acme.transcribe_once("order-9", &body).await;
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    let again = again.expect(202);
    assert_eq!(
        (&again["id"], &again["status"], &again["retries"]),
        (&json!(id), &json!("queued"), &json!(1))
    );
    app.resume_dispatch().await;
    // It fails again, and may be tried again.
    app.acme.wait_until(id, "error").await;
    let answer = app.acme.retry(id).await.expect(202);
    assert_eq!(answer["retries"], 2);
    app.acme.wait_until(id, "error").await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_breaks_a_rule_retries_nothing() {
    let app = TestApp::start().await;
    let id = failed(&app).await;
    let path = format!("/v1/transcriptions/{id}/retry");
    for (body, pointer) in [
        (
            json!({ "accept_second_bill": "yes" }),
            "/accept_second_bill",
        ),
        (json!({ "accept_second_bill": 1 }), "/accept_second_bill"),
        (json!({ "accept_bill": true }), "/accept_bill"),
        (json!({ "a/b": true }), "/a~1b"),
    ] {
        let answer = app.acme.post(&path, &body).await;
        answer.violation(422, "invalid-request", pointer);
    }
    let all_wrong = json!({ "accept_second_bill": 1, "a": 1, "b": 1 });
    let answer = app.acme.post(&path, &all_wrong).await;
    let told = answer.violations(422, "invalid-request");
    assert_eq!(told, ["/accept_second_bill", "/a", "/b"]);
    for (content_type, body, status, slug) in [
        ("application/json", "[]", 400, "malformed-json"),
        ("application/json", "{", 400, "malformed-json"),
        ("text/plain", "{}", 415, "unsupported-media-type"),
    ] {
        let answer = Answer::to(app.acme.raw(&path, content_type, body)).await;
        answer.problem(status, slug);
    }
    assert_eq!(app.acme.job(&id).await["status"], "error");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_wants_to_know_what_is_queued_is_told_of_a_retry() {
    let app = TestApp::start().await;
    let receiver = Receiver::start().await;
    let types = &["transcription.queued"];
    let endpoint = app.add_endpoint(&app.acme, &receiver.url(), types).await;
    let id = failed(&app).await;
    app.wait_for_deliveries(&endpoint, &["delivered"]).await;
    app.acme.retry_at_any_cost(&id).await.expect(202);
    app.wait_for_deliveries(&endpoint, &["delivered"; 2]).await;
    for request in receiver.received() {
        assert_eq!(request.json()["type"], "transcription.queued");
    }
    app.acme.wait_until(&id, "processing").await;
    app.end(&id).await;
    app.acme.wait_until_done(&id).await;
    app.finish().await;
}
