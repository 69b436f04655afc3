//! What receivers answer, and what is made of it.

use tokio::{net::TcpListener, time::Instant};

use super::*;

const PATIENCE: Duration = Duration::from_millis(300);

#[tokio::test]
async fn only_2xx_is_success() {
    use SendErrorCode::{HttpStatus, Redirect};
    for (status, error) in [
        ("200 OK", None),
        ("201 Created", None),
        ("202 Accepted", None),
        ("204 No Content", None),
        ("299 Whatever", None),
        ("300 Multiple Choices", Some(Redirect)),
        ("304 Not Modified", Some(Redirect)),
        ("400 Bad Request", Some(HttpStatus)),
        ("404 Not Found", Some(HttpStatus)),
        ("410 Gone", Some(HttpStatus)),
        ("429 Too Many Requests", Some(HttpStatus)),
        ("500 Internal Server Error", Some(HttpStatus)),
        ("599 Whatever", Some(HttpStatus)),
        ("999 Whatever", Some(HttpStatus)),
    ] {
        let sent = answered(Says::status(status, "")).await;
        let number = status[..3].parse().unwrap();
        assert_eq!(sent.http_status, Some(number), "{status}");
        assert_eq!(code(&sent), error, "{status}");
        assert_eq!(sent.response_start, None, "{status}");
    }
    let sent = answered(Says::status("503 Custom Words", "")).await;
    let detail = sent.error.unwrap().detail;
    assert_eq!(detail, "answered 503 Service Unavailable");
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let target = Receiver::start(Says::ok()).await;
    let location = format!("location: {}\r\n", target.url());
    for status in ["301 Moved", "302 Found", "303 See", "307 T", "308 P"] {
        let sent = answered(Says::status(status, &location)).await;
        assert_eq!(code(&sent), Some(SendErrorCode::Redirect), "{status}");
        let detail = sent.error.unwrap().detail;
        assert!(detail.ends_with("redirects are not followed"), "{detail}");
    }
    assert_eq!(target.connections(), 0);
}

#[tokio::test]
async fn a_receiver_may_ask_for_a_pause() {
    for (header, seconds) in [
        ("retry-after: 120\r\n", Some(120)),
        (
            "retry-after: Fri, 02 Jan 2026 00:00:00 GMT\r\n",
            Some(86_400),
        ),
        ("retry-after: soon\r\n", None),
        ("", None),
    ] {
        let receiver = Receiver::start(Says::status("429 Too Many", header)).await;
        let new_year = "2026-01-01T00:00:00Z".parse().unwrap();
        let notifier = notifier(TIMEOUT, NoNames);
        let sent = notifier
            .send(&message(receiver.url()), new_year)
            .await
            .unwrap();
        assert_eq!(
            sent.retry_after,
            seconds.map(Duration::from_secs),
            "{header}"
        );
    }
}

#[tokio::test]
async fn a_receiver_that_says_nothing_is_given_up() {
    let receiver = Receiver::start(Says::Nothing).await;
    let started = Instant::now();
    let sent = send(&notifier(PATIENCE, NoNames), receiver.url()).await;
    assert_eq!(code(&sent), Some(SendErrorCode::Timeout));
    assert_eq!((sent.http_status, sent.retry_after), (None, None));
    assert!(sent.duration >= PATIENCE && started.elapsed() < TIMEOUT);
    let detail = sent.error.unwrap().detail;
    assert_eq!(detail, "did not answer within 300ms");
    receiver.is_left().await;
}

#[tokio::test]
async fn a_head_that_never_ends_is_given_up() {
    let receiver = Receiver::start(Says::AndOn {
        first: "HTTP/1.1 200 OK\r\nx-slow: ",
        then: b"x".to_vec(),
        pause: Duration::from_millis(10),
    });
    let receiver = receiver.await;
    let sent = send(&notifier(PATIENCE, NoNames), receiver.url()).await;
    assert_eq!(code(&sent), Some(SendErrorCode::Timeout));
    assert_eq!(sent.http_status, None);
    receiver.is_left().await;
}

#[tokio::test]
async fn interim_answers_do_not_gain_time() {
    let receiver = Receiver::start(Says::AndOn {
        first: "",
        then: b"HTTP/1.1 103 Early Hints\r\n\r\n".to_vec(),
        pause: Duration::from_millis(1),
    });
    let receiver = receiver.await;
    let sent = send(&notifier(PATIENCE, NoNames), receiver.url()).await;
    assert_eq!(code(&sent), Some(SendErrorCode::Timeout));
    receiver.is_left().await;
}

#[tokio::test]
async fn of_an_endless_answer_the_first_bytes_are_kept() {
    for status in ["200 OK", "500 Internal Server Error"] {
        let head = if status.starts_with('2') {
            "HTTP/1.1 200 OK\r\n\r\n"
        } else {
            "HTTP/1.1 500 Oh\r\ncontent-length: 99999999999\r\n\r\n"
        };
        let receiver = Receiver::start(Says::AndOn {
            first: head,
            then: vec![b'x'; 65_536],
            pause: Duration::ZERO,
        });
        let receiver = receiver.await;
        let sent = send(&notifier(TIMEOUT, NoNames), receiver.url()).await;
        let number = status[..3].parse().unwrap();
        assert_eq!(sent.http_status, Some(number));
        assert_eq!(sent.error.is_none(), number == 200);
        assert_eq!(sent.response_start, Some("x".repeat(1024)));
        receiver.is_left().await;
    }
}

#[tokio::test]
async fn an_answer_that_drips_counts_by_its_status() {
    let receiver = Receiver::start(Says::AndOn {
        first: "HTTP/1.1 202 Accepted\r\ntransfer-encoding: chunked\r\n\r\n",
        then: b"1\r\ny\r\n".to_vec(),
        pause: Duration::from_millis(50),
    });
    let receiver = receiver.await;
    let started = Instant::now();
    let sent = send(&notifier(TIMEOUT, NoNames), receiver.url()).await;
    // The rest gets two seconds.
    let took = started.elapsed();
    assert!(took >= Duration::from_secs(2) && took < Duration::from_secs(10));
    assert_eq!((sent.http_status, &sent.error), (Some(202), &None));
    assert!(sent.duration < Duration::from_secs(2));
    let start = sent.response_start.unwrap();
    assert!(
        start.len() > 5 && start.bytes().all(|byte| byte == b'y'),
        "{start}"
    );
    receiver.is_left().await;
}

#[tokio::test]
async fn the_rest_of_an_answer_gains_no_time_either() {
    let receiver = Receiver::start(Says::AndOn {
        first: "HTTP/1.1 200 OK\r\n\r\n",
        then: b"y".to_vec(),
        pause: Duration::from_millis(20),
    });
    let receiver = receiver.await;
    let started = Instant::now();
    let notifier = notifier(Duration::from_millis(800), NoNames);
    let sent = send(&notifier, receiver.url()).await;
    assert_eq!((sent.http_status, sent.error), (Some(200), None));
    assert!(started.elapsed() < Duration::from_secs(2));
}

#[tokio::test]
async fn an_answer_is_kept_as_it_came_but_for_what_cannot_be_shown() {
    let body = b"\0broken\x1b[31m \xff\x08";
    let mut answer =
        b"HTTP/1.1 500 Oh\r\ncontent-encoding: gzip\r\nconnection: close\r\n\r\n".to_vec();
    answer.extend(body);
    let sent = answered(Says::ThisAndBye(answer)).await;
    assert_eq!(sent.response_start.unwrap(), " broken [31m \u{fffd} ");
}

#[tokio::test]
async fn an_answer_that_breaks_off_after_its_head_counts_by_its_status() {
    let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf".to_vec();
    let sent = answered(Says::ThisAndBye(answer)).await;
    assert_eq!((sent.http_status, &sent.error), (Some(200), &None));
    assert_eq!(sent.response_start.as_deref(), Some("half"));
}

#[tokio::test]
async fn what_is_no_answer_is_a_broken_connection() {
    let huge = format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "x".repeat(1_000_000));
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "x: x\r\n".repeat(10_000));
    for says in [
        Says::Reset,
        Says::ThisAndBye(vec![]),
        Says::ThisAndBye(b"HTTP/1.1 200".to_vec()),
        Says::text("SSH-2.0-OpenSSH_9.2\r\n"),
        Says::text(huge),
        Says::text(many),
    ] {
        let sent = answered(says.clone()).await;
        let shown = format!("{says:?}");
        let shown = &shown[..shown.len().min(80)];
        assert_eq!(code(&sent), Some(SendErrorCode::Connection), "{shown}");
        assert_eq!((sent.http_status, sent.response_start), (None, None));
        let detail = sent.error.unwrap().detail;
        assert!(detail.starts_with("broke off: "), "{detail}");
        assert!(
            !detail.contains("127.0.0.1") && !detail.contains("secret"),
            "{detail}"
        );
    }
}

#[tokio::test]
async fn nobody_listening_is_told_without_an_address() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/?key=secret", listener.local_addr().unwrap());
    drop(listener);
    let message = message(url.parse().unwrap());
    let sent = notifier(TIMEOUT, NoNames)
        .send(&message, now())
        .await
        .unwrap();
    assert_eq!(code(&sent), Some(SendErrorCode::Connection));
    let detail = sent.error.unwrap().detail;
    assert!(detail.starts_with("took no connection: "), "{detail}");
    assert!(
        !detail.contains("127.0.0.1") && !detail.contains("secret"),
        "{detail}"
    );
}

#[tokio::test]
async fn a_receiver_that_does_not_speak_tls_is_told_from_one_that_is_away() {
    let receiver = Receiver::start(Says::Before(b"HTTP/1.1 400 Bad Request\r\n\r\n")).await;
    let mut url = receiver.url();
    url.set_scheme("https").unwrap();
    let sent = send(&notifier(TIMEOUT, NoNames), url).await;
    assert_eq!(code(&sent), Some(SendErrorCode::Tls), "{sent:?}");
}

#[tokio::test]
async fn receivers_that_hang_hold_up_nobody_else() {
    let hanging = Receiver::start(Says::Nothing).await;
    let healthy = Receiver::start(Says::ok()).await;
    let notifier = notifier(TIMEOUT, NoNames);
    let stuck: Vec<_> = (0..50)
        .map(|_| {
            let (notifier, message) = (notifier.clone(), message(hanging.url()));
            tokio::spawn(async move { notifier.send(&message, now()).await.unwrap() })
        })
        .collect();
    // All of them are on their way.
    while hanging.heard().len() < stuck.len() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let sent = send(&notifier, healthy.url()).await;
    assert_eq!(sent.error, None);
    for task in &stuck {
        assert!(!task.is_finished());
        task.abort();
    }
}
