//! An event becomes a delivery for everybody who wants it, in the transaction that gives it its number.

use std::collections::{BTreeSet, HashMap, HashSet};

use sqlx::PgConnection;
use url::Url;
use uuid::Uuid;

use crate::{
    db::{corrupt, events::Numbered},
    domain::{
        delivery::Callback,
        event::Event,
        ids::{DeliveryId, EndpointId, Ids, JobId, LaneId, TenantId},
    },
};

/// A delivery that is to be.
struct NewDelivery<'a> {
    event: &'a Event,
    lane_id: LaneId,
    endpoint_id: Option<EndpointId>,
}

/// What was made.
#[derive(Debug, Default)]
pub struct FannedOut {
    /// The deliveries, each with its lane.
    pub deliveries: Vec<(DeliveryId, LaneId)>,
}

impl FannedOut {
    /// In which lanes they are, each once.
    #[must_use]
    pub fn lanes(&self) -> Vec<LaneId> {
        let lanes: BTreeSet<LaneId> = self
            .deliveries
            .iter()
            .map(|(_, lane_id)| *lane_id)
            .collect();
        lanes.into_iter().collect()
    }

    /// In which lanes those of them are that are not among these.
    #[must_use]
    pub fn lanes_without(&self, leased: &HashSet<DeliveryId>) -> Vec<LaneId> {
        let left = self
            .deliveries
            .iter()
            .filter(|(id, _)| !leased.contains(id));
        left.map(|(_, lane_id)| *lane_id).collect()
    }
}

/// Makes the deliveries of numbered events.
///
/// # Errors
/// Where the database does not answer.
pub async fn fan_out(
    conn: &mut PgConnection,
    ids: &Ids,
    numbered: &Numbered,
) -> sqlx::Result<FannedOut> {
    let told = || numbered.events.iter().zip(&numbered.audiences);
    let to_endpoints = told().flat_map(|(event, audience)| {
        let endpoint_ids = audience.endpoint_ids.iter();
        endpoint_ids.map(move |id| NewDelivery {
            event,
            lane_id: id.0.into(),
            endpoint_id: Some(*id),
        })
    });
    let mut new: Vec<NewDelivery<'_>> = to_endpoints.collect();
    let callbacks = told().filter_map(|(event, audience)| {
        let callback = audience.callback.as_deref()?;
        Some((event, event.job_id()?, callback))
    });
    new.extend(to_callbacks(conn, ids, callbacks).await?);
    if new.is_empty() {
        return Ok(FannedOut::default());
    }
    let delivery_ids: Vec<Uuid> = new.iter().map(|_| ids.next::<DeliveryId>().0).collect();
    let tenant_ids: Vec<Uuid> = new.iter().map(|one| one.event.tenant_id.0).collect();
    let lane_ids: Vec<Uuid> = new.iter().map(|one| one.lane_id.0).collect();
    let endpoint_ids: Vec<Option<Uuid>> = new
        .iter()
        .map(|one| one.endpoint_id.map(|id| id.0))
        .collect();
    let numbers: Vec<i64> = new.iter().map(|one| one.event.id.0).collect();
    let types: Vec<&str> = new.iter().map(|one| one.event.kind.as_str()).collect();
    let job_ids: Vec<Option<Uuid>> = new
        .iter()
        .map(|one| one.event.job_id().map(|id| id.0))
        .collect();
    sqlx::query!(
        "
        INSERT INTO deliveries (id, tenant_id, lane_id, endpoint_id, event_number, event_type, job_id, status)
        SELECT id, tenant_id, lane_id, endpoint_id, event_number, event_type, job_id, 'pending'
        FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::bigint[], $6::text[], $7::uuid[])
             AS d (id, tenant_id, lane_id, endpoint_id, event_number, event_type, job_id)
        ",
        &delivery_ids,
        &tenant_ids,
        &lane_ids,
        &endpoint_ids as &[Option<Uuid>],
        &numbers,
        &types as &[&str],
        &job_ids as &[Option<Uuid>],
    )
    .execute(conn)
    .await?;
    let deliveries = delivery_ids.into_iter().zip(lane_ids);
    Ok(FannedOut {
        deliveries: deliveries
            .map(|(id, lane_id)| (id.into(), lane_id.into()))
            .collect(),
    })
}

/// To the callers who asked to be called when their job ends.
async fn to_callbacks<'a>(
    conn: &mut PgConnection,
    ids: &Ids,
    callbacks: impl Iterator<Item = (&'a Event, JobId, &'a str)>,
) -> sqlx::Result<Vec<NewDelivery<'a>>> {
    let mut called: Vec<(&Event, String)> = Vec::new();
    for (event, id, callback) in callbacks {
        // One that cannot be understood must not keep everybody from being told of everything else.
        match origin_of(callback) {
            Ok(origin) => called.push((event, origin)),
            Err(error) => {
                tracing::error!(%error, job.id = %id, "The callback of job {id} cannot be understood; nobody is called");
            }
        }
    }
    if called.is_empty() {
        return Ok(Vec::new());
    }
    let wanted: BTreeSet<(TenantId, &String)> = called
        .iter()
        .map(|(event, origin)| (event.tenant_id, origin))
        .collect();
    let lanes = lanes_of(conn, ids, &wanted).await?;
    Ok(called
        .into_iter()
        .filter_map(|(event, origin)| {
            Some(NewDelivery {
                event,
                lane_id: *lanes.get(&(event.tenant_id, origin))?,
                endpoint_id: None,
            })
        })
        .collect())
}

/// The longest origin that an index can hold, with a good margin.
const MOST_ORIGIN_BYTES: usize = 512;

/// Scheme, host and port.
pub(in crate::db) fn origin_of(callback: &str) -> sqlx::Result<String> {
    let callback = serde_json::from_str::<Callback>(callback).map_err(corrupt)?;
    let url: Url = callback.url.parse().map_err(corrupt)?;
    let origin = url.origin().ascii_serialization();
    if origin.len() > MOST_ORIGIN_BYTES {
        return Err(corrupt(std::io::Error::other("its host is too long")));
    }
    Ok(origin)
}

/// The lanes of origins, made where they are not there yet.
async fn lanes_of(
    conn: &mut PgConnection,
    ids: &Ids,
    wanted: &BTreeSet<(TenantId, &String)>,
) -> sqlx::Result<HashMap<(TenantId, String), LaneId>> {
    loop {
        let lanes = insert_lanes(conn, ids, wanted).await?;
        // One that had been idle may be forgotten in between.
        if lanes.len() == wanted.len() {
            return Ok(lanes);
        }
    }
}

async fn insert_lanes(
    conn: &mut PgConnection,
    ids: &Ids,
    wanted: &BTreeSet<(TenantId, &String)>,
) -> sqlx::Result<HashMap<(TenantId, String), LaneId>> {
    let lane_ids: Vec<Uuid> = wanted.iter().map(|_| ids.next::<LaneId>().0).collect();
    let tenant_ids: Vec<Uuid> = wanted.iter().map(|(tenant_id, _)| tenant_id.0).collect();
    let origins: Vec<String> = wanted.iter().map(|(_, origin)| (*origin).clone()).collect();
    sqlx::query!(
        "
        INSERT INTO delivery_lanes (id, tenant_id, origin)
        SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::text[])
        ON CONFLICT (tenant_id, origin) DO NOTHING
        ",
        &lane_ids,
        &tenant_ids,
        &origins,
    )
    .execute(&mut *conn)
    .await?;
    let rows = sqlx::query!(
        r#"
        SELECT l.id, l.tenant_id, l.origin AS "origin!"
        FROM delivery_lanes l
        JOIN unnest($1::uuid[], $2::text[]) AS w (tenant_id, origin)
          ON w.tenant_id = l.tenant_id AND w.origin = l.origin
        -- Until the commit nobody forgets them.
        FOR KEY SHARE OF l
        "#,
        &tenant_ids,
        &origins,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| ((row.tenant_id.into(), row.origin), row.id.into()))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lane_is_looked_at_again_where_its_new_delivery_was_not_leased_but_an_older_one() {
        let id = |n| DeliveryId(Uuid::from_u128(n));
        let lane = |n| LaneId(Uuid::from_u128(n));
        let made = FannedOut {
            deliveries: vec![(id(1), lane(1)), (id(2), lane(2))],
        };
        assert_eq!(made.lanes(), [lane(1), lane(2)]);
        let older = id(7);
        let leased = HashSet::from([id(1), older]);
        assert_eq!(made.lanes_without(&leased), [lane(2)]);
        assert_eq!(made.lanes_without(&HashSet::from([id(1), id(2)])), []);
    }
}
