//! Everybody who is told while everything goes wrong.
//!
//! Each tenant has two webhook endpoints and a receiver of the callbacks of its jobs ([`receiver`]), which fail, hang and
//! break off at times ([`troubles`]), two consumers of the event stream that are cut at random ([`stream`], [`frames`]),
//! one of the change list ([`change_list`]), and one that goes to and fro between the two. Everything that any of them is told is kept for the verdict ([`told`]).

mod change_list;
mod frames;
mod reader;
mod receiver;
mod stream;
pub mod told;
mod troubles;

use std::{future::Future, time::Duration};

use anyhow::{Context, ensure};
use rand::{SeedableRng, rngs::StdRng};
use reqwest::{Client, Method, redirect};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};
use url::Url;

pub use self::receiver::Clock;
use self::{
    reader::Reader,
    receiver::Receiver,
    told::{Called, Consumer, Notebook, Promise, Told},
};
use super::balancer::Addresses;
use crate::domain::{
    event::{EventId, PublicEventType},
    ids::TenantId,
};

/// A team whose jobs are submitted.
#[derive(Debug, Clone)]
pub struct Tenant {
    pub id: TenantId,
    pub name: &'static str,
    pub key: SecretString,
}

/// What an endpoint wants that does not want everything.
const ENDINGS: &[PublicEventType] = &[
    PublicEventType::Done,
    PublicEventType::Error,
    PublicEventType::Canceled,
];

/// How many streams each tenant has.
const STREAMS: usize = 2;

/// How long a replica may take to come up and to answer, before anything goes wrong.
const SETUP_TIMEOUT: Duration = Duration::from_mins(1);

const SETUP_PAUSE: Duration = Duration::from_millis(100);

/// What consumers need.
pub struct Setting<'a> {
    pub tenants: &'a [Tenant],
    pub addresses: &'a Addresses,
    pub clock: Clock,
    pub seed: u64,
    /// How long something goes wrong.
    pub over: Duration,
}

/// All consumers. Dropping them ends them.
pub struct Consumers {
    webhooks: Vec<(Consumer, Receiver)>,
    callbacks: Vec<(TenantId, Receiver)>,
    notebooks: Vec<Notebook>,
    readers: JoinSet<()>,
}

impl Consumers {
    /// Starts all, and has the webhook endpoints made.
    pub async fn start(setting: &Setting<'_>) -> anyhow::Result<Self> {
        let client = Client::builder()
            .no_proxy()
            .redirect(redirect::Policy::none())
            .connect_timeout(Duration::from_secs(2))
            .build()?;
        let mut this = Self {
            webhooks: Vec::new(),
            callbacks: Vec::new(),
            notebooks: Vec::new(),
            readers: JoinSet::new(),
        };
        let mut seeds = StdRng::seed_from_u64(setting.seed);
        let mut rng = || StdRng::from_rng(&mut seeds);
        for (number, tenant) in setting.tenants.iter().enumerate() {
            let desk = Desk {
                client: &client,
                addresses: setting.addresses,
                tenant,
            };
            for (which, types) in [None, (number > 0).then_some(ENDINGS)]
                .into_iter()
                .enumerate()
            {
                let receiver =
                    Receiver::start(setting.clock, troubles::plan(&mut rng(), setting.over))
                        .await?;
                receiver.set_secret(&desk.make_endpoint(receiver.url(), types).await?)?;
                let consumer = Consumer {
                    name: format!("webhook {} of {}", which + 1, tenant.name),
                    tenant_id: tenant.id,
                    promise: Promise::AtLeastOnce(types),
                };
                this.webhooks.push((consumer, receiver));
            }
            let receiver =
                Receiver::start(setting.clock, troubles::plan(&mut rng(), setting.over)).await?;
            receiver.set_secret(&desk.rotate_callback_secret().await?)?;
            this.callbacks.push((tenant.id, receiver));

            for which in 0..STREAMS {
                let name = format!("stream {} of {}", which + 1, tenant.name);
                this.read(&desk, name, rng(), stream::follow);
            }
            let name = format!("change list of {}", tenant.name);
            this.read(&desk, name, rng(), change_list::follow);
            let name = format!("mixed reader of {}", tenant.name);
            this.read(&desk, name, rng(), follow_both);
        }
        Ok(this)
    }

    fn read<F>(&mut self, desk: &Desk<'_>, name: String, rng: StdRng, follow: fn(Reader) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let notebook = Notebook::of(Consumer {
            name,
            tenant_id: desk.tenant.id,
            promise: Promise::Once,
        });
        self.notebooks.push(notebook.clone());
        self.readers.spawn(follow(Reader {
            client: desk.client.clone(),
            addresses: desk.addresses.clone(),
            key: desk.tenant.key.clone(),
            rng,
            notebook,
        }));
    }

    /// Where each tenant wants the callbacks of its jobs.
    pub fn callback_urls(&self) -> Vec<Url> {
        let receivers = self.callbacks.iter();
        receivers
            .map(|(_, receiver)| receiver.url().clone())
            .collect()
    }

    /// How many readers have not come to the last event of their tenant.
    pub fn behind(&self, last: &[(TenantId, EventId)]) -> usize {
        let is_behind = |notebook: &&Notebook| {
            let mut theirs = last.iter().filter(|(id, _)| *id == notebook.tenant_id());
            theirs.any(|(_, last)| notebook.last() < *last)
        };
        self.notebooks.iter().filter(is_behind).count()
    }

    /// Ends all. What they were told.
    pub async fn end(mut self) -> (Vec<Told>, Vec<Called>) {
        self.readers.shutdown().await;
        let webhooks = self.webhooks.into_iter().map(|(consumer, receiver)| {
            let (calls, wrong) = receiver.received();
            Told::by_webhooks(consumer, calls, wrong)
        });
        let read = self.notebooks.iter().map(Notebook::told);
        let called = self.callbacks.iter().map(|(tenant_id, receiver)| {
            let (calls, wrong) = receiver.received();
            Called {
                tenant_id: *tenant_id,
                calls,
                wrong,
            }
        });
        (webhooks.chain(read).collect(), called.collect())
    }
}

/// Reads the stream and the change list by turns, each from where the other one stopped.
async fn follow_both(mut reader: Reader) {
    loop {
        stream::follow_for_a_while(&mut reader).await;
        let last = reader.notebook.last().to_string();
        change_list::read_page(&mut reader, Some(&last)).await;
    }
}

/// A tenant that sets itself up.
struct Desk<'a> {
    client: &'a Client,
    addresses: &'a Addresses,
    tenant: &'a Tenant,
}

#[derive(Deserialize)]
struct WithSecret {
    secret: String,
}

impl Desk<'_> {
    /// Has a webhook endpoint made. What its webhooks are signed with.
    async fn make_endpoint(
        &self,
        url: &Url,
        types: Option<&[PublicEventType]>,
    ) -> anyhow::Result<String> {
        let types = types.map(|types| types.iter().map(|kind| kind.as_str()).collect::<Vec<_>>());
        let body = json!({ "url": url.as_str(), "event_types": types });
        self.post("/v1/webhook-endpoints", &body).await
    }

    /// What the callbacks of its jobs are signed with.
    async fn rotate_callback_secret(&self) -> anyhow::Result<String> {
        self.post("/v1/callback-secret/rotate", &json!({})).await
    }

    /// Asks for something once, since nothing goes wrong yet. The secret in the answer.
    async fn post(&self, path: &str, body: &Value) -> anyhow::Result<String> {
        let address = self.wait_for_replica().await?;
        let request = self
            .client
            .request(Method::POST, format!("http://{address}{path}"))
            .bearer_auth(self.tenant.key.expose_secret())
            .timeout(SETUP_TIMEOUT)
            .json(body);
        let answer = request
            .send()
            .await
            .with_context(|| format!("POST {path}"))?;
        let (status, text) = (answer.status(), answer.text().await?);
        ensure!(status.is_success(), "POST {path}: {status} {text}");
        let with = serde_json::from_str::<WithSecret>(&text)
            .with_context(|| format!("POST {path}: no secret"))?;
        Ok(with.secret)
    }

    async fn wait_for_replica(&self) -> anyhow::Result<std::net::SocketAddr> {
        let started = Instant::now();
        loop {
            let mut replicas = (0..self.addresses.count()).filter_map(|at| self.addresses.get(at));
            if let Some(address) = replicas.next() {
                return Ok(address);
            }
            ensure!(started.elapsed() < SETUP_TIMEOUT, "no replica is up");
            sleep(SETUP_PAUSE).await;
        }
    }
}
