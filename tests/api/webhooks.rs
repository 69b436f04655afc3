//! Account webhooks: signed, taken once, and answered by one look at Gladia where something is left to learn.

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use uuid::Uuid;

use crate::support::{
    Answer, BOUND, TestApp,
    builder::{Builder, WEBHOOK_SECRET},
    callbacks::processing,
    eventually,
    look_ups::lose_creates,
    looks::lose_callbacks,
    upstream::GLADIA_KEY,
    webhooks::Message,
};

/// A gateway that takes webhooks; nobody sends any.
fn builder() -> Builder {
    TestApp::builder().set("GLADIA_WEBHOOK_SECRETS", WEBHOOK_SECRET)
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_gladia_signed_just_now_is_taken() {
    let app = builder().start().await;
    let good = || Message::new("transcription.created", "some-job");
    for bad in [
        Message {
            secret: "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
            ..good()
        },
        Message {
            seconds_ago: 302,
            ..good()
        },
        Message {
            seconds_ago: -302,
            ..good()
        },
    ] {
        bad.send(&app).await.problem(400, "invalid-parameter");
    }
    let unsigned = app
        .http
        .post(format!("{}/webhooks/gladia", app.replicas[0].base))
        .body(good().body);
    Answer::to(unsigned).await.problem(400, "invalid-parameter");
    let large = Message {
        body: " ".repeat(65 * 1024),
        ..good()
    };
    large.send(&app).await.problem(413, "payload-too-large");
    assert_eq!(app.rows("webhook_messages").await, 0);

    // Whatever else it may hold one day.
    let good = Message {
        body: good().body + &" ".repeat(63 * 1024),
        ..good()
    };
    good.send(&app).await.expect(204);
    assert_eq!(app.rows("webhook_messages").await, 1);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_read_of_what_is_not_even_said_to_be_signed() {
    let app = builder().start().await;
    let signature = "v1,AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    let send = async |id: &str, timestamp: &str, signatures: &str| {
        // The body is sent only on request.
        let request = format!(
            "POST /webhooks/gladia HTTP/1.1\r\nhost: gateway\r\ncontent-length: 60000\r\nexpect: 100-continue\r\n\
             svix-id: {id}\r\nsvix-timestamp: {timestamp}\r\nsvix-signature: {signatures}\r\n\r\n"
        );
        let mut stream = TcpStream::connect(app.replicas[0].address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = vec![0; "HTTP/1.1 100".len()];
        let read = tokio::time::timeout(BOUND, stream.read_exact(&mut answer)).await;
        read.expect("it is answered").unwrap();
        String::from_utf8(answer).unwrap()
    };
    for (id, timestamp, signatures) in [
        ("", "1614265330", signature),
        (&*"m".repeat(257), "1614265330", signature),
        ("msg_1", "", signature),
        ("msg_1", "yesterday", signature),
        ("msg_1", "1614265330", ""),
        ("msg_1", "1614265330", "v1,AAAA"),
        ("msg_1", "1614265330", "v1,?"),
        ("msg_1", "1614265330", &signature.replace("v1", "v2")),
    ] {
        let answer = send(id, timestamp, signatures).await;
        assert_eq!(answer, "HTTP/1.1 400", "{id} {timestamp} {signatures}");
    }
    let answer = send("msg_1", "1614265330", signature).await;
    assert_eq!(answer, "HTTP/1.1 100");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_secrets_there_is_no_such_address() {
    let app = TestApp::start().await;
    let message = Message::new("transcription.created", "some-job");
    message.send(&app).await.problem(404, "not-found");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_secrets_rotate_both_sign() {
    let old = "whsec_b2xkIG9sZCBvbGQgb2xkIG9sZCBvbGQ=";
    let app = TestApp::builder()
        .set("GLADIA_WEBHOOK_SECRETS", format!("{old},{WEBHOOK_SECRET}"))
        .start()
        .await;
    for secret in [old, WEBHOOK_SECRET] {
        let message = Message {
            secret,
            ..Message::new("transcription.created", "some-job")
        };
        message.send(&app).await.expect(204);
    }
    assert_eq!(app.rows("webhook_messages").await, 2);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_message_is_taken_once_and_what_is_no_message_not_at_all() {
    let app = builder().start().await;
    let message = Message::new("transcription.created", "some-job");
    for _ in 0..2 {
        message.send(&app).await.expect(204);
    }
    for body in [
        "no JSON",
        r#"{"event":"live.ended","payload":{"id":"x"}}"#,
        "{}",
    ] {
        let other = Message {
            body: body.to_owned(),
            ..Message::new("", "")
        };
        other.send(&app).await.expect(204);
    }
    assert_eq!(app.rows("webhook_messages").await, 1);
    app.finish().await;
}

/// Waits until a message was tried so often.
async fn wait_for_tries(app: &TestApp, tries: i32) {
    eventually("next try", async || {
        let so_far: i32 = app.scalar("SELECT tries FROM webhook_messages").await;
        (so_far == tries).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_gladia_does_not_show_yet_is_asked_for_again() {
    let app = builder().start().await;
    let faults = json!([
        { "operation": "create", "kind": "drop_after", "times": 1 },
        { "operation": "get", "kind": "status", "status": 404, "times": 1 },
    ]);
    app.upstream.fault(&faults).await;
    let id = app.acme.start("endless.mp3").await;
    app.wait_for_attempt(&id, "unknown").await;
    let at_gladia = app.upstream.jobs().await;
    let gladia_id = at_gladia[0]["id"].as_str().unwrap();
    let message = Message::new("transcription.created", gladia_id);
    message.send(&app).await.expect(204);
    app.set_clock_ahead("6 seconds").await;
    wait_for_tries(&app, 1).await;
    app.wait_for_webhooks(&[("created", "due")]).await;

    app.set_clock_ahead("30 seconds").await;
    app.wait_for_webhooks(&[("created", "adopted")]).await;
    assert_eq!(app.settled_by(&id).await, Some("webhook".to_owned()));
    app.end(&id).await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_gladia_does_not_show_for_ten_minutes_is_gone() {
    let app = builder().start().await;
    let message = Message::new("transcription.created", "some-job");
    message.send(&app).await.expect(204);
    for tries in 1..=7 {
        let outcomes = app.webhook_outcomes().await;
        assert_eq!(outcomes, [("created".to_owned(), "due".to_owned())]);
        // Longer than any interval until then.
        app.set_clock_ahead(&format!("{} minutes", tries * 15))
            .await;
        wait_for_tries(&app, tries).await;
    }
    app.wait_for_webhooks(&[("created", "gone")]).await;
    assert_eq!(app.gets().await, 7);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_that_tell_nothing_new_cost_no_request() {
    let app = TestApp::builder().with_webhooks().start().await;
    let id = app.acme.start("a.mp3").await;
    app.acme.wait_until_done(&id).await;
    eventually("both messages", async || {
        (app.rows("webhook_messages").await == 2).then_some(())
    })
    .await;
    app.set_clock_ahead("20 seconds").await;
    app.wait_for_webhooks(&[("created", "known"), ("success", "known")])
        .await;
    assert_eq!(app.gets().await, 0);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_created_message_ahead_of_the_answer_makes_the_attempt_known() {
    let app = TestApp::builder().with_webhooks().start().await;
    lose_creates(&app, 1).await;
    let id = app.acme.start("endless.mp3").await;
    app.wait_for_attempt(&id, "unknown").await;
    eventually("message", async || {
        (app.rows("webhook_messages").await == 1).then_some(())
    })
    .await;
    app.set_clock_ahead("6 seconds").await;
    let job = app.acme.wait_until(&id, "processing").await;
    assert_eq!(job["gladia_id"], app.upstream.jobs().await[0]["id"]);
    app.wait_for_webhooks(&[("created", "adopted")]).await;
    assert_eq!(app.settled_by(&id).await, Some("webhook".to_owned()));
    assert_eq!(app.gets().await, 1);
    let expected: i64 = app
        .scalar("SELECT count(*) FROM attempts WHERE expected_by IS NOT NULL")
        .await;
    assert_eq!(expected, 1);
    app.end(&id).await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_callback_is_found_by_one_get_after_the_message() {
    for audio in ["spoken.mp3", "failing.mp3"] {
        let app = TestApp::builder().with_webhooks().start().await;
        let id = app.start_and_lose_callback(audio).await;
        eventually("both messages", async || {
            (app.rows("webhook_messages").await == 2).then_some(())
        })
        .await;
        app.set_clock_ahead("20 seconds").await;
        let (status, event) = if audio == "failing.mp3" {
            ("error", "error")
        } else {
            ("done", "success")
        };
        app.acme.wait_until(&id, status).await;
        app.wait_for_webhooks(&[("created", "known"), (event, "completed")])
            .await;
        assert_eq!(app.gets().await, 1);
        app.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_a_newer_version_has_taken_keeps_no_other_waiting() {
    let app = builder().start().await;
    let id = app.start_and_lose_callback("spoken.mp3").await;
    // In one statement, so that they are claimed together.
    app.execute(&format!(
        "INSERT INTO webhook_messages (id, event, gladia_id)
         SELECT e.id, e.event, j.gladia_id FROM jobs j,
                (VALUES ('msg_1', 'transcription.sung'), ('msg_2', 'transcription.success')) e (id, event)
         WHERE j.id = '{id}'"
    ))
    .await;
    app.wait_for_webhooks(&[("success", "completed"), ("sung", "due")])
        .await;
    app.acme.wait_until_done(&id).await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_success_of_an_attempt_that_was_never_answered_completes_it() {
    let app = TestApp::builder().with_webhooks().start().await;
    app.upstream
        .fault(&json!([
            { "operation": "create", "kind": "drop_after", "times": 1 },
            { "operation": "callback", "kind": "lose" },
        ]))
        .await;
    let id = app.acme.start("spoken.mp3").await;
    app.upstream.wait_for("callbacks_lost", 1).await;
    eventually("both messages", async || {
        (app.rows("webhook_messages").await == 2).then_some(())
    })
    .await;
    app.set_clock_ahead("20 seconds").await;
    app.acme.wait_until_done(&id).await;
    eventually("end of both messages", async || {
        let outcomes = app.webhook_outcomes().await;
        outcomes
            .iter()
            .all(|(_, outcome)| outcome != "due")
            .then_some(())
    })
    .await;
    assert!(
        app.callback_outcomes(&id)
            .await
            .contains(&"completed".to_owned())
    );
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_that_others_sent_with_the_account_are_left_alone() {
    let app = TestApp::builder().with_webhooks().start().await;
    let other_gateways = json!({ "gladia_gateway_attempt": Uuid::now_v7(), "foreign": true });
    for metadata in [json!({ "foreign": true }), other_gateways] {
        let create = app
            .http
            .post(format!("{}v2/pre-recorded", app.upstream.simulator.url()))
            .header("x-gladia-key", GLADIA_KEY)
            .json(&json!({
                "audio_url": "https://audio.example/endless.mp3",
                "custom_metadata": metadata,
            }));
        assert_eq!(create.send().await.unwrap().status(), 201);
    }
    eventually("both messages", async || {
        (app.rows("webhook_messages").await == 2).then_some(())
    })
    .await;
    app.set_clock_ahead("10 seconds").await;
    app.wait_for_webhooks(&[("created", "foreign"), ("created", "foreign")])
        .await;
    assert_eq!(app.rows("jobs").await + app.rows("callbacks").await, 0);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_gladia_does_not_answer_a_message_waits() {
    let app = builder().start().await;
    let (id, _, gladia_id) = processing(&app).await;
    app.upstream
        .fault(&json!({ "operation": "get", "kind": "status", "status": 502, "times": 1 }))
        .await;
    let message = Message::new("transcription.success", &gladia_id);
    message.send(&app).await.expect(204);
    app.set_clock_ahead("12 seconds").await;
    eventually("failed try", async || {
        let failed: i32 = app.scalar("SELECT tries FROM webhook_messages").await;
        (failed == 1).then_some(())
    })
    .await;
    app.wait_for_webhooks(&[("success", "due")]).await;
    app.end(&id).await;
    app.acme.wait_until_done(&id).await;
    app.set_clock_ahead("1 minute").await;
    app.wait_for_webhooks(&[("success", "known")]).await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_success_that_is_told_before_gladia_shows_it_waits_until_it_does() {
    let app = builder().start().await;
    let id = app.start_and_lose_callback("spoken.mp3").await;
    let lag = json!({ "operation": "get", "kind": "lag", "milliseconds": 3_600_000 });
    app.upstream.fault(&lag).await;
    let gladia_id = app.attempt(&id).await.gladia_id.unwrap();
    let message = Message::new("transcription.success", &gladia_id);
    message.send(&app).await.expect(204);
    app.set_clock_ahead("12 seconds").await;
    eventually("try that learnt nothing", async || {
        let tries: i32 = app.scalar("SELECT tries FROM webhook_messages").await;
        (tries == 1).then_some(())
    })
    .await;
    app.wait_for_webhooks(&[("success", "due")]).await;
    assert_eq!(app.acme.job(&id).await["status"], "processing");

    app.upstream.clear_faults().await;
    app.set_clock_ahead("1 minute").await;
    app.acme.wait_until_done(&id).await;
    app.wait_for_webhooks(&[("success", "completed")]).await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_zero_data_retention_messages_are_noted_and_nothing_is_asked_for() {
    let app = builder()
        .set("GLADIA_ZERO_DATA_RETENTION", true)
        .start()
        .await;
    lose_creates(&app, 1).await;
    let id = app.acme.start("endless.mp3").await;
    app.wait_for_attempt(&id, "unknown").await;
    let gladia_id = app.upstream.jobs().await[0]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let message = Message::new("transcription.created", &gladia_id);
    message.send(&app).await.expect(204);
    app.set_clock_ahead("10 seconds").await;
    app.wait_for_webhooks(&[("created", "given_up")]).await;
    assert_eq!(app.attempt(&id).await.state, "unknown");
    assert_eq!(app.gets().await, 0);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_database_a_message_is_to_come_again() {
    let app = builder().with_database_relay().start().await;
    let message = Message::new("transcription.created", "some-job");
    app.database_relay().cut().await;
    let answer = message.send(&app).await;
    answer.problem(503, "database-unavailable");
    assert!(answer.header("retry-after").is_some());
    app.database_relay().mend();
    eventually("taken message", async || {
        (message.send(&app).await.status == 204).then_some(())
    })
    .await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn old_messages_are_forgotten() {
    let mut app = builder().start().await;
    Message::new("transcription.created", "old")
        .send(&app)
        .await
        .expect(204);
    app.set_clock_ahead("7 days 1 minute").await;
    Message::new("transcription.created", "new")
        .send(&app)
        .await
        .expect(204);
    app.wait_for_webhooks(&[("created", "due"), ("created", "due")])
        .await;
    // A replica cleans up when it starts.
    app.add_replica(&[]).await;
    eventually("purge", async || {
        let left: Vec<Value> =
            sqlx::query_scalar("SELECT to_jsonb(gladia_id) FROM webhook_messages")
                .fetch_all(&app.pool)
                .await
                .unwrap();
        (left == [json!("new")]).then_some(())
    })
    .await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_come_where_callbacks_come() {
    let app = builder()
        .set("CALLBACK_LISTEN_ADDR", "127.0.0.1:0")
        .start()
        .await;
    lose_callbacks(&app).await;
    let message = Message::new("transcription.created", "some-job");
    message.send(&app).await.problem(404, "not-found");
    let at_callbacks = app.http.post(format!(
        "http://{}/webhooks/gladia",
        app.replicas[0].callback_address
    ));
    Answer::to(at_callbacks)
        .await
        .problem(400, "invalid-parameter");
    app.finish().await;
}
