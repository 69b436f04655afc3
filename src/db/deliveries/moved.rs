//! Endpoints that were moved to another URL while something was sent to the one before.
//!
//! What the old address answers then says nothing of the new one, which whoever moved it wants everything to go to.

use std::{
    borrow::Cow,
    collections::{HashMap, HashSet},
    time::Duration,
};

use sqlx::PgConnection;
use uuid::Uuid;

use super::{Next, Outcome};
use crate::domain::{
    delivery::DeadReason,
    delivery_schedule::Sign,
    ids::{DeliveryId, EndpointId},
};

/// Deliveries that failed at an address which their endpoint has no more.
#[derive(Debug, Default)]
pub(super) struct Moved(HashSet<DeliveryId>);

/// Finds them, in a statement that is made only where an endpoint fails. The caller holds the lanes, as does whoever moves an
/// endpoint: none of them moves any more until this is written down.
pub(super) async fn find(conn: &mut PgConnection, outcomes: &[Outcome]) -> sqlx::Result<Moved> {
    let failed = outcomes.iter().filter_map(|outcome| {
        let (id, url) = outcome.endpoint.as_ref()?;
        matches!(outcome.sign, Some(Sign::Fails { .. })).then_some((outcome.delivery_id, *id, url))
    });
    let endpoint_ids: HashSet<Uuid> = failed.clone().map(|(_, id, _)| id.0).collect();
    if endpoint_ids.is_empty() {
        return Ok(Moved::default());
    }
    let endpoint_ids: Vec<Uuid> = endpoint_ids.into_iter().collect();
    let rows = sqlx::query!(
        "SELECT id, url FROM webhook_endpoints WHERE id = ANY ($1)",
        &endpoint_ids,
    )
    .fetch_all(conn)
    .await?;
    let urls: HashMap<EndpointId, String> = rows
        .into_iter()
        .map(|row| (row.id.into(), row.url))
        .collect();
    let moved = failed.filter(|(_, id, called)| urls.get(id).is_some_and(|url| url != *called));
    Ok(Moved(moved.map(|(delivery_id, ..)| delivery_id).collect()))
}

impl Moved {
    /// What came of one, where that says anything: else it is due again at once.
    pub(super) fn judge_anew<'a>(&self, outcome: &'a Outcome) -> Cow<'a, Outcome> {
        if !self.0.contains(&outcome.delivery_id) {
            return Cow::Borrowed(outcome);
        }
        let next = match outcome.next {
            Next::TryAgain { .. }
            | Next::Dead(DeadReason::EndpointGone | DeadReason::Exhausted) => Next::TryAgain {
                after: Duration::ZERO,
            },
            next => next,
        };
        Cow::Owned(Outcome {
            sign: None,
            next,
            ..outcome.clone()
        })
    }
}
