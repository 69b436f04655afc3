//! A running simulator, a client for it, and a receiver of callbacks.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU16, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, Method, StatusCode, Uri, header::LOCATION},
    response::IntoResponse,
};
use reqwest::{
    Client, RequestBuilder, Response,
    multipart::{Form, Part},
    redirect::Policy,
};
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::mpsc};

use crate::dev_tools::simulator::{
    BUNDLED_RECORDING, BUNDLED_RECORDING_NAME, Script, Simulator, SimulatorSettings,
};

/// Nothing here takes longer unless it is broken.
pub const BOUND: Duration = Duration::from_mins(1);

pub struct Api {
    pub simulator: Simulator,
    pub http: Client,
    base: String,
}

/// Settings under which jobs end at once and retries come quickly.
pub fn quick() -> SimulatorSettings {
    SimulatorSettings {
        speed: 10_000.0,
        script: Some(
            r#"{"entries": [{"match": "https://audio.example/*", "duration": 30.0}]}"#
                .parse()
                .unwrap(),
        ),
        callback_backoff: Duration::from_millis(5),
        ..SimulatorSettings::default()
    }
}

/// Settings under which jobs run until the test has ended.
pub fn slow() -> SimulatorSettings {
    SimulatorSettings {
        speed: 0.01,
        ..quick()
    }
}

/// Settings with this script.
pub fn scripted(script: &Value) -> SimulatorSettings {
    SimulatorSettings {
        script: Some(script.to_string().parse::<Script>().unwrap()),
        ..quick()
    }
}

impl Api {
    pub async fn start(settings: SimulatorSettings) -> Self {
        let simulator = Simulator::start(settings).await.unwrap();
        let base = simulator.url().as_str().trim_end_matches('/').to_owned();
        let http = Client::builder()
            .no_proxy()
            .timeout(BOUND)
            .redirect(Policy::none())
            .build()
            .unwrap();
        Self {
            simulator,
            http,
            base,
        }
    }

    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    /// A request without the key.
    pub fn bare(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, self.url(path))
    }

    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.bare(method, path)
            .header("x-gladia-key", "simulated-key")
    }

    pub async fn get(&self, path: &str) -> Value {
        body(self.request(Method::GET, path).send().await.unwrap()).await
    }

    pub async fn post(&self, body: &Value) -> Response {
        self.request(Method::POST, "/v2/pre-recorded")
            .json(body)
            .send()
            .await
            .unwrap()
    }

    /// Creates a job and returns its id.
    pub async fn create(&self, body: &Value) -> String {
        let response = self.post(body).await;
        assert_eq!(response.status(), 201);
        let created: Value = response.json().await.unwrap();
        created["id"].as_str().unwrap().to_owned()
    }

    /// A job for audio of thirty seconds that does not exist.
    pub async fn create_synthetic(&self, more: &Value) -> String {
        let mut body = json!({"audio_url": "https://audio.example/1.wav"});
        let more = more.as_object().unwrap().clone();
        body.as_object_mut().unwrap().extend(more);
        self.create(&body).await
    }

    pub async fn upload(&self, bytes: Vec<u8>, name: &str) -> Response {
        let part = Part::bytes(bytes).file_name(name.to_owned());
        self.request(Method::POST, "/v2/upload")
            .multipart(Form::new().part("audio", part))
            .send()
            .await
            .unwrap()
    }

    pub async fn upload_recording(&self) -> Value {
        let response = self
            .upload(BUNDLED_RECORDING.to_vec(), BUNDLED_RECORDING_NAME)
            .await;
        assert_eq!(response.status(), 200);
        response.json().await.unwrap()
    }

    pub async fn wait_until_ended(&self, id: &str) -> Value {
        let path = format!("/v2/pre-recorded/{id}");
        eventually(async || {
            let job = self.get(&path).await;
            matches!(job["status"].as_str(), Some("done" | "error")).then_some(job)
        })
        .await
    }

    pub async fn ledger(&self) -> Value {
        let response = self.bare(Method::GET, "/_simulator/ledger").send().await;
        response.unwrap().json().await.unwrap()
    }

    pub async fn set_faults(&self, faults: &Value) {
        let request = self.bare(Method::PUT, "/_simulator/faults").json(faults);
        assert_eq!(request.send().await.unwrap().status(), 204);
    }

    /// The job's entry in the ledger, once it has as many callbacks as said.
    pub async fn after_callbacks(&self, id: &str, count: usize) -> Value {
        eventually(async || {
            let ledger = self.ledger().await;
            let jobs = ledger["jobs"].as_array().unwrap();
            let job = jobs.iter().find(|job| job["id"] == id).unwrap();
            (job["callbacks"].as_array().unwrap().len() >= count).then(|| job.clone())
        })
        .await
    }
}

pub async fn body(response: Response) -> Value {
    response.json().await.unwrap()
}

/// Waits for a condition, within the bound.
pub async fn eventually<T>(look: impl AsyncFn() -> Option<T>) -> T {
    let waiting = async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(BOUND, waiting)
        .await
        .expect("the condition holds within the bound")
}

/// A request as the receiver got it.
pub struct Received {
    pub method: Method,
    pub headers: HeaderMap,
    /// Null if it is not JSON.
    pub body: Value,
    pub bytes: Bytes,
}

/// Takes callbacks and answers them with a status that can be changed.
pub struct Receiver {
    pub url: String,
    status: Arc<AtomicU16>,
    inbox: mpsc::UnboundedReceiver<Received>,
}

type Shared = (Arc<AtomicU16>, mpsc::UnboundedSender<Received>);

impl Receiver {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let status = Arc::new(AtomicU16::new(200));
        let (outbox, inbox) = mpsc::unbounded_channel();
        let router = Router::new()
            .fallback(receive)
            .with_state((Arc::clone(&status), outbox));
        tokio::spawn(axum::serve(listener, router).into_future());
        Self { url, status, inbox }
    }

    pub fn answer(&self, status: u16) {
        self.status.store(status, Ordering::SeqCst);
    }

    pub async fn next(&mut self) -> Received {
        tokio::time::timeout(BOUND, self.inbox.recv())
            .await
            .expect("a callback comes within the bound")
            .unwrap()
    }

    /// Whatever has come and was not taken yet.
    pub fn is_empty(&self) -> bool {
        self.inbox.is_empty()
    }
}

/// Where a receiver redirects to.
const ELSEWHERE: &str = "/elsewhere";

async fn receive(
    State((status, outbox)): State<Shared>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> impl IntoResponse {
    let received = Received {
        method,
        headers,
        body: serde_json::from_slice(&body).unwrap_or_default(),
        bytes: body,
    };
    outbox.send(received).ok();
    // Where a redirect leads to, everything is taken.
    let status = if uri.path() == ELSEWHERE {
        StatusCode::OK
    } else {
        StatusCode::from_u16(status.load(Ordering::SeqCst)).unwrap()
    };
    (status, [(LOCATION, ELSEWHERE)])
}

/// A WAV file of 16-bit samples.
pub fn wav(rate: u32, channels: u16, frames: impl Iterator<Item = Vec<i16>>) -> Vec<u8> {
    let data: Vec<u8> = frames.flatten().flat_map(i16::to_le_bytes).collect();
    let length = u32::try_from(data.len()).unwrap();
    let mut file = Vec::new();
    file.extend(b"RIFF");
    file.extend((36 + length).to_le_bytes());
    file.extend(b"WAVEfmt ");
    file.extend(16_u32.to_le_bytes());
    file.extend(1_u16.to_le_bytes());
    file.extend(channels.to_le_bytes());
    file.extend(rate.to_le_bytes());
    file.extend((rate * u32::from(channels) * 2).to_le_bytes());
    file.extend((channels * 2).to_le_bytes());
    file.extend(16_u16.to_le_bytes());
    file.extend(b"data");
    file.extend(length.to_le_bytes());
    file.extend(data);
    file
}

/// A tone that sounds in these spans of seconds and is silent elsewhere.
pub fn tone(seconds: f64, rate: u32, spans: &[(f64, f64)]) -> impl Iterator<Item = i16> {
    (0_u32..)
        .map(move |n| f64::from(n) / f64::from(rate))
        .take_while(move |at| *at < seconds)
        .map(move |at| {
            let sounds = spans
                .iter()
                .any(|(start, end)| (*start..*end).contains(&at));
            let wave = (at * 440.0 * std::f64::consts::TAU).sin() * 12_000.0;
            #[expect(clippy::cast_possible_truncation, reason = "the amplitude fits")]
            if sounds { wave as i16 } else { 0 }
        })
}
