//! What receivers see.

use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};

use super::{receiver::Heard, *};

const TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// Whether the holder of a secret takes the request for genuine, by the library of the specification.
fn is_genuine(heard: &Heard, secret: &SigningSecret) -> bool {
    let names = ["webhook-id", "webhook-timestamp", "webhook-signature"];
    let headers = names.map(|name| {
        let value = HeaderValue::from_str(heard.headers(name)[0]).unwrap();
        (HeaderName::from_static(name), value)
    });
    let held = format!("whsec_{}", BASE64_STANDARD.encode(&secret.0));
    let webhook = standardwebhooks::Webhook::new(&held).unwrap();
    webhook
        .verify(&heard.body, &HeaderMap::from_iter(headers))
        .is_ok()
}

#[tokio::test]
async fn a_message_arrives_as_it_was_made() {
    let receiver = Receiver::start(Says::ok()).await;
    let message = Message {
        traceparent: Some(TRACE.into()),
        ..message(receiver.url())
    };
    let now = now();
    let sent = notifier(TIMEOUT, NoNames)
        .send(&message, now)
        .await
        .unwrap();
    assert_eq!((sent.http_status, &sent.error), (Some(200), &None));
    assert_eq!(sent.response_start.as_deref(), Some("ok"));
    assert_eq!(sent.retry_after, None);

    let [heard] = &receiver.heard()[..] else {
        panic!("one request");
    };
    assert!(heard.head.starts_with("POST /hook?key=secret HTTP/1.1\r\n"));
    assert_eq!(heard.body, message.body);
    let agent = concat!("gladia-gateway/", env!("CARGO_PKG_VERSION"));
    for (name, value) in [
        ("content-type", "application/json"),
        ("content-length", &message.body.len().to_string()),
        ("user-agent", agent),
        ("webhook-id", "evt_42"),
        ("webhook-timestamp", &now.timestamp().to_string()),
        ("traceparent", TRACE),
    ] {
        assert_eq!(heard.headers(name), [value], "{name}");
    }
    assert!(is_genuine(heard, &message.secrets[0]));
    assert!(!is_genuine(heard, &SigningSecret(vec![8; 32])));
    // Answers are kept as they come.
    assert!(heard.headers("accept-encoding").is_empty());
}

#[tokio::test]
async fn bytes_of_any_kind_arrive_unchanged_and_signed() {
    let receiver = Receiver::start(Says::ok()).await;
    let notifier = notifier(TIMEOUT, NoNames);
    for body in [
        Bytes::from_static(b" {\n\t\"a\" : 1.0 }\r\n\r\n"),
        Bytes::from("\u{feff}{\"text\":\"é…😀\"}"),
        Bytes::from(format!("[{}1]", "1,".repeat(1_000_000))),
    ] {
        let message = Message {
            body: body.clone(),
            ..message(receiver.url())
        };
        assert_eq!(notifier.send(&message, now()).await.unwrap().error, None);
        let heard = receiver.heard().pop().unwrap();
        assert!(heard.body == body, "{} bytes", body.len());
        assert!(is_genuine(&heard, &message.secrets[0]));
    }
}

#[tokio::test]
async fn a_message_may_be_put() {
    let receiver = Receiver::start(Says::ok()).await;
    let message = Message {
        method: CallbackMethod::Put,
        ..message(receiver.url())
    };
    let sent = notifier(TIMEOUT, NoNames)
        .send(&message, now())
        .await
        .unwrap();
    assert_eq!(sent.error, None);
    let heard = receiver.heard().pop().unwrap();
    assert!(heard.head.starts_with("PUT /hook"), "{}", heard.head);
    assert_eq!(heard.body, message.body);
}

#[tokio::test]
async fn while_a_secret_rotates_both_sign() {
    let receiver = Receiver::start(Says::ok()).await;
    let message = Message {
        secrets: vec![SigningSecret(vec![1; 32]), SigningSecret(vec![2; 24])],
        ..message(receiver.url())
    };
    notifier(TIMEOUT, NoNames)
        .send(&message, now())
        .await
        .unwrap();
    let heard = receiver.heard().pop().unwrap();
    assert_eq!(heard.headers("webhook-signature")[0].split(' ').count(), 2);
    for secret in &message.secrets {
        assert!(is_genuine(&heard, secret));
    }
}

#[tokio::test]
async fn each_try_is_signed_anew_under_the_same_id() {
    let receiver = Receiver::start(Says::ok()).await;
    let notifier = notifier(TIMEOUT, NoNames);
    let message = message(receiver.url());
    let now = now();
    let hour_ago = now - Duration::from_hours(1);
    notifier.send(&message, hour_ago).await.unwrap();
    notifier.send(&message, now).await.unwrap();
    let [old, new] = &receiver.heard()[..] else {
        panic!("two requests");
    };
    assert_eq!(old.headers("webhook-id"), new.headers("webhook-id"));
    // Receivers refuse what is too old.
    assert!(!is_genuine(old, &message.secrets[0]));
    assert!(is_genuine(new, &message.secrets[0]));
}

#[tokio::test]
async fn a_trace_that_no_header_can_carry_is_left_out() {
    let receiver = Receiver::start(Says::ok()).await;
    let message = Message {
        traceparent: Some("00-a\r\nx-injected: 1".into()),
        ..message(receiver.url())
    };
    let sent = notifier(TIMEOUT, NoNames)
        .send(&message, now())
        .await
        .unwrap();
    assert_eq!(sent.error, None);
    let heard = receiver.heard().pop().unwrap();
    assert!(!heard.head.contains("injected"), "{}", heard.head);
}

#[tokio::test]
async fn messages_in_a_row_share_a_connection() {
    let receiver = Receiver::start(Says::ok()).await;
    let notifier = notifier(TIMEOUT, NoNames);
    for _ in 0..3 {
        let sent = send(&notifier, receiver.url()).await;
        assert_eq!(sent.error, None);
    }
    assert_eq!(receiver.connections(), 1);
    assert_eq!(receiver.heard().len(), 3);
}
