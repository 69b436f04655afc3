//! Sends messages.
//!
//! The client never looks a name up by itself: [`Notifier::send`] does, at each try, has the addresses judged and hands
//! them to the client for this one request, so that what was judged is what is dialled. A connection that is used again
//! leads to an address that was judged before.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use chrono::{DateTime, Utc};
use ipnet::IpNet;
use reqwest::{
    Client, Method, Response,
    dns::{Addrs, Name, Resolve, Resolving},
    header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue},
    redirect::Policy,
};
use tokio::time::{Instant, timeout_at};
use url::{Host, Url};

use super::{
    answer, failure,
    guard::{Guard, Refusal},
    lookup::{Lookup, LookupError},
    message::{Message, NotTried, SendError, Sent},
    signature,
};
use crate::{
    domain::{delivery::CallbackMethod, ids::TenantId},
    tls,
};

/// How long a try may take, from looking up the receiver's name to the head of its answer.
pub const TIMEOUT: Duration = Duration::from_secs(15);

/// How long a connection may take to open. A host with two addresses gets half of it for each.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long the rest of an answer is waited for, once its status is known.
const READ_TIMEOUT: Duration = Duration::from_secs(2);

/// How long a connection waits for the next message. Common servers keep theirs for two seconds and more; a message that
/// meets a connection while it is being closed fails.
const IDLE_TIMEOUT: Duration = Duration::from_secs(1);

/// How many connections to one host wait.
const MOST_IDLE: usize = 8;

const WEBHOOK_ID: HeaderName = HeaderName::from_static("webhook-id");
const WEBHOOK_TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");
const WEBHOOK_SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

tokio::task_local! {
    /// The addresses that were judged for the request under way.
    static JUDGED: Vec<SocketAddr>;
}

/// Whom a notifier may call, and how long that may take.
#[derive(Debug, Clone)]
pub struct NotifierSettings {
    /// Networks that may be called although they are not public.
    pub allowed_networks: Vec<IpNet>,
    /// The ports that may be called elsewhere.
    pub allowed_ports: Vec<u16>,
    /// How long a try may take, from looking up the receiver's name to the head of its answer.
    pub timeout: Duration,
}

/// Sends messages to receivers. Clones share their connections.
#[derive(Debug, Clone)]
pub struct Notifier {
    http: Client,
    guard: Guard,
    lookup: Arc<dyn Lookup>,
    timeout: Duration,
}

impl Notifier {
    /// Makes one.
    ///
    /// # Errors
    /// Where TLS cannot be set up.
    pub fn new(settings: &NotifierSettings, lookup: Arc<dyn Lookup>) -> reqwest::Result<Self> {
        let http = tls::client()
            .user_agent(tls::USER_AGENT)
            .dns_resolver(OnlyJudged)
            .no_proxy()
            .redirect(Policy::none())
            .retry(reqwest::retry::never())
            .connect_timeout(CONNECT_TIMEOUT)
            .pool_idle_timeout(IDLE_TIMEOUT)
            .pool_max_idle_per_host(MOST_IDLE)
            .build()?;
        Ok(Self {
            http,
            guard: Guard::new(&settings.allowed_networks, &settings.allowed_ports),
            lookup,
            timeout: settings.timeout,
        })
    }

    /// What judges addresses.
    #[must_use]
    pub fn guard(&self) -> &Guard {
        &self.guard
    }

    /// Sends a message once. `now` is when, for the signature and for pauses that end at a date.
    ///
    /// # Errors
    /// Where it was not tried.
    pub async fn send(&self, message: &Message, now: DateTime<Utc>) -> Result<Sent, NotTried> {
        let started = Instant::now();
        let deadline = started + self.timeout;
        let answered = timeout_at(deadline, self.exchange(message, now)).await;
        let duration = started.elapsed();
        let answer = match answered {
            Ok(Ok(answer)) => answer,
            Ok(Err(Unanswered::NotTried)) => return Err(NotTried),
            Ok(Err(Unanswered::Failed(error))) => return Ok(Sent::unanswered(duration, error)),
            Err(_) => return Ok(Sent::unanswered(duration, failure::timed_out(self.timeout))),
        };
        let status = answer.status();
        let retry_after = answer::retry_after(answer.headers(), now);
        let patience = deadline.min(Instant::now() + READ_TIMEOUT);
        let mut start = Vec::new();
        // The status is what counts, so it does not matter how this ends.
        let _ = timeout_at(patience, answer::read_start(answer, &mut start)).await;
        Ok(Sent {
            duration,
            http_status: Some(status.as_u16()),
            retry_after,
            response_start: answer::to_text(&start),
            error: failure::of_status(status),
        })
    }

    /// Sends it to where it may go, and waits for the head of the answer.
    async fn exchange(
        &self,
        message: &Message,
        now: DateTime<Utc>,
    ) -> Result<Response, Unanswered> {
        let addresses = self
            .judged_addresses(&message.url, message.tenant_id)
            .await?;
        let method = match message.method {
            CallbackMethod::Post => Method::POST,
            CallbackMethod::Put => Method::PUT,
        };
        let request = self
            .http
            .request(method, message.url.clone())
            .headers(headers(message, now.timestamp()))
            .body(message.body.clone());
        let answer = JUDGED.scope(addresses, request.send()).await;
        answer.map_err(|error| failure::of_exchange(error).into())
    }

    /// The addresses that the host's name has now, all of which may be called. None for a literal address, which is
    /// dialled as it is.
    async fn judged_addresses(
        &self,
        url: &Url,
        tenant_id: TenantId,
    ) -> Result<Vec<SocketAddr>, Unanswered> {
        self.guard.judge_url(url).map_err(SendError::from)?;
        let (Some(Host::Domain(name)), Some(port)) = (url.host(), url.port_or_known_default())
        else {
            return Ok(Vec::new());
        };
        let addresses: Vec<IpAddr> = match self.lookup.look_up(name, tenant_id).await {
            Ok(addresses) if !addresses.is_empty() => addresses,
            Ok(_) => return Err(failure::no_address().into()),
            Err(LookupError::Busy) => return Err(Unanswered::NotTried),
            Err(LookupError::Failed(error)) => {
                tracing::info!(%error, "The name of a receiver could not be looked up");
                return Err(failure::no_address().into());
            }
        };
        match self.guard.judge(&addresses, port) {
            Ok(()) => {}
            // Told apart, the two would tell callers which names there are inside.
            Err(Refusal::Address) => {
                tracing::info!("The name of a receiver leads into a network that is not called");
                return Err(failure::no_address().into());
            }
            Err(refusal) => return Err(SendError::from(refusal).into()),
        }
        let dialled = addresses.iter().map(|address| (*address, port).into());
        Ok(dialled.collect())
    }
}

/// Why there is no answer.
enum Unanswered {
    NotTried,
    Failed(SendError),
}

impl From<SendError> for Unanswered {
    fn from(error: SendError) -> Self {
        Self::Failed(error)
    }
}

/// Hands out the addresses that were judged for the request under way, and none otherwise.
struct OnlyJudged;

impl Resolve for OnlyJudged {
    fn resolve(&self, _name: Name) -> Resolving {
        let judged = JUDGED.try_with(Clone::clone);
        Box::pin(async move { Ok(Box::new(judged?.into_iter()) as Addrs) })
    }
}

fn headers(message: &Message, timestamp: i64) -> HeaderMap {
    let signature = signature::sign(&message.id, timestamp, &message.body, &message.secrets);
    let values = [
        (WEBHOOK_ID, Some(message.id.clone())),
        (WEBHOOK_TIMESTAMP, Some(timestamp.to_string())),
        (
            WEBHOOK_SIGNATURE,
            (!signature.is_empty()).then_some(signature),
        ),
        (TRACEPARENT, message.traceparent.clone()),
    ];
    let mut headers =
        HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("application/json"))]);
    headers.extend(values.into_iter().filter_map(|(name, value)| {
        // Ours can all stand in headers; a caller's trace that cannot is left out.
        Some((name, HeaderValue::try_from(value?).ok()?))
    }));
    headers
}
