//! A receiver of webhooks: verifies each, keeps it, and answers 204 unless it has a trouble.

use std::{
    fmt,
    net::Ipv4Addr,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
};

use axum::{
    body::Bytes,
    http::{HeaderMap, Request, Response, StatusCode},
};
use chrono::{DateTime, Utc};
use http_body_util::{BodyExt, Empty};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    net::TcpListener,
    time::{Instant, sleep},
};
use tokio_util::sync::{CancellationToken, DropGuard};
use url::Url;

use super::{
    told::{Call, complain},
    troubles::Trouble,
};
use crate::gladia::{webhook::Envelope, webhook_secrets::WebhookSecrets};

/// An instant, and what the gateway's clock said then.
pub type Clock = (Instant, DateTime<Utc>);

/// Takes webhooks until it is dropped.
#[derive(Debug)]
pub struct Receiver {
    url: Url,
    state: Arc<State>,
    _open: DropGuard,
}

#[derive(Debug)]
struct State {
    clock: Clock,
    started: Instant,
    /// What they are signed with, once that is known.
    secret: OnceLock<WebhookSecrets>,
    troubles: Mutex<Vec<Trouble>>,
    calls: Mutex<Vec<Call>>,
    wrong: Mutex<Vec<String>>,
}

impl Receiver {
    /// Listens on a free port.
    pub async fn start(clock: Clock, troubles: Vec<Trouble>) -> anyhow::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        // The query is no business of any log.
        let url = format!("http://{}/told?key=chaos", listener.local_addr()?).parse()?;
        let state = Arc::new(State {
            clock,
            started: Instant::now(),
            secret: OnceLock::new(),
            troubles: Mutex::new(troubles),
            calls: Mutex::default(),
            wrong: Mutex::default(),
        });
        let open = CancellationToken::new();
        tokio::spawn(serve(listener, Arc::clone(&state), open.clone()));
        Ok(Self {
            url,
            state,
            _open: open.drop_guard(),
        })
    }

    /// Where it is.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// Says what everything is signed with.
    pub fn set_secret(&self, secret: &str) -> anyhow::Result<()> {
        let secret = secret.parse().map_err(anyhow::Error::msg)?;
        let set = self.state.secret.set(secret);
        set.map_err(|_| anyhow::anyhow!("a receiver has one secret"))
    }

    /// Everything that came with a right signature, and what should not have come.
    pub fn received(&self) -> (Vec<Call>, Vec<String>) {
        (
            lock(&self.state.calls).clone(),
            lock(&self.state.wrong).clone(),
        )
    }
}

async fn serve(listener: TcpListener, state: Arc<State>, open: CancellationToken) {
    while let Some(accepted) = open.run_until_cancelled(listener.accept()).await {
        // Out of file descriptors, for one: the sender tries again.
        let Ok((stream, _)) = accepted else { continue };
        let _ = stream.set_nodelay(true);
        let state = Arc::clone(&state);
        let service = service_fn(move |request| receive(Arc::clone(&state), request));
        let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
        tokio::spawn(open.clone().run_until_cancelled_owned(connection));
    }
}

/// The connection is broken off.
#[derive(Debug)]
struct Broken;

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("broken off")
    }
}

impl std::error::Error for Broken {}

async fn receive(
    state: Arc<State>,
    request: Request<Incoming>,
) -> Result<Response<Empty<Bytes>>, Broken> {
    let (head, body) = request.into_parts();
    // Whoever sent half of it has died.
    let body = body.collect().await.map_err(|_| Broken)?.to_bytes();
    let id = match state.verify(&head.headers, &body) {
        Ok(id) => id,
        Err(what) => {
            complain(&mut lock(&state.wrong), what);
            return Ok(answer(StatusCode::UNAUTHORIZED));
        }
    };
    let status = match state.next_trouble() {
        None => Some(StatusCode::NO_CONTENT),
        Some(trouble) => {
            sleep(trouble.held).await;
            trouble
                .answer
                .and_then(|code| StatusCode::from_u16(code).ok())
        }
    };
    lock(&state.calls).push(Call {
        id,
        method: head.method.to_string(),
        body,
        taken: status.is_some_and(|status| status.is_success()),
    });
    status.map(answer).ok_or(Broken)
}

fn answer(status: StatusCode) -> Response<Empty<Bytes>> {
    let mut response = Response::new(Empty::new());
    *response.status_mut() = status;
    response
}

impl State {
    /// The message's id, if its signature is right.
    fn verify(&self, headers: &HeaderMap, body: &[u8]) -> Result<String, String> {
        let header = |name: &str| {
            let value = headers.get(name).and_then(|value| value.to_str().ok());
            value.ok_or_else(|| format!("a message without {name}"))
        };
        let envelope = Envelope {
            id: header("webhook-id")?,
            timestamp: header("webhook-timestamp")?,
            signatures: header("webhook-signature")?,
        };
        let (instant, said) = self.clock;
        if !envelope.is_timely(said + instant.elapsed()) {
            return Err(format!(
                "{}: its time {} is not about now",
                envelope.id, envelope.timestamp
            ));
        }
        let secret = self
            .secret
            .get()
            .ok_or("a message before anybody asked for one")?;
        if !envelope.is_signed(body, secret) {
            return Err(format!("{}: its signature is wrong", envelope.id));
        }
        if headers
            .get("content-type")
            .is_none_or(|value| value != "application/json")
        {
            return Err(format!("{}: it is not said to be JSON", envelope.id));
        }
        Ok(envelope.id.to_owned())
    }

    /// The trouble that the next request has.
    fn next_trouble(&self) -> Option<Trouble> {
        let now = self.started.elapsed();
        let mut troubles = lock(&self.troubles);
        let trouble = troubles
            .iter_mut()
            .find(|one| (one.from..one.until).contains(&now) && one.requests > 0)?;
        trouble.requests -= 1;
        Some(trouble.clone())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use base64::{Engine, prelude::BASE64_STANDARD};
    use reqwest::Client;

    use super::*;
    use crate::notify::{message::SigningSecret, signature::sign};

    const KEY: &[u8] = b"a secret of a receiver";

    async fn receiver(troubles: Vec<Trouble>) -> Receiver {
        let clock = (
            Instant::now(),
            DateTime::from_timestamp(1_800_000_000, 0).unwrap(),
        );
        let receiver = Receiver::start(clock, troubles).await.unwrap();
        let secret = format!("whsec_{}", BASE64_STANDARD.encode(KEY));
        receiver.set_secret(&secret).unwrap();
        receiver
    }

    /// The status that a message is answered with, if it is. `timestamp` is what it says, `signed` what its signature says.
    async fn send(receiver: &Receiver, timestamp: i64, signed: i64) -> Option<u16> {
        let client = Client::builder().no_proxy().build().unwrap();
        let secrets = [SigningSecret(KEY.to_vec())];
        let request = client
            .post(receiver.url().clone())
            .header("content-type", "application/json")
            .header("webhook-id", "evt_1")
            .header("webhook-timestamp", timestamp)
            .header("webhook-signature", sign("evt_1", signed, b"{}", &secrets))
            .body("{}");
        let answer = request.send().await.ok()?;
        Some(answer.status().as_u16())
    }

    #[tokio::test]
    async fn only_what_was_signed_just_now_is_taken() {
        let receiver = receiver(Vec::new()).await;
        assert_eq!(
            send(&receiver, 1_800_000_000, 1_800_000_000).await,
            Some(204)
        );
        assert_eq!(
            send(&receiver, 1_800_000_000, 1_800_000_001).await,
            Some(401)
        );
        assert_eq!(
            send(&receiver, 1_800_001_000, 1_800_001_000).await,
            Some(401)
        );
        let (calls, wrong) = receiver.received();
        assert!(calls.len() == 1 && calls[0].taken && calls[0].id == "evt_1");
        assert_eq!(
            wrong,
            [
                "evt_1: its signature is wrong",
                "evt_1: its time 1800001000 is not about now"
            ]
        );
    }

    #[tokio::test]
    async fn a_trouble_happens_to_as_many_requests_as_it_says() {
        let trouble = |answer| Trouble {
            from: Duration::ZERO,
            until: Duration::MAX,
            requests: 1,
            held: Duration::ZERO,
            answer,
        };
        let receiver = receiver(vec![trouble(Some(500)), trouble(None)]).await;
        let mut answers = Vec::new();
        for _ in 0..3 {
            answers.push(send(&receiver, 1_800_000_000, 1_800_000_000).await);
        }
        assert_eq!(answers, [Some(500), None, Some(204)]);
        let (calls, _) = receiver.received();
        let taken: Vec<bool> = calls.iter().map(|call| call.taken).collect();
        assert_eq!(taken, [false, false, true]);
    }
}
