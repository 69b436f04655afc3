//! Endpoints that are sent nothing any more, and those that are sent to again.

use sqlx::{Connection, PgConnection};

use crate::{
    db::{deliveries, events},
    domain::{
        delivery_schedule::LaneHealth,
        event::EventType,
        ids::{EndpointId, TenantId},
        webhook_endpoint::DisabledReason,
    },
};

/// Disables an endpoint, where it is still at this address if one is given: its pending deliveries end, and an event tells of
/// it. `false` where it is disabled already, gone, or elsewhere since, or does not fail any more where that is the reason.
///
/// [`deliveries::end_pending`] may have left some: go on with it after the commit, or leave them to the claim.
///
/// # Errors
/// Where the database does not answer.
pub async fn disable(
    conn: &mut PgConnection,
    id: EndpointId,
    url: Option<&str>,
    reason: DisabledReason,
) -> sqlx::Result<bool> {
    let mut tx = conn.begin().await?;
    // This may be long after somebody has found it failing.
    if reason == DisabledReason::Failing && !is_given_up(&mut tx, id).await? {
        return Ok(false);
    }
    let disabled = sqlx::query!(
        "
        UPDATE webhook_endpoints
        SET status = 'disabled', disabled_reason = $2, disabled_at = gateway_now(), updated_at = gateway_now()
        WHERE id = $1 AND status = 'enabled' AND ($3::text IS NULL OR url = $3)
        RETURNING tenant_id
        ",
        id.0,
        reason.as_str(),
        url,
    )
    .fetch_optional(&mut *tx)
    .await?;
    let Some(disabled) = disabled else {
        return Ok(false);
    };
    deliveries::end_pending(&mut tx, id, reason.dead_reason()).await?;
    events::insert_for_endpoint(
        &mut tx,
        disabled.tenant_id.into(),
        id,
        EventType::EndpointDisabled,
        Some(reason.as_str()),
    )
    .await?;
    tx.commit().await?;
    Ok(true)
}

/// Whether nothing gets through there, now that nobody else can enable it.
async fn is_given_up(conn: &mut PgConnection, id: EndpointId) -> sqlx::Result<bool> {
    sqlx::query!(
        "SELECT id FROM webhook_endpoints WHERE id = $1 FOR NO KEY UPDATE",
        id.0
    )
    .fetch_optional(&mut *conn)
    .await?;
    let lane = sqlx::query!(
        r#"
        -- An endpoint's lane has its id.
        SELECT failures, failing_since, gateway_now() AS "now!" FROM delivery_lanes WHERE id = $1
        "#,
        id.0,
    )
    .fetch_optional(conn)
    .await?;
    Ok(lane.is_some_and(|lane| {
        let health = LaneHealth {
            failures: u32::try_from(lane.failures).unwrap_or_default(),
            failing_since: lane.failing_since,
            ..LaneHealth::default()
        };
        health.is_given_up(lane.now)
    }))
}

/// Enables a tenant's endpoint with a clean record. One that is enabled is sent to again at once, whatever failed before.
/// `false` where there is no such endpoint.
///
/// # Errors
/// Where the database does not answer.
pub async fn enable(
    conn: &mut PgConnection,
    tenant_id: TenantId,
    id: EndpointId,
) -> sqlx::Result<bool> {
    let mut tx = conn.begin().await?;
    let found = sqlx::query!(
        r#"
        UPDATE webhook_endpoints e
        SET status = 'enabled', disabled_reason = NULL, disabled_at = NULL,
            updated_at = CASE WHEN old.status = 'enabled' THEN e.updated_at ELSE gateway_now() END
        FROM (SELECT id, status FROM webhook_endpoints WHERE id = $1 AND tenant_id = $2 FOR NO KEY UPDATE) old
        WHERE e.id = old.id
        RETURNING old.status = 'enabled' AS "was_enabled!"
        "#,
        id.0,
        tenant_id.0,
    )
    .fetch_optional(&mut *tx)
    .await?;
    let Some(found) = found else {
        return Ok(false);
    };
    reset_lane(&mut tx, id).await?;
    // This locks the sequence until the commit, so it is done only where the audience grows.
    if !found.was_enabled {
        super::change_audience(&mut tx).await?;
    }
    tx.commit().await?;
    Ok(true)
}

/// How much of what waits is due at once when an endpoint works again; the rest comes at its own time.
const DUE_AT_ONCE: i64 = 10_000;

/// Forgets the failures of an endpoint: its circuit is closed, and what waits for another try is due.
pub(super) async fn reset_lane(conn: &mut PgConnection, id: EndpointId) -> sqlx::Result<()> {
    sqlx::query!(
        "
        UPDATE deliveries SET next_try_at = gateway_now()
        -- As values, each of which is looked up: joined, all that wait in any lane would be walked through where few did.
        WHERE id = ANY (ARRAY(
            SELECT id FROM deliveries
            -- An endpoint's lane has its id.
            WHERE lane_id = $1 AND status = 'pending' AND lease_until IS NULL
              AND next_try_at > (SELECT gateway_now())
            ORDER BY next_try_at LIMIT $2 FOR UPDATE SKIP LOCKED
        ))
        ",
        id.0,
        DUE_AT_ONCE,
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!(
        "UPDATE delivery_lanes SET failures = 0, failing_since = NULL, open_until = NULL WHERE id = $1",
        id.0,
    )
    .execute(conn)
    .await
    .map(|_| ())
}
