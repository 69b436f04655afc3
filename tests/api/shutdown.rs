//! Replicas come and go.

use std::time::Duration;

use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::support::{
    Answer, TestApp, audio,
    builder::{CALLBACK_KEYS, DRAIN},
    eventually,
    process::Process,
    rows::success,
    trickle,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_is_about_to_end_says_so_and_still_does_what_it_is_asked_for() {
    let app = TestApp::start().await;
    let replica = &app.replicas[0];
    let readiness = async || {
        let probe = reqwest::get(format!("http://{}/readyz", replica.ops_address));
        probe.await.unwrap().status().as_u16()
    };
    assert_eq!(readiness().await, 200);
    replica.shutdown.leaving.cancel();
    assert_eq!(readiness().await, 503);
    let live = reqwest::get(format!("http://{}/livez", replica.ops_address));
    assert_eq!(live.await.unwrap().status(), 200);
    let id = app.acme.start("a.mp3").await;
    app.acme.wait_until_done(&id).await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_keeps_a_connection_to_a_process_that_is_told_to_end_is_answered_and_told_to_let_go()
 {
    const REQUEST: &[u8] = b"GET /livez HTTP/1.1\r\nhost: gateway\r\n\r\n";
    let app = TestApp::start().await;
    let mut process = Process::serve(&app, &[("SHUTDOWN_DELAY_SECONDS", "2")]);
    let address = process.address().await;
    let mut kept = TcpStream::connect(address).await.unwrap();
    let mut told = false;
    for number in 0.. {
        if number == 100 {
            process.terminate();
        }
        kept.write_all(REQUEST).await.unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"ok\n") {
            let read = kept.read_buf(&mut answer).await.unwrap();
            assert!(read > 0, "request {number} is not answered");
        }
        told = String::from_utf8(answer)
            .unwrap()
            .contains("connection: close");
        if told {
            break;
        }
    }
    assert!(told);
    assert_eq!(kept.read(&mut [0]).await.unwrap(), 0);
    process.log().await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopping_replica_records_the_create_that_is_under_way() {
    let mut app = TestApp::start().await;
    let fault = json!({ "operation": "create", "kind": "delay", "milliseconds": 500, "times": 1 });
    app.upstream.fault(&fault).await;
    let id = app.acme.start("endless.mp3").await;
    app.upstream.wait_for("creates_received", 1).await;
    assert!(app.replicas[0].stop(DRAIN).await, "it ends in time");
    let attempt = app.attempt(&id).await;
    assert_eq!(attempt.state, "accepted");
    assert!(attempt.gladia_id.is_some());
    // The callback reaches the next one.
    app.add_replica(&[]).await;
    let body = success(&attempt.gladia_id.unwrap(), "words");
    assert_eq!(app.call_back(attempt.id, body).await.status, 200);
    let caller = app.acme.at(&app.replicas[1].base);
    caller.wait_until_done(&id).await;
    assert_eq!(app.upstream.count("creates_received").await, 1);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_must_stop_at_once_leaves_an_unknown_attempt_that_another_completes() {
    let mut app = TestApp::builder().with_gladia_relay().start().await;
    app.gladia().hold_answers();
    let id = app.acme.start("endless.mp3").await;
    app.upstream.wait_for("creates_accepted", 1).await;
    assert!(
        app.replicas[0].stop(Duration::ZERO).await,
        "its last moment is enough"
    );
    let attempt = app.attempt(&id).await;
    assert_eq!(attempt.state, "unknown");
    assert_eq!(app.slots_held().await, 1);
    app.gladia().release_answers();

    app.add_replica(&[]).await;
    let caller = app.acme.at(&app.replicas[1].base);
    assert_eq!(
        caller.job(&id).await["status_reason"],
        json!("outcome_unknown")
    );
    let jobs = app.upstream.jobs().await;
    assert_eq!(jobs.len(), 1, "it was not sent again");
    let gladia_id = jobs[0]["id"].as_str().unwrap();
    let answer = app.call_back(attempt.id, success(gladia_id, "words")).await;
    assert_eq!(answer.status, 200);
    let done = caller.wait_until_done(&id).await;
    assert_eq!(done["gladia_id"], gladia_id);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopping_replica_claims_nothing_and_the_others_go_on() {
    let app = TestApp::builder().replicas(2).start().await;
    app.pause_dispatch().await;
    let mut ids = Vec::new();
    for number in 0..5 {
        ids.push(app.acme.start(&format!("{number}.mp3")).await);
    }
    assert!(app.replicas[0].stop(DRAIN).await);
    app.point_front_at_replicas();
    app.resume_dispatch().await;
    let caller = app.acme.at(&app.replicas[1].base);
    for id in &ids {
        caller.wait_until_done(id).await;
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopping_replica_finishes_the_upload_that_is_under_way() {
    let app = TestApp::builder().replicas(2).start().await;
    let file = audio::short();
    let (trickle, body) = trickle();
    let part = reqwest::multipart::Part::stream(body).file_name("a.wav");
    let form = reqwest::multipart::Form::new().part("audio", part);
    let pending = tokio::spawn(Answer::to(app.acme.form("/v1/transcriptions/upload", form)));
    trickle.send(&file[..1000]).await;
    app.upstream.wait_for("uploads", 1).await;
    app.replicas[0].shutdown.soft.cancel();
    app.point_front_at_replicas();
    trickle.send(&file[1000..]).await;
    drop(trickle);
    let job = pending.await.unwrap().expect(202);
    let caller = app.acme.at(&app.replicas[1].base);
    caller.wait_until_done(job["id"].as_str().unwrap()).await;
    assert!(app.replicas[0].stop(DRAIN).await);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_outlasts_the_end_is_cut_off_and_the_log_says_what_to_raise() {
    let app = TestApp::start().await;
    let mut process = Process::serve(&app, &[("SHUTDOWN_TIMEOUT_SECONDS", "1")]);
    let caller = app.acme.at(&format!("http://{}", process.address().await));
    let (trickle, body) = trickle();
    let part = reqwest::multipart::Part::stream(body).file_name("a.wav");
    let form = reqwest::multipart::Form::new().part("audio", part);
    let uploading = tokio::spawn(caller.form("/v1/transcriptions/upload", form).send());
    trickle.send(&audio::short()[..1000]).await;
    app.upstream.wait_for("uploads", 1).await;
    process.terminate();
    let log = process.log().await;
    assert!(uploading.await.unwrap().is_err(), "it was cut off");
    let says = |text: &str| log.iter().any(|line| line.contains(text));
    assert!(
        says("SHUTDOWN_TIMEOUT_SECONDS were cut off: 1;"),
        "{log:#?}"
    );
    assert!(!says("everything under way has ended"), "{log:#?}");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn three_replicas_bring_up_an_empty_database_together() {
    let app = TestApp::builder()
        .without_migrations()
        .set("MAX_IN_FLIGHT", 2)
        .replicas(3)
        .start()
        .await;
    assert_eq!(app.rows("dispatch").await, 1);
    assert_eq!(app.rows("slots").await, 2);
    for replica in &app.replicas {
        let caller = app.acme.at(&replica.base);
        let id = caller.start("a.mp3").await;
        caller.wait_until_done(&id).await;
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_without_the_key_of_an_attempt_in_flight_does_not_start() {
    let mut app = TestApp::start().await;
    let id = app.acme.start("endless.mp3").await;
    app.acme.wait_until(&id, "processing").await;
    let new = "new:fedcba9876543210fedcba9876543210";
    let both = format!("{new},{CALLBACK_KEYS}");
    let refused = app
        .try_replica(&[("CALLBACK_KEYS", new)])
        .await
        .unwrap_err();
    assert!(
        format!("{refused:#}").contains("CALLBACK_KEYS"),
        "{refused:#}"
    );
    // The new one first, and the old one behind it until nothing needs it.
    app.add_replica(&[("CALLBACK_KEYS", &both)]).await;
    let attempt = app.attempt(&id).await;
    let url = app.callback_url(1, attempt.id);
    let body = success(&attempt.gladia_id.unwrap(), "words");
    let answer = Answer::to(app.http.post(url).body(body)).await;
    assert_eq!(answer.status, 200);
    app.acme.wait_until_done(&id).await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_goes_away_for_a_while_loses_nothing() {
    let app = TestApp::builder().with_database_relay().start().await;
    // So long that the job is seen at work.
    let delay =
        json!({ "operation": "callback", "kind": "delay", "milliseconds": 2000, "times": 1 });
    app.upstream.fault(&delay).await;
    let id = app.acme.start("a.mp3").await;
    app.acme.wait_until(&id, "processing").await;
    app.database_relay().cut().await;
    // No callback can be kept, so none is acknowledged; Gladia comes again.
    let attempt = app.attempt(&id).await;
    let body = success(&attempt.gladia_id.unwrap(), "words");
    let (callback, list, ()) = tokio::join!(
        app.call_back(attempt.id, body),
        app.acme.get("/v1/transcriptions"),
        app.upstream.wait_for("callbacks_sent", 1),
    );
    for answer in [callback, list] {
        answer.problem(503, "database-unavailable");
        assert!(answer.header("retry-after").is_some());
    }
    assert_eq!(app.upstream.count("callbacks_delivered").await, 0);
    app.database_relay().mend();
    eventually("job that is done", async || {
        let status: String = app.scalar("SELECT status FROM jobs").await;
        (status == "done").then_some(())
    })
    .await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rolling_restart_under_load_loses_and_doubles_nothing() {
    let mut app = TestApp::builder()
        .replicas(3)
        .set("MAX_IN_FLIGHT", 8)
        .start()
        .await;
    let mut ids = Vec::new();
    for round in 0..3 {
        // The caller's load balancer knows the next two replicas; Gladia's knows those that run.
        for number in 0..20 {
            let up = app.replicas.len() - 1 - number % 2;
            let caller = app.acme.at(&app.replicas[up].base);
            ids.push(caller.start(&format!("a-{round}-{number}.mp3")).await);
        }
        app.add_replica(&[]).await;
        let old = &app.replicas[round];
        old.shutdown.soft.cancel();
        app.point_front_at_replicas();
        assert!(old.stop(DRAIN).await, "replica {round} ends in time");
    }
    let caller = app.acme.at(&app.replicas[5].base);
    for id in &ids {
        caller.wait_until_done(id).await;
        let states: Vec<_> = app.attempts(id).await;
        assert_eq!(states.len(), 1, "{states:?}");
    }
    assert_eq!(app.upstream.count("creates_accepted").await, 60);
    assert_eq!(app.upstream.count("gets").await, 0);
    app.finish().await;
}
