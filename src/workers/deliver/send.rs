//! One delivery, from its claim to its outcome.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use url::Url;

use super::{
    Deliverer, body,
    claim::Claimed,
    outcome::{cannot_send, ended, interrupted, judge, not_tried, outcome},
    pace::{LaneTurns, NoTurn},
    places::Place,
    report::{Reported, begin_span, count, describe, report},
    results::{NoResult, Taken, Unpacked},
};
use crate::{
    crash_points::CrashPoint,
    db::{
        deliveries::{Attempt, ClaimedDelivery, Content, Contents, Next, Outcome, ResultAt, To},
        pool::in_time,
        signing_secrets,
    },
    domain::{
        delivery::{CallbackMethod, DeadReason},
        delivery_schedule::LEASE,
        event::EventId,
        ids::{EndpointId, LaneId, TenantId},
        signing_secret::StoredSecret,
    },
    feed::{self, Way},
    notify::{
        client::TIMEOUT,
        message::{Message, Sent, SigningSecret},
    },
    trace::Span,
};

/// A send must begin so early that it ends before the lease, with time to record it.
const BEGINS_WITHIN: Duration = LEASE
    .saturating_sub(TIMEOUT)
    .saturating_sub(Duration::from_secs(10));

/// A send that takes longer makes room for others.
const SLOW_AFTER: Duration = Duration::from_secs(1);

/// How long a delivery rests that cannot be put together now, for a reason of our own.
const REST: Duration = Duration::from_secs(10);

/// The same for one that only a newer version understands.
const UNKNOWN_REST: Duration = Duration::from_mins(1);

/// What a delivery led to.
enum Tried {
    /// A request.
    Sent(Sent),
    /// A request, perhaps, which this process did not see the end of.
    Interrupted,
    /// Nothing: what it would tell is erased.
    Erased,
    /// Nothing, for a reason that may stay.
    CannotSend(&'static str),
    /// Nothing, for now.
    NotSent,
}

/// Something to send.
struct Composed {
    message: Message,
    /// What its result takes.
    _room: Option<Taken>,
}

impl Deliverer {
    /// Sends a delivery once it is its turn, and says what came of it.
    pub(super) async fn deliver_in_turn(
        &self,
        delivery: ClaimedDelivery,
        claimed: Claimed,
        turns: Option<LaneTurns>,
        place: &mut Place,
        give_up: &CancellationToken,
    ) -> Outcome {
        let turn = async {
            match turns {
                Some(turns) => turns.take().await.map(Some),
                None => Ok(None),
            }
        };
        let turn = tokio::select! {
            // Nothing is begun any more.
            biased;
            () = give_up.cancelled() => Err(NoTurn),
            turn = turn => turn,
        };
        let Ok(_turn) = turn else {
            return not_tried(&delivery, Duration::ZERO);
        };
        self.deliver(delivery, claimed, place, give_up).await
    }

    /// Sends a delivery, and says what came of it.
    async fn deliver(
        &self,
        delivery: ClaimedDelivery,
        claimed: Claimed,
        place: &mut Place,
        give_up: &CancellationToken,
    ) -> Outcome {
        let contents = match &delivery.content {
            Content::Message(contents) => contents,
            Content::Gone(reason) => return ended(&delivery, *reason),
            Content::Unknown => {
                return not_tried(&delivery, UNKNOWN_REST);
            }
        };
        let started = Instant::now();
        let mut span = begin_span(&delivery, contents);
        let trying = self.send(&delivery, contents, claimed, &span);
        let tried = tokio::select! {
            tried = self.aside_if_slow(delivery.lane_id, place, trying) => tried,
            () = give_up.cancelled() => Tried::Interrupted,
        };
        CrashPoint::DeliverSent.reach();
        let started_at = delivery.claimed_at + (started - claimed.after);
        let sent = match tried {
            Tried::Sent(sent) => sent,
            Tried::Interrupted => {
                count(&delivery, Reported::Interrupted);
                let attempt = interrupted(started_at, started.elapsed());
                let after = Duration::ZERO;
                // No fault of the receiver's, which may not have had it.
                return outcome(&delivery, Some(attempt), None, Next::GiveBack { after });
            }
            Tried::Erased => return ended(&delivery, DeadReason::TranscriptionDeleted),
            Tried::CannotSend(why) => {
                tracing::error!(delivery.id = %delivery.id, tries = delivery.tries, "Could not put delivery {} together: {why}", delivery.id);
                cannot_send(started.elapsed())
            }
            Tried::NotSent => {
                return not_tried(&delivery, REST);
            }
        };
        let (next, sign) = judge(&delivery, &sent);
        let taken_within = sent.error.is_none().then_some(sent.duration);
        self.0.pace.note(delivery.lane_id, taken_within);
        describe(&mut span, &sent);
        report(&delivery, &sent, next);
        if next == Next::Delivered && delivery.is_first_try {
            let told_at = delivery.claimed_at + claimed.after.elapsed();
            feed::observe(Way::Webhook, contents.event.known_since(), told_at);
        }
        let attempt = Attempt {
            started_at,
            duration: sent.duration,
            http_status: sent.http_status,
            error: sent.error.as_ref().map(|error| error.code.as_str()),
            error_detail: sent.error.map(|error| error.detail),
            response_start: sent.response_start,
        };
        outcome(&delivery, Some(attempt), sign, next)
    }

    /// Lets what takes long give its place to others.
    async fn aside_if_slow(
        &self,
        lane_id: LaneId,
        place: &mut Place,
        send: impl Future<Output = Tried>,
    ) -> Tried {
        let mut send = std::pin::pin!(send);
        tokio::select! {
            tried = &mut send => return tried,
            () = tokio::time::sleep(SLOW_AFTER) => {}
        }
        self.0.pace.note_slow(lane_id);
        if self.0.places.move_aside(place) {
            self.0.parts.wakeups.deliveries_due();
        }
        send.await
    }

    async fn send(
        &self,
        delivery: &ClaimedDelivery,
        contents: &Contents,
        claimed: Claimed,
        span: &Span,
    ) -> Tried {
        let deadline = claimed.before + BEGINS_WITHIN;
        // What is at hand at once is not asked for the time below.
        if Instant::now() >= deadline {
            return Tried::NotSent;
        }
        let composed = match tokio::time::timeout_at(
            deadline,
            self.compose(delivery, contents, span),
        )
        .await
        {
            Ok(Ok(composed)) => composed,
            Ok(Err(NoResult::Erased)) => return Tried::Erased,
            Ok(Err(NoResult::Unreadable(why))) => return Tried::CannotSend(why),
            Ok(Err(error)) => {
                tracing::warn!(%error, delivery.id = %delivery.id, "Could not put delivery {} together; trying again", delivery.id);
                return Tried::NotSent;
            }
            // Others had all the room.
            Err(_) => return Tried::NotSent,
        };
        let now = delivery.claimed_at + claimed.after.elapsed();
        match self.0.parts.notifier.send(&composed.message, now).await {
            Ok(sent) => Tried::Sent(sent),
            Err(error) => {
                tracing::warn!(%error, delivery.id = %delivery.id, tenant.id = %delivery.tenant_id, "Could not send delivery {} now; trying again", delivery.id);
                Tried::NotSent
            }
        }
    }

    async fn compose(
        &self,
        delivery: &ClaimedDelivery,
        contents: &Contents,
        span: &Span,
    ) -> Result<Composed, NoResult> {
        let secrets = self.open_secrets(delivery, &contents.secrets).await?;
        let (id, (url, method)) = (message_id(contents), address(&contents.to));
        let (body, room) = self.write(contents, delivery.is_unproven).await?;
        let url: Url = url
            .parse()
            .map_err(|_| NoResult::Unreadable("its address is none"))?;
        let message = Message {
            tenant_id: delivery.tenant_id,
            id,
            url,
            method,
            body,
            secrets,
            traceparent: span
                .context()
                .map(|context| context.traceparent.to_string()),
        };
        Ok(Composed {
            message,
            _room: room,
        })
    }

    async fn write(
        &self,
        contents: &Contents,
        is_unproven: bool,
    ) -> Result<(Bytes, Option<Taken>), NoResult> {
        match &contents.to {
            To::Endpoint { result, .. } => {
                let thin = feed::write(&contents.event, &self.0.parts.links).body;
                let Some(at) = result else {
                    return Ok((thin, None));
                };
                match self.read(contents.event.tenant_id, *at, is_unproven).await {
                    Ok(Unpacked { result, room }) => {
                        Ok((body::with_result(&thin, &result), Some(room)))
                    }
                    Err(NoResult::Erased) => Ok((thin, None)),
                    Err(error) => Err(error),
                }
            }
            To::Done {
                job_id,
                result,
                custom_metadata,
                ..
            } => {
                let Unpacked { result, room } = self
                    .read(contents.event.tenant_id, *result, is_unproven)
                    .await?;
                let body = body::success(*job_id, &result, custom_metadata.as_deref());
                Ok((body, Some(room)))
            }
            To::Failed {
                job_id,
                failure,
                custom_metadata,
                ..
            } => Ok((
                body::error(*job_id, failure, custom_metadata.as_deref()),
                None,
            )),
        }
    }

    async fn read(
        &self,
        tenant_id: TenantId,
        at: ResultAt,
        is_unproven: bool,
    ) -> Result<Unpacked, NoResult> {
        let (results, pool) = (&self.0.results, &self.0.parts.pool);
        results.read(pool, tenant_id, at, is_unproven).await
    }

    /// What signs the message. A tenant gets its secret with its first callback, so that every callback is signed.
    async fn open_secrets(
        &self,
        delivery: &ClaimedDelivery,
        stored: &[StoredSecret],
    ) -> Result<Vec<SigningSecret>, NoResult> {
        if !stored.is_empty() {
            return self.open(stored);
        }
        let (tenant_id, endpoint_id) = (delivery.tenant_id, delivery.endpoint_id);
        let stored = in_time(self.make_secret(tenant_id, endpoint_id)).await?;
        self.open(&stored)
    }

    async fn make_secret(
        &self,
        tenant_id: TenantId,
        endpoint_id: Option<EndpointId>,
    ) -> Result<Vec<StoredSecret>, NoResult> {
        let secret = SigningSecret::from_random(rand::random());
        let parts = &self.0.parts;
        let sealed = parts
            .sealer
            .seal(parts.ids.next(), tenant_id, endpoint_id, &secret)
            .map_err(|_| NoResult::Unreadable("no secret can be sealed"))?;
        let mut conn = parts.pool.acquire().await?;
        // Whoever was first, it is theirs that signs.
        signing_secrets::insert_first(&mut conn, &sealed).await?;
        Ok(signing_secrets::list_usable(&mut conn, tenant_id, endpoint_id).await?)
    }

    fn open(&self, stored: &[StoredSecret]) -> Result<Vec<SigningSecret>, NoResult> {
        stored
            .iter()
            .map(|secret| self.0.parts.sealer.open(secret))
            .collect::<Result<_, _>>()
            .map_err(|error| {
                tracing::error!(%error, "A signing secret cannot be opened");
                NoResult::Unreadable("its secret stays closed")
            })
    }
}

/// `webhook-id`. An event and the callback of the same job are two messages, also to a receiver that gets both.
fn message_id(contents: &Contents) -> String {
    match &contents.to {
        To::Endpoint { .. } => contents.event.id.to_string(),
        To::Done { .. } | To::Failed { .. } => {
            let EventId(number) = contents.event.id;
            format!("cb_{number}")
        }
    }
}

fn address(to: &To) -> (&str, CallbackMethod) {
    match to {
        To::Endpoint { url, .. } => (url, CallbackMethod::Post),
        To::Done { callback, .. } | To::Failed { callback, .. } => (&callback.url, callback.method),
    }
}
