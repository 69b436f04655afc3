//! The callers: jobs over HTTP, each with an `Idempotency-Key`, repeated with the same key until the answer is there.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use rand::{Rng, RngExt};
use reqwest::{Client, StatusCode, header};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use tokio::{
    sync::Semaphore,
    task::JoinSet,
    time::{Instant, sleep, sleep_until},
};
use url::Url;
use uuid::Uuid;

use super::balancer::Addresses;

/// In the address of audio that cannot be transcribed.
pub const FAILS: &str = "fails";

/// In the address and the metadata of jobs that lists conceal, where lists lie.
pub const HIDDEN: &str = "hidden";

/// A caller that has no answer by then repeats its request.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// The pause before a request is repeated.
const REPETITION_PAUSE: Duration = Duration::from_millis(200);

/// How many callers there are.
const CALLERS: usize = 32;

/// A job to be submitted.
#[derive(Debug, Clone)]
pub struct Order {
    pub number: usize,
    /// Which tenant's it is.
    pub tenant: usize,
    pub idempotency_key: String,
    /// The request, without its callback.
    body: Value,
    /// How its caller asks to be called when it ends, where it does.
    pub callback: Option<Ask>,
    /// Whether its audio cannot be transcribed.
    pub fails: bool,
    /// Whether lists conceal it.
    pub hidden: bool,
    /// Whether it is submitted twice at the same time, to two replicas.
    doubled: bool,
    /// When it is submitted, from the start.
    due: Duration,
}

/// How a caller asks to be called: Gladia's own fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ask {
    /// `callback_url`.
    Url,
    /// `callback_config`, without a method.
    Config,
    /// `callback_config`, by PUT.
    ConfigPut,
}

impl Ask {
    /// The method that it asks for.
    pub fn method(self) -> &'static str {
        match self {
            Self::Url | Self::Config => "POST",
            Self::ConfigPut => "PUT",
        }
    }

    fn write(self, body: &mut Value, url: &Url) {
        match self {
            Self::Url => body["callback_url"] = json!(url.as_str()),
            Self::Config => body["callback_config"] = json!({ "url": url.as_str() }),
            Self::ConfigPut => {
                body["callback_config"] = json!({ "url": url.as_str(), "method": "PUT" });
            }
        }
        if self != Self::Url {
            body["callback"] = json!(true);
        }
    }
}

impl Order {
    /// The metadata that its caller gives, and gets back.
    pub fn custom_metadata(&self) -> &Value {
        &self.body["custom_metadata"]
    }
}

/// Plans jobs, a third of them at once and the others spread over a time.
pub fn plan(
    rng: &mut impl Rng,
    jobs: usize,
    tenants: usize,
    over: Duration,
    conceal: bool,
) -> Vec<Order> {
    let at_once = jobs / 3;
    let interval = over / u32::try_from(jobs - at_once).unwrap_or(u32::MAX).max(1);
    (0..jobs)
        .map(|number| {
            let fails = rng.random_bool(0.03);
            let hidden = conceal && !fails && rng.random_bool(0.1);
            let class = if fails {
                FAILS.to_owned()
            } else if hidden {
                HIDDEN.to_owned()
            } else {
                [20, 40, 60, 80, 120][rng.random_range(0..5)].to_string()
            };
            // The first third is due at once, the others one after another.
            let due = interval * u32::try_from(number.saturating_sub(at_once)).unwrap_or(u32::MAX);
            Order {
                number,
                // The first tenant has half of all jobs.
                tenant: if rng.random_bool(0.5) {
                    0
                } else {
                    rng.random_range(0..tenants)
                },
                idempotency_key: format!("chaos-{number}"),
                body: json!({
                    "audio_url": format!("https://audio.example/{class}/{number}.wav"),
                    "custom_metadata": { "class": class, "number": number },
                }),
                fails,
                hidden,
                doubled: rng.random_bool(0.15),
                callback: rng
                    .random_bool(0.25)
                    .then(|| [Ask::Url, Ask::Config, Ask::ConfigPut][rng.random_range(0..3)]),
                due,
            }
        })
        .collect()
}

/// What came of the orders.
#[derive(Debug, Default)]
pub struct Accepted {
    /// The job of each order, once a caller has seen it.
    pub jobs: Vec<Option<Uuid>>,
    /// Answers that nobody should have got.
    pub wrong: Vec<String>,
    /// How many requests were sent.
    pub requests: usize,
}

/// Everyone who submits.
#[derive(Clone)]
pub struct Callers(Arc<Shared>);

struct Shared {
    client: Client,
    /// The API key of each tenant.
    keys: Vec<SecretString>,
    /// Where each wants the callbacks of its jobs.
    callback_urls: Vec<Url>,
    addresses: Addresses,
    accepted: Mutex<Accepted>,
}

impl Callers {
    pub fn new(
        keys: Vec<SecretString>,
        callback_urls: Vec<Url>,
        addresses: Addresses,
        orders: usize,
    ) -> anyhow::Result<Self> {
        let client = Client::builder()
            .no_proxy()
            .connect_timeout(Duration::from_secs(2))
            .timeout(ANSWER_TIMEOUT)
            .build()?;
        let accepted = Accepted {
            jobs: vec![None; orders],
            ..Accepted::default()
        };
        Ok(Self(Arc::new(Shared {
            client,
            keys,
            callback_urls,
            addresses,
            accepted: Mutex::new(accepted),
        })))
    }

    /// Submits all, each when it is due, until each has its answer.
    pub async fn submit_all(&self, orders: &[Order]) {
        let (started, permits) = (Instant::now(), Arc::new(Semaphore::new(CALLERS)));
        let mut tasks = JoinSet::new();
        for order in orders {
            sleep_until(started + order.due).await;
            // One that waits for an answer keeps the others from nothing but its own place.
            let Ok(permit) = Arc::clone(&permits).acquire_owned().await else {
                break;
            };
            let (this, order) = (self.clone(), order.clone());
            tasks.spawn(async move {
                let _permit = permit;
                if order.doubled {
                    tokio::join!(
                        this.submit(&order, order.number),
                        this.submit(&order, order.number + 1)
                    );
                } else {
                    this.submit(&order, order.number).await;
                }
            });
        }
        tasks.join_all().await;
    }

    /// Submits one until it has its answer, beginning with a replica.
    pub async fn submit(&self, order: &Order, first: usize) {
        for replica in first.. {
            match self.try_submit(order, replica).await {
                Submitted::Job(job) => return self.note(order, job),
                Submitted::Again(pause) => sleep(pause).await,
                Submitted::Wrong(what) => {
                    let mut accepted = self.lock();
                    accepted
                        .wrong
                        .push(format!("order {}: {what}", order.number));
                    return;
                }
            }
        }
    }

    async fn try_submit(&self, order: &Order, replica: usize) -> Submitted {
        let Some(address) = self.0.addresses.get(replica) else {
            return Submitted::Again(REPETITION_PAUSE);
        };
        self.lock().requests += 1;
        let mut body = order.body.clone();
        if let Some(ask) = order.callback {
            ask.write(&mut body, &self.0.callback_urls[order.tenant]);
        }
        let request = self
            .0
            .client
            .post(format!("http://{address}/v1/transcriptions"))
            .bearer_auth(self.0.keys[order.tenant].expose_secret())
            .header("idempotency-key", &order.idempotency_key)
            .json(&body);
        let Ok(answer) = request.send().await else {
            return Submitted::Again(REPETITION_PAUSE);
        };
        let status = answer.status();
        match status {
            StatusCode::OK | StatusCode::ACCEPTED => match answer.json::<Value>().await {
                Ok(job) => match job["id"].as_str().and_then(|id| id.parse().ok()) {
                    Some(id) => Submitted::Job(id),
                    None => Submitted::Wrong(format!("{status} without an id")),
                },
                // The answer broke off.
                Err(_) => Submitted::Again(REPETITION_PAUSE),
            },
            // Somebody else holds the key, be it one whose process died.
            StatusCode::CONFLICT => Submitted::Again(retry_after(&answer)),
            _ if status.is_server_error() => Submitted::Again(REPETITION_PAUSE),
            _ => Submitted::Wrong(format!(
                "{status} {}",
                answer.text().await.unwrap_or_default()
            )),
        }
    }

    /// Notes the answer. Whoever repeats a key gets the same job.
    fn note(&self, order: &Order, job: Uuid) {
        let mut accepted = self.lock();
        match accepted.jobs[order.number].replace(job) {
            Some(earlier) if earlier != job => {
                let what = format!(
                    "order {}: the key {} made two jobs, {earlier} and {job}",
                    order.number, order.idempotency_key
                );
                accepted.wrong.push(what);
            }
            _ => {}
        }
    }

    /// The result of a job of an order, as its caller gets it; `Err` says what came instead.
    pub async fn result(&self, order: &Order, job: Uuid) -> Result<Vec<u8>, String> {
        let mut last = "no replica is up".to_owned();
        for replica in 0..self.0.addresses.count() * 5 {
            let Some(address) = self.0.addresses.get(order.number + replica) else {
                sleep(REPETITION_PAUSE).await;
                continue;
            };
            let base = format!("http://{address}/v1/transcriptions/{job}/result");
            let request = self
                .0
                .client
                .get(base)
                .bearer_auth(self.0.keys[order.tenant].expose_secret());
            match request.send().await {
                Ok(answer) if answer.status().is_success() => match answer.bytes().await {
                    Ok(bytes) => return Ok(bytes.to_vec()),
                    Err(error) => last = error.to_string(),
                },
                Ok(answer) if answer.status().is_server_error() => {
                    last = answer.status().to_string();
                }
                Ok(answer) => return Err(answer.status().to_string()),
                Err(error) => last = error.without_url().to_string(),
            }
            sleep(REPETITION_PAUSE).await;
        }
        Err(last)
    }

    /// The order of each job.
    pub fn orders_by_job<'a>(&self, orders: &'a [Order]) -> HashMap<Uuid, &'a Order> {
        let accepted = self.lock();
        let jobs = accepted.jobs.iter().zip(orders);
        jobs.filter_map(|(job, order)| Some(((*job)?, order)))
            .collect()
    }

    /// How many orders have their answer.
    pub fn answered(&self) -> usize {
        self.lock().jobs.iter().flatten().count()
    }

    /// What came of the orders.
    pub fn accepted(&self) -> Accepted {
        std::mem::take(&mut *self.lock())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Accepted> {
        self.0
            .accepted
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// What came of one request.
enum Submitted {
    Job(Uuid),
    /// No answer, or none that settles anything: the same request again after a pause.
    Again(Duration),
    Wrong(String),
}

fn retry_after(answer: &reqwest::Response) -> Duration {
    let seconds = answer.headers().get(header::RETRY_AFTER);
    let seconds = seconds.and_then(|value| value.to_str().ok()?.parse().ok());
    Duration::from_secs(seconds.unwrap_or(1))
}
