//! Streams whose readers, or whose database, do not keep up.

use std::time::Duration;

use reqwest::Method;

use crate::support::{
    TestApp,
    builder::Builder,
    callbacks::processing,
    eventually,
    sse::{EventStream, LazyReader},
};

const FROM_THE_START: &str = "/v1/events/stream?after=evt_0";

/// More than fits between a gateway and a reader who does not read.
const MANY: usize = 2000;

/// Events are of some kilobytes here, since they hold links.
fn wordy() -> Builder {
    let api_url = format!("https://gateway.example/{}", "far/".repeat(1000));
    TestApp::builder().set("API_URL", api_url)
}

/// Ids that follow each other, as they do where there is but one tenant.
fn ascending(count: usize) -> Vec<i64> {
    (1..=i64::try_from(count).unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_who_takes_nothing_is_cut_off_and_others_go_on() {
    let app = wordy()
        .set("MAX_STREAMS", 3)
        .tune(|settings| settings.streams.stream_send_timeout = Duration::from_millis(500))
        .start()
        .await;
    let (id, _, _) = processing(&app).await;
    app.add_events(&id, MANY).await;
    let mut lazy = LazyReader::open(&app.acme, FROM_THE_START).await;
    let mut eager = EventStream::open(&app.acme, FROM_THE_START).await;
    let told = eager.take(MANY + 2).await;
    assert_eq!(told.last().unwrap().id, 2002);
    // Its place is free once it is cut off.
    let third = eventually("free place", async || {
        let request = app.acme.request(Method::GET, FROM_THE_START);
        let response = request.send().await.unwrap();
        (response.status() == 200).then_some(response)
    })
    .await;
    drop(third);
    lazy.read_to_the_end().await;
    assert!(!lazy.is_whole, "it cannot take this for the end");
    assert!(lazy.ids.len() < MANY, "{}", lazy.ids.len());
    assert_eq!(lazy.ids, ascending(lazy.ids.len()));
    // The other one lives, and the lazy one may come back.
    app.acme.cancel(&id).await.expect(200);
    assert_eq!(eager.next().await.kind, "transcription.canceled");
    let last = format!("evt_{}", lazy.ids.last().unwrap());
    let mut back = EventStream::resume(&app.acme, FROM_THE_START, &last).await;
    let rest = MANY + 3 - lazy.ids.len();
    assert_eq!(back.take(rest).await.last().unwrap().id, 2003);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_who_falls_behind_a_burst_gets_every_event_once() {
    let app = wordy().replicas(2).start().await;
    let there = app.acme.at(&app.replicas[1].base);
    let mut lazy = LazyReader::open(&there, FROM_THE_START).await;
    let (id, _, _) = processing(&app).await;
    app.add_events(&id, MANY).await;
    // They were handed to another listener, and so to this one.
    let last = format!("evt_{MANY}");
    let mut other = EventStream::resume(&there, FROM_THE_START, &last).await;
    app.add_events(&id, 1).await;
    assert_eq!(other.take(3).await.last().unwrap().id, 2003);
    lazy.read_up_to(MANY + 3).await;
    app.add_events(&id, 1).await;
    lazy.read_up_to(MANY + 4).await;
    assert_eq!(lazy.ids, ascending(MANY + 4));
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_catches_up_waits_for_a_database_that_is_away() {
    let app = wordy().with_database_relay().start().await;
    let (id, _, _) = processing(&app).await;
    app.add_events(&id, MANY).await;
    let mut lazy = LazyReader::open(&app.acme, FROM_THE_START).await;
    app.database_relay().cut().await;
    lazy.read_what_is_there().await;
    assert!(lazy.ids.len() < MANY, "there is more in the database");
    app.database_relay().mend();
    lazy.read_up_to(MANY + 2).await;
    assert_eq!(lazy.ids, ascending(MANY + 2));
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_who_takes_nothing_does_not_hold_up_a_shutdown() {
    let app = wordy().start().await;
    let (id, _, _) = processing(&app).await;
    app.add_events(&id, MANY).await;
    let mut lazy = LazyReader::open(&app.acme, FROM_THE_START).await;
    // Once another one has them all, this one's are as many as fit between.
    let mut eager = EventStream::open(&app.acme, FROM_THE_START).await;
    eager.take(MANY + 2).await;
    // Well below the time that everything else gets.
    let bound = Duration::from_secs(10);
    let started = std::time::Instant::now();
    assert!(app.replicas[0].stop(bound).await);
    assert!(started.elapsed() < bound, "{:?}", started.elapsed());
    assert_eq!(eager.rest().await, []);
    lazy.read_to_the_end().await;
    assert!(!lazy.is_whole && lazy.ids.len() < MANY);
    app.stop().await;
}
