//! What a try comes to.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::report::{Reported, count};
use crate::{
    db::deliveries::{Attempt, ClaimedDelivery, Next, Outcome},
    domain::{
        delivery::DeadReason,
        delivery_schedule::{Sign, next_try_in},
    },
    notify::message::{SendError, SendErrorCode, Sent},
};

/// What a try means for its delivery, and for its receiver.
pub(super) fn judge(delivery: &ClaimedDelivery, sent: &Sent) -> (Next, Option<Sign>) {
    if sent.error.is_none() {
        return (Next::Delivered, Some(Sign::Works));
    }
    if sent.http_status == Some(410) {
        // Of a callback it says that this one URL is gone, and nothing of the host.
        let sign = delivery.endpoint_id.map(|_| Sign::Fails { rest: None });
        return (Next::Dead(DeadReason::EndpointGone), sign);
    }
    let is_ours = |error: &SendError| error.code == SendErrorCode::Internal;
    let rest = sent
        .retry_after
        .filter(|_| matches!(sent.http_status, Some(429 | 503)));
    let next = match next_try_in(delivery.tries, sent.retry_after, rand::random()) {
        Some(after) => Next::TryAgain { after },
        None => Next::Dead(DeadReason::Exhausted),
    };
    let sign = (!sent.error.as_ref().is_some_and(is_ours)).then_some(Sign::Fails { rest });
    (next, sign)
}

/// Makes the outcome of a claimed delivery.
pub(super) fn outcome(
    delivery: &ClaimedDelivery,
    attempt: Option<Attempt>,
    sign: Option<Sign>,
    next: Next,
) -> Outcome {
    Outcome {
        delivery_id: delivery.id,
        lane_id: delivery.lane_id,
        endpoint: delivery.endpoint(),
        lease_until: delivery.lease_until,
        attempt,
        sign,
        next,
    }
}

/// A delivery that nobody was asked to take, and that is due again after a while.
pub(super) fn not_tried(delivery: &ClaimedDelivery, after: Duration) -> Outcome {
    outcome(delivery, None, None, Next::GiveBack { after })
}

/// A delivery that there is nothing to send of any more.
pub(super) fn ended(delivery: &ClaimedDelivery, reason: DeadReason) -> Outcome {
    tracing::info!(delivery.id = %delivery.id, reason = reason.as_str(), "Gave up delivery {}: {}", delivery.id, reason.as_str());
    count(delivery, Reported::Dead);
    outcome(delivery, None, None, Next::Dead(reason))
}

/// Counts as a try, so that it is seen and comes to an end, though not as one of its receiver's failures.
pub(super) fn cannot_send(duration: Duration) -> Sent {
    Sent {
        duration,
        http_status: None,
        retry_after: None,
        response_start: None,
        error: Some(SendError {
            code: SendErrorCode::Internal,
            detail: "was not called: the gateway could not put the request together, and its operator's log says why"
                .to_owned(),
        }),
    }
}

/// The end of a try that this process did not see.
pub(super) fn interrupted(started_at: DateTime<Utc>, duration: Duration) -> Attempt {
    Attempt {
        started_at,
        duration,
        http_status: None,
        error: Some(SendErrorCode::Interrupted.as_str()),
        error_detail: Some("the gateway was stopped while it sent the request".to_owned()),
        response_start: None,
    }
}
