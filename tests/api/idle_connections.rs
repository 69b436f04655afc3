//! More connections on which nobody asks for anything than the process has file descriptors. It takes no key to open them.

use tokio::{io::AsyncWriteExt, net::TcpStream};

use crate::{
    streams::STREAM,
    support::{TestApp, process::Process, sse::EventStream},
};

/// How many file descriptors it has.
const FILES: usize = 200;

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_ask_for_nothing_keep_nobody_out() {
    let app = TestApp::start().await;
    let mut process = Process::serve_with_files(&app, FILES);
    let address = process.address().await;
    let caller = app.acme.at(&format!("http://{address}"));
    let mut stream = EventStream::open(&caller, STREAM).await;
    // Callbacks come there alone.
    app.front.set_targets(vec![address]);

    let mut idle = Vec::new();
    for number in 0..2 * FILES {
        let mut connection = TcpStream::connect(address).await.unwrap();
        if number % 2 == 0 {
            // It may have lost its place by now.
            let _ = connection.write_all(b"GET / HTTP/1.1\r\nhost: ga").await;
        }
        idle.push(connection);
    }
    let probe = caller.with_key(None).get("/livez").await;
    assert_eq!(probe.status, 200);
    let id = caller.start("a.mp3").await;
    caller.wait_until_done(&id).await;
    // The stream has been there all the time.
    for told in stream.take(3).await {
        assert_eq!(told.job(), id);
    }
    let metrics = caller.with_key(None).get("/metrics").await.text();
    let displaced = metrics
        .lines()
        .find_map(|line| line.strip_prefix("gateway_connections_displaced_total "));
    let displaced: usize = displaced.unwrap().parse().unwrap();
    assert!((FILES..2 * FILES).contains(&displaced), "{displaced}");

    process.terminate();
    process.log().await;
    app.point_front_at_replicas();
    app.finish().await;
}
