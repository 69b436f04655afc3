//! How long streams are open, and how many at once.

use std::time::Duration;

use gladia_gateway::domain::access::Scope;
use reqwest::Method;

use crate::{
    streams::{STREAM, kinds, of_job},
    support::{
        TestApp, builder::DRAIN, callbacks::processing, eventually, rows::success, sse::EventStream,
    },
};

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_stream_tells_that_it_is_alive_without_an_id() {
    let app = TestApp::builder()
        .tune(|settings| settings.streams.stream_heartbeat_interval = Duration::from_millis(50))
        .start()
        .await;
    let mut stream = EventStream::open(&app.acme, STREAM).await;
    for _ in 0..3 {
        assert_eq!(stream.block().await.as_deref(), Some(": "));
    }
    let id = app.acme.start("a.mp3").await;
    assert_eq!(stream.next().await.job(), id);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_lives_for_so_long_and_then_the_key_is_looked_at_anew() {
    let app = TestApp::builder()
        .tune(|settings| settings.streams.stream_most_life = Duration::from_millis(300))
        .start()
        .await;
    let caller = app.caller("acme", Scope::Write).await;
    let mut stream = EventStream::open(&caller, STREAM).await;
    app.execute(&format!(
        "UPDATE api_keys SET revoked_at = gateway_now() WHERE id = '{}'",
        caller.api_key_id
    ))
    .await;
    assert_eq!(stream.rest().await, []);
    caller.get(STREAM).await.problem(401, "unauthorized");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopping_replica_ends_its_streams_at_once() {
    let app = TestApp::builder().replicas(2).start().await;
    let id = app.acme.start("endless.mp3").await;
    app.acme.wait_until(&id, "processing").await;
    let mut stream = EventStream::open(&app.acme, &format!("{STREAM}?after=evt_0")).await;
    let mut job_stream = EventStream::open(&app.acme, &of_job(&id)).await;
    let told = stream.take(2).await;
    assert_eq!(job_stream.take(2).await, told);
    app.replicas[0].shutdown.soft.cancel();
    assert_eq!(stream.rest().await, []);
    assert_eq!(job_stream.rest().await, []);
    assert!(app.replicas[0].stop(DRAIN).await, "nothing holds it up");
    // Both go on elsewhere.
    app.point_front_at_replicas();
    let there = app.acme.at(&app.replicas[1].base);
    let last = told[1].cursor();
    let mut stream = EventStream::resume(&there, STREAM, &last).await;
    let mut job_stream = EventStream::resume(&there, &of_job(&id), &last).await;
    there.cancel(&id).await.expect(200);
    assert_eq!(stream.next().await.kind, "transcription.canceled");
    assert_eq!(kinds(&job_stream.rest().await), ["canceled"]);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_streams_are_open_than_may_be() {
    let app = TestApp::builder().set("MAX_STREAMS", 3).start().await;
    let (id, attempt, gladia_id) = processing(&app).await;
    let stream = EventStream::open(&app.acme, STREAM).await;
    let mut job_stream = EventStream::open(&app.acme, &of_job(&id)).await;
    let of_another = EventStream::open(&app.globex, STREAM).await;
    for path in [STREAM, &of_job(&id)] {
        let answer = app.globex.get(path).await;
        let problem = answer.problem(503, "too-many-streams");
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains("(MAX_STREAMS)"), "{detail}");
        assert!(answer.header("retry-after").is_some());
    }
    drop(of_another);
    let opens = async || {
        let request = app.acme.request(Method::GET, STREAM);
        (request.send().await.unwrap().status() == 200).then_some(())
    };
    // A place is free when a caller has hung up, and when a stream has ended.
    drop(stream);
    eventually("free place", opens).await;
    app.call_back(attempt.id, success(&gladia_id, "words"))
        .await;
    assert_eq!(job_stream.rest().await.len(), 3);
    let held = eventually("free places", async || {
        let request = app.acme.request(Method::GET, STREAM);
        let one = request.try_clone().unwrap().send().await.unwrap();
        let two = request.send().await.unwrap();
        (one.status() == 200 && two.status() == 200).then_some((one, two))
    })
    .await;
    drop(held);
    // What was refused, and what is only asked about, takes none.
    for _ in 0..3 {
        app.globex.get(&of_job(&id)).await;
        let asked = app.acme.request(Method::HEAD, STREAM);
        asked.send().await.unwrap();
    }
    eventually("free place", opens).await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_that_opens_all_the_streams_it_can_leaves_some_to_others() {
    let app = TestApp::builder().set("MAX_STREAMS", 4).start().await;
    let initech = app.caller("initech", Scope::Read).await;
    let mut open = Vec::new();
    for (caller, may_open) in [(&app.acme, 2), (&app.globex, 1), (&initech, 1)] {
        for _ in 0..may_open {
            open.push(EventStream::open(caller, STREAM).await);
        }
        let problem = caller.get(STREAM).await.problem(503, "too-many-streams");
        let detail = problem["detail"].as_str().unwrap();
        let names_the_tenants_share = detail.contains("as may be of one tenant");
        assert_eq!(names_the_tenants_share, open.len() < 4, "{detail}");
    }
    // What one gives back is there for all.
    open.truncate(1);
    eventually("free place", async || {
        let request = app.globex.request(Method::GET, STREAM);
        (request.send().await.unwrap().status() == 200).then_some(())
    })
    .await;
    app.finish().await;
}
