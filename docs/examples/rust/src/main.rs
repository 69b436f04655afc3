//! Transcribes a file, is told of the end by a signed webhook, prints the transcript and removes what it made:
//!
//! ```sh
//! GATEWAY_URL=https://gateway.example GATEWAY_KEY=ggw_… cargo run -- FILE
//! ```

use std::{
    collections::HashSet,
    env,
    sync::{Arc, Mutex},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode},
    routing::post,
};
use reqwest::{Client, RequestBuilder, Response, multipart};
use serde_json::{Value, json};
use standardwebhooks::Webhook;
use tokio::{net::TcpListener, sync::mpsc, time};

// ---------------------------------------------------------------------------------------------------- the receiver

#[derive(Clone)]
struct Receiver {
    webhook: Arc<Webhook>,
    seen: Arc<Mutex<HashSet<String>>>,
    told: mpsc::UnboundedSender<Value>,
}

/// Takes a webhook, of the two megabytes at most that axum lets through.
async fn receive(State(receiver): State<Receiver>, headers: HeaderMap, body: Bytes) -> StatusCode {
    // The signature first, over the bytes as they came: until it has been checked, they are anybody's.
    if receiver.webhook.verify(&body, &headers).is_err() {
        return StatusCode::UNAUTHORIZED;
    }
    let Ok(event) = serde_json::from_slice::<Value>(&body) else {
        return StatusCode::BAD_REQUEST;
    };
    // Told at least once: what comes again has the same id. A service keeps the ids in its database.
    let id = event["id"].as_str().unwrap_or_default().to_owned();
    if receiver.seen.lock().is_ok_and(|mut seen| seen.insert(id)) {
        _ = receiver.told.send(event);
    }
    // Answer, then work: the gateway waits 15 seconds, and sends again what was not answered by 2xx.
    StatusCode::NO_CONTENT
}

// ----------------------------------------------------------------------------------------------------- the gateway

struct Gateway {
    client: Client,
    url: String,
    key: String,
}

impl Gateway {
    fn post(&self, path: &str) -> RequestBuilder {
        self.client
            .post(format!("{}{path}", self.url))
            .bearer_auth(&self.key)
    }

    fn get(&self, path: &str) -> RequestBuilder {
        self.client
            .get(format!("{}{path}", self.url))
            .bearer_auth(&self.key)
    }

    async fn delete(&self, path: &str) {
        let request = self.client.delete(format!("{}{path}", self.url));
        if let Err(error) = request.bearer_auth(&self.key).send().await {
            eprintln!("{path} is left behind: {error}");
        }
    }

    /// Uploads the file. With the key, a request that got no answer may be repeated and makes one transcription all the
    /// same.
    async fn submit(&self, file: &str) -> Result<String> {
        // A service takes the id of a record of its own, which survives a crash.
        let key = uuid::Uuid::new_v4().to_string();
        for pause_seconds in [1, 2, 4, 8, 16, 32] {
            let pause_seconds = match self.upload(file, &key).await {
                // 409: the first request is still under way.
                Ok(answer) if is_transient(answer.status()) => {
                    retry_after(&answer).unwrap_or(pause_seconds)
                }
                Ok(answer) => return id_in(&checked(answer).await?.json().await?),
                Err(error) if error.is::<reqwest::Error>() => pause_seconds,
                Err(error) => return Err(error),
            };
            time::sleep(Duration::from_secs(pause_seconds)).await;
        }
        id_in(
            &checked(self.upload(file, &key).await?)
                .await?
                .json()
                .await?,
        )
    }

    async fn upload(&self, file: &str, key: &str) -> Result<Response> {
        let options =
            multipart::Part::text(r#"{"diarization": true}"#).mime_str("application/json")?;
        let form = multipart::Form::new()
            .part("options", options)
            .file("audio", file)
            .await
            .with_context(|| file.to_owned())?;
        let request = self
            .post("/v1/transcriptions/upload")
            .header("Idempotency-Key", key);
        Ok(request.multipart(form).send().await?)
    }
}

fn is_transient(status: StatusCode) -> bool {
    status == StatusCode::CONFLICT || status.is_server_error()
}

fn retry_after(answer: &Response) -> Option<u64> {
    answer
        .headers()
        .get("retry-after")?
        .to_str()
        .ok()?
        .parse()
        .ok()
}

/// A refusal is a problem (RFC 9457), which says what to do about it.
async fn checked(answer: Response) -> Result<Response> {
    if !answer.status().is_success() {
        bail!(answer.text().await?);
    }
    Ok(answer)
}

fn id_in(answer: &Value) -> Result<String> {
    Ok(answer["id"]
        .as_str()
        .context("an answer without an id")?
        .to_owned())
}

#[tokio::main]
async fn main() -> Result<()> {
    let file = env::args().nth(1).context("usage: transcribe FILE")?;
    let gateway = Gateway {
        client: Client::builder()
            .connect_timeout(Duration::from_secs(10))
            .read_timeout(Duration::from_mins(1))
            .build()?,
        url: env::var("GATEWAY_URL")?.trim_end_matches('/').to_owned(),
        key: env::var("GATEWAY_KEY")?,
    };
    // Connections wait from here on, and are answered once the secret is known.
    let listener = TcpListener::bind("127.0.0.1:0").await?;

    // A service makes its endpoint once, and keeps the secret with its other secrets.
    let request = gateway.post("/v1/webhook-endpoints").json(&json!({
        "url": format!("http://{}/", listener.local_addr()?),
        "description": "Rust example",
        "event_types": ["transcription.done", "transcription.error"],
    }));
    let endpoint: Value = checked(request.send().await?).await?.json().await?;
    let endpoint_id = id_in(&endpoint)?;

    let (told, events) = mpsc::unbounded_channel();
    let receiver = Receiver {
        webhook: Arc::new(Webhook::new(
            endpoint["secret"].as_str().unwrap_or_default(),
        )?),
        seen: Arc::default(),
        told,
    };
    let router = Router::new().route("/", post(receive)).with_state(receiver);
    tokio::spawn(async { axum::serve(listener, router).await });

    let mut transcription_id = None;
    let transcript = tokio::select! {
        transcript = transcribe(&gateway, &file, events, &mut transcription_id) => transcript,
        () = time::sleep(Duration::from_mins(15)) => Err(anyhow::anyhow!("not told in time")),
        _ = tokio::signal::ctrl_c() => Err(anyhow::anyhow!("interrupted")),
    };
    gateway
        .delete(&format!("/v1/webhook-endpoints/{endpoint_id}"))
        .await;
    if let Some(id) = transcription_id {
        gateway.delete(&format!("/v1/transcriptions/{id}")).await;
    }
    print!("{}", transcript?);
    Ok(())
}

async fn transcribe(
    gateway: &Gateway,
    file: &str,
    mut events: mpsc::UnboundedReceiver<Value>,
    transcription_id: &mut Option<String>,
) -> Result<String> {
    let id = gateway.submit(file).await?;
    *transcription_id = Some(id.clone());
    eprintln!("Submitted {id}");
    // The endpoint is told of all that the tenant transcribes.
    while let Some(event) = events.recv().await {
        let (kind, data) = (event["type"].as_str().unwrap_or_default(), &event["data"]);
        let about = data["transcription_id"].as_str().unwrap_or_default();
        eprintln!("Told: {kind} of {about}");
        if about == id {
            if kind == "transcription.error" {
                bail!(data["error"].to_string());
            }
            let transcript = gateway.get(&format!("/v1/transcriptions/{id}/export/txt"));
            return Ok(checked(transcript.send().await?).await?.text().await?);
        }
    }
    bail!("the receiver has stopped")
}
