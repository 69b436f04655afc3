//! An event becomes a delivery for everybody who wants it, in the transaction that gives it its number.

use std::collections::{BTreeSet, HashMap};

use serde_json::Value;
use sqlx::PgConnection;
use url::Url;
use uuid::Uuid;

use crate::{
    db::corrupt,
    domain::{
        delivery::Callback,
        event::{Event, PublicEventType, Subject},
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
    /// How many deliveries.
    pub count: usize,
    /// In which lanes.
    pub lanes: Vec<LaneId>,
}

/// Makes the deliveries of numbered events.
///
/// # Errors
/// Where the database does not answer.
pub async fn fan_out(
    conn: &mut PgConnection,
    ids: &Ids,
    events: &[Event],
) -> sqlx::Result<FannedOut> {
    if events.is_empty() {
        return Ok(FannedOut::default());
    }
    let mut new = to_endpoints(conn, events).await?;
    new.extend(to_callbacks(conn, ids, events).await?);
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
    let lanes: BTreeSet<Uuid> = lane_ids.into_iter().collect();
    Ok(FannedOut {
        count: new.len(),
        lanes: lanes.into_iter().map(LaneId).collect(),
    })
}

/// To the endpoints that want them. One that is disabled at this moment may still get one: the claim looks again.
async fn to_endpoints<'a>(
    conn: &mut PgConnection,
    events: &'a [Event],
) -> sqlx::Result<Vec<NewDelivery<'a>>> {
    let tenants: BTreeSet<Uuid> = events.iter().map(|event| event.tenant_id.0).collect();
    let tenants: Vec<Uuid> = tenants.into_iter().collect();
    let endpoints = sqlx::query!(
        "
        SELECT id, tenant_id, event_types FROM webhook_endpoints
        WHERE tenant_id = ANY ($1) AND status = 'enabled'
        ",
        &tenants,
    )
    .fetch_all(conn)
    .await?;
    let mut new = Vec::new();
    for event in events {
        for endpoint in &endpoints {
            let id = EndpointId(endpoint.id);
            let is_theirs = TenantId(endpoint.tenant_id) == event.tenant_id;
            if is_theirs && wants(id, endpoint.event_types.as_deref(), event) {
                new.push(NewDelivery {
                    event,
                    lane_id: id.0.into(),
                    endpoint_id: Some(id),
                });
            }
        }
    }
    Ok(new)
}

/// Whether an endpoint is to get an event: a test goes to the one that is tested, and there always.
fn wants(id: EndpointId, types: Option<&[String]>, event: &Event) -> bool {
    if event.kind == PublicEventType::EndpointTest {
        return event.subject == Subject::Endpoint(id);
    }
    types.is_none_or(|types| types.iter().any(|name| name == event.kind.as_str()))
}

/// To the callers who asked to be called when their job ends.
async fn to_callbacks<'a>(
    conn: &mut PgConnection,
    ids: &Ids,
    events: &'a [Event],
) -> sqlx::Result<Vec<NewDelivery<'a>>> {
    let ended: Vec<(&Event, JobId)> = events
        .iter()
        .filter(|event| matches!(event.kind, PublicEventType::Done | PublicEventType::Error))
        .filter_map(|event| Some((event, event.job_id()?)))
        .collect();
    if ended.is_empty() {
        return Ok(Vec::new());
    }
    let job_ids: Vec<Uuid> = ended.iter().map(|(_, id)| id.0).collect();
    let rows = sqlx::query!(
        r#"SELECT id, callback AS "callback!" FROM jobs WHERE id = ANY ($1) AND callback IS NOT NULL"#,
        &job_ids,
    )
    .fetch_all(&mut *conn)
    .await?;
    let mut origins: HashMap<JobId, String> = HashMap::new();
    for row in rows {
        let id: JobId = row.id.into();
        // One that cannot be understood must not keep everybody from being told of everything else.
        match origin_of(row.callback) {
            Ok(origin) => {
                origins.insert(id, origin);
            }
            Err(error) => {
                tracing::error!(%error, job.id = %id, "The callback of job {id} cannot be understood; nobody is called");
            }
        }
    }
    if origins.is_empty() {
        return Ok(Vec::new());
    }
    let wanted: BTreeSet<(TenantId, &String)> = ended
        .iter()
        .filter_map(|(event, id)| Some((event.tenant_id, origins.get(id)?)))
        .collect();
    let lanes = lanes_of(conn, ids, &wanted).await?;
    Ok(ended
        .into_iter()
        .filter_map(|(event, id)| {
            let origin = origins.get(&id)?.clone();
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
fn origin_of(callback: Value) -> sqlx::Result<String> {
    let callback: Callback = serde_json::from_value(callback).map_err(corrupt)?;
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
