//! Connections that say nothing, or never finish what they say; and those that are open when the service ends.

use std::{
    net::Ipv4Addr,
    time::{Duration, Instant},
};

use axum::{
    Router,
    body::Bytes,
    extract::{DefaultBodyLimit, Request},
    response::IntoResponse,
    routing::{get, post},
};
use gladia_gateway::http::server::{
    connections::{Connections, GRACE},
    linger,
    serve::{Timeouts, serve},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpSocket, TcpStream},
    sync::Notify,
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

use crate::support::BOUND;

struct Served {
    address: std::net::SocketAddr,
    leaving: CancellationToken,
    soft: CancellationToken,
    hard: CancellationToken,
    ended: JoinHandle<usize>,
}

impl Served {
    async fn wait_for_end(self) {
        let ended = tokio::time::timeout(BOUND, self.ended).await;
        ended.expect("it ends").unwrap();
    }
}

/// Serves; the heads of requests, or callers who take nothing, are waited for so long.
async fn start(router: Router, timeout: Duration) -> Served {
    start_with(router, timeout, 1000).await
}

/// The same, with so many connections at most.
async fn start_with(router: Router, timeout: Duration, most: usize) -> Served {
    let timeouts = Timeouts {
        head: timeout,
        keep_alive: timeout,
        answer_idle: timeout,
    };
    start_timed(router, timeouts, most).await
}

async fn start_timed(router: Router, timeouts: Timeouts, most: usize) -> Served {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let (soft, hard) = (CancellationToken::new(), CancellationToken::new());
    let leaving = soft.child_token();
    let ended = tokio::spawn(serve(
        listener,
        router,
        timeouts,
        Connections::at_most(most),
        leaving.clone(),
        soft.clone(),
        hard.clone(),
    ));
    Served {
        address,
        leaving,
        soft,
        hard,
        ended,
    }
}

/// Waits for the whole of an answer that ends so.
async fn answer_on(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    let answered = tokio::time::timeout(BOUND, async {
        while !answer.ends_with(b"ed") {
            assert!(stream.read_buf(&mut answer).await.unwrap() > 0);
        }
    });
    answered.await.expect("it is answered");
    String::from_utf8(answer).unwrap()
}

/// What comes until the connection ends, which must not take long.
async fn rest_of(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    let read = tokio::time::timeout(BOUND, stream.read_to_end(&mut answer)).await;
    let _ = read.expect("the connection ends");
    String::from_utf8(answer).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_does_not_finish_the_head_of_a_request_is_closed() {
    let router = Router::new().route("/", get(|| async { "answered" }));
    let served = start(router, Duration::from_millis(300)).await;
    for head in ["", "GET / HTTP/1.1\r\nhost: gate"] {
        let mut stream = TcpStream::connect(served.address).await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        assert_eq!(rest_of(&mut stream).await, "", "{head}");
    }
    // So is one that is idle after its answer.
    let mut stream = TcpStream::connect(served.address).await.unwrap();
    let request = b"GET / HTTP/1.1\r\nhost: gateway\r\n\r\n";
    stream.write_all(request).await.unwrap();
    assert!(rest_of(&mut stream).await.ends_with("answered"));
    served.soft.cancel();
    served.wait_for_end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_rests_for_longer_than_the_head_of_a_request_may_take() {
    let timeouts = Timeouts {
        head: Duration::from_millis(500),
        keep_alive: Duration::from_secs(4),
        answer_idle: BOUND,
    };
    let router = Router::new().route("/", get(|| async { "answered" }));
    let served = start_timed(router, timeouts, 1000).await;
    let request = b"GET / HTTP/1.1\r\nhost: gateway\r\n\r\n";
    let ask = async || {
        let mut stream = TcpStream::connect(served.address).await.unwrap();
        stream.write_all(request).await.unwrap();
        answer_on(&mut stream).await;
        (stream, Instant::now())
    };
    let ((mut rests, _), (mut begins, answered)) = tokio::join!(ask(), ask());
    tokio::time::sleep(timeouts.head * 3).await;
    // Still there, and what begins now has its time.
    begins.write_all(&request[..9]).await.unwrap();
    let began = Instant::now();
    assert_eq!(rest_of(&mut begins).await, "");
    assert!(began.elapsed() >= timeouts.head);
    assert!(answered.elapsed() < timeouts.keep_alive);
    rests.write_all(request).await.unwrap();
    answer_on(&mut rests).await;
    let answered = Instant::now();
    assert_eq!(rest_of(&mut rests).await, "");
    assert!(answered.elapsed() >= timeouts.keep_alive * 3 / 4);
    // A new one has no longer for its first request.
    let mut new = TcpStream::connect(served.address).await.unwrap();
    let came = Instant::now();
    assert_eq!(rest_of(&mut new).await, "");
    assert!(came.elapsed() < timeouts.keep_alive);
    served.soft.cancel();
    served.wait_for_end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_takes_longer_than_anything_that_is_waited_for_is_answered() {
    let timeout = Duration::from_millis(300);
    let handler = async || {
        tokio::time::sleep(Duration::from_secs(1)).await;
        "answered"
    };
    let served = start(Router::new().route("/", get(handler)), timeout).await;
    let request = b"GET / HTTP/1.1\r\nhost: gateway\r\n\r\n";
    let mut stream = TcpStream::connect(served.address).await.unwrap();
    for _ in 0..2 {
        stream.write_all(request).await.unwrap();
        answer_on(&mut stream).await;
    }
    assert_eq!(rest_of(&mut stream).await, "");
    served.soft.cancel();
    served.wait_for_end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_head_of_a_request_is_bounded_and_its_body_is_not() {
    let router = Router::new().route(
        "/",
        post(|body: Bytes| async move { format!("{} read", body.len()) })
            .layer(DefaultBodyLimit::disable()),
    );
    let served = start(router, BOUND).await;
    for (had, body, answer) in [
        (60_000, 2_000_000, Some("2000000 read")),
        (350_000, 0, None),
    ] {
        let mut stream = TcpStream::connect(served.address).await.unwrap();
        let head = format!(
            "POST / HTTP/1.1\r\nhost: gateway\r\nif-none-match: {}\r\ncontent-length: {body}\r\nconnection: close\r\n\r\n",
            "h".repeat(had)
        );
        let request = [head.into_bytes(), vec![b'b'; body]].concat();
        // It may be refused before the whole of it is sent.
        let sent = stream.write_all(&request).await;
        let answered = rest_of(&mut stream).await;
        match answer {
            Some(answer) => assert!(answered.ends_with(answer), "{sent:?} {answered}"),
            None => assert!(!answered.contains("read"), "{answered}"),
        }
    }
    served.soft.cancel();
    served.wait_for_end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_under_way_are_finished_and_idle_connections_are_not_waited_for() {
    static GOES_ON: Notify = Notify::const_new();
    static UNDER_WAY: Notify = Notify::const_new();
    let handler = async || {
        UNDER_WAY.notify_one();
        GOES_ON.notified().await;
        "answered"
    };
    let served = start(Router::new().route("/", get(handler)), BOUND * 2).await;
    let request = b"GET / HTTP/1.1\r\nhost: gateway\r\n\r\n";
    let mut busy = TcpStream::connect(served.address).await.unwrap();
    let mut idle = TcpStream::connect(served.address).await.unwrap();
    busy.write_all(request).await.unwrap();
    UNDER_WAY.notified().await;
    served.soft.cancel();
    assert_eq!(rest_of(&mut idle).await, "");
    assert!(!served.ended.is_finished());
    GOES_ON.notify_one();
    let answer = rest_of(&mut busy).await;
    assert!(answer.ends_with("answered"), "{answer}");
    // Whoever has it knows that the connection is no more.
    assert!(answer.contains("connection: close"), "{answer}");
    let address = served.address;
    served.wait_for_end().await;
    let refused = TcpStream::connect(address).await;
    refused.expect_err("nobody listens");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_of_a_service_that_is_leaving_closes_its_connection() {
    let router = Router::new().route("/", get(|| async { "answered" }));
    let served = start(router, BOUND * 2).await;
    let request = b"GET / HTTP/1.1\r\nhost: gateway\r\n\r\n";
    let mut kept = TcpStream::connect(served.address).await.unwrap();
    kept.write_all(request).await.unwrap();
    answer_on(&mut kept).await;
    served.leaving.cancel();
    // It heeds that in a moment; until then the connection is kept.
    let told = async {
        loop {
            kept.write_all(request).await.unwrap();
            if answer_on(&mut kept).await.contains("connection: close") {
                return;
            }
        }
    };
    let told = tokio::time::timeout(BOUND, told).await;
    told.expect("an answer says that it is the last one");
    assert_eq!(rest_of(&mut kept).await, "");
    // It is there for others for as long.
    let mut other = TcpStream::connect(served.address).await.unwrap();
    other.write_all(request).await.unwrap();
    assert!(rest_of(&mut other).await.contains("connection: close"));
    served.soft.cancel();
    served.wait_for_end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_has_arrived_when_nothing_new_is_accepted_is_answered() {
    let router = Router::new().route("/", get(|| async { "answered" }));
    for _ in 0..20 {
        let served = start(router.clone(), BOUND * 2).await;
        let request = b"GET / HTTP/1.1\r\nhost: gateway\r\n\r\n";
        let mut kept = TcpStream::connect(served.address).await.unwrap();
        kept.write_all(request).await.unwrap();
        answer_on(&mut kept).await;
        kept.write_all(request).await.unwrap();
        served.soft.cancel();
        let answer = rest_of(&mut kept).await;
        assert!(answer.ends_with("answered"), "{answer}");
        served.wait_for_end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_must_end_at_once_ends_at_once() {
    static UNDER_WAY: Notify = Notify::const_new();
    let handler = async || {
        UNDER_WAY.notify_one();
        std::future::pending::<&str>().await
    };
    let served = start(Router::new().route("/", get(handler)), BOUND * 2).await;
    let mut stream = TcpStream::connect(served.address).await.unwrap();
    let request = b"GET / HTTP/1.1\r\nhost: gateway\r\n\r\n";
    stream.write_all(request).await.unwrap();
    UNDER_WAY.notified().await;
    served.soft.cancel();
    served.hard.cancel();
    assert_eq!(rest_of(&mut stream).await, "");
    served.wait_for_end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_who_takes_nothing_loses_the_connection_and_one_who_is_slow_does_not() {
    const LENGTH: usize = 8_000_000;
    let timeout = Duration::from_secs(3);
    let router = Router::new().route("/", get(|| async { vec![b'a'; LENGTH] }));
    let served = start(router, timeout).await;
    let ask = async || {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(16 * 1024).unwrap();
        let mut stream = socket.connect(served.address).await.unwrap();
        let request = b"GET / HTTP/1.1\r\nhost: gateway\r\nconnection: close\r\n\r\n";
        stream.write_all(request).await.unwrap();
        stream
    };
    let (mut idle, mut slow) = (ask().await, ask().await);
    let mut piece = vec![0; 750_000];
    let mut taken = 0;
    // In all longer than somebody may take nothing.
    for _ in 0..10 {
        tokio::time::sleep(timeout / 8).await;
        taken += slow.read_exact(&mut piece).await.unwrap();
    }
    assert!(taken < LENGTH);
    taken += rest_of(&mut slow).await.len();
    assert!(taken > LENGTH, "the whole, with its head");
    assert!(rest_of(&mut idle).await.len() < LENGTH);
    served.soft.cancel();
    served.wait_for_end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_connection_takes_the_place_of_one_without_a_request_and_of_none_that_is_served() {
    static GOES_ON: Notify = Notify::const_new();
    static UNDER_WAY: Notify = Notify::const_new();
    let handler = async || {
        UNDER_WAY.notify_one();
        GOES_ON.notified().await;
        "waited"
    };
    let router = Router::new()
        .route("/", get(|| async { "answered" }))
        .route("/long", get(handler));
    let served = start_with(router, BOUND * 2, 3).await;
    let ask = async |path: &str| {
        let mut stream = TcpStream::connect(served.address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nhost: gateway\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        stream
    };
    let mut silent = TcpStream::connect(served.address).await.unwrap();
    let mut begins = TcpStream::connect(served.address).await.unwrap();
    begins.write_all(b"GET / HTTP/1.1\r\nho").await.unwrap();
    // It is accepted after those.
    let mut rests = ask("/").await;
    answer_on(&mut rests).await;
    tokio::time::sleep(GRACE).await;
    let mut long = Vec::new();
    for displaced in [&mut silent, &mut begins, &mut rests] {
        long.push(ask("/long").await);
        UNDER_WAY.notified().await;
        assert_eq!(rest_of(displaced).await, "");
    }
    // All are served, and the next one waits for the end of one.
    let mut waits = ask("/").await;
    let mut answer = [0; 1];
    let early = tokio::time::timeout(Duration::from_millis(300), waits.read(&mut answer)).await;
    early.expect_err("there is no place for it");
    GOES_ON.notify_one();
    answer_on(&mut waits).await;
    GOES_ON.notify_one();
    GOES_ON.notify_waiters();
    served.soft.cancel();
    served.hard.cancel();
    served.wait_for_end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_who_come_at_once_are_answered_where_all_connections_are_taken_by_others_that_rest() {
    const MOST: usize = 50;
    let router = Router::new().route("/", get(|| async { "answered" }));
    let served = start_with(router, BOUND * 3, MOST).await;
    let request = b"GET / HTTP/1.1\r\nhost: gateway\r\n\r\n";
    let mut resting = Vec::new();
    for _ in 0..MOST {
        let mut stream = TcpStream::connect(served.address).await.unwrap();
        stream.write_all(request).await.unwrap();
        answer_on(&mut stream).await;
        resting.push(stream);
    }
    let mut callers = Vec::new();
    for _ in 0..MOST / 2 {
        callers.push(TcpStream::connect(served.address).await.unwrap());
    }
    for caller in &mut callers {
        caller.write_all(request).await.unwrap();
    }
    for caller in &mut callers {
        answer_on(caller).await;
    }
    // They had the places of those that had rested for longest.
    for displaced in &mut resting[..MOST / 2] {
        assert_eq!(rest_of(displaced).await, "");
    }
    served.soft.cancel();
    served.wait_for_end().await;
}

#[tokio::test]
async fn a_connection_whose_request_was_answered_before_its_body_was_read_gives_way_too() {
    let handler =
        |request: Request| linger::handle(request, |_| async { "refused".into_response() });
    let router = Router::new()
        .route("/", get(|| async { "answered" }))
        .route("/body", post(handler));
    let served = start_with(router, BOUND * 2, 1).await;
    let mut refused = TcpStream::connect(served.address).await.unwrap();
    let request = b"POST /body HTTP/1.1\r\nhost: gateway\r\ncontent-length: 10\r\n\r\n0123456789";
    refused.write_all(request).await.unwrap();
    answer_on(&mut refused).await;
    let mut next = TcpStream::connect(served.address).await.unwrap();
    let request = b"GET / HTTP/1.1\r\nhost: gateway\r\n\r\n";
    next.write_all(request).await.unwrap();
    answer_on(&mut next).await;
    assert_eq!(rest_of(&mut refused).await, "");
    served.soft.cancel();
    served.wait_for_end().await;
}
