//! Ending what nobody answers for: leases of processes that died, and slots past their deadline. And finding what nobody
//! looks for: jobs that joined their line behind the claims, what a clock that was ahead has put off, and successes of which nobody
//! asks for the proof.

use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::{ERROR_PAUSE, sweep_interval};
use crate::{
    crash_points::CrashPoint,
    db::{
        attempts::expiry::{self, Expired},
        callbacks::unproven::{self, Attended},
        far_ahead, lines,
        pool::{Pool, in_long_time, in_time},
        wakeups::Wakeups,
    },
    domain::{
        cursor::Cursor,
        ids::{AttemptId, CallbackId},
    },
};

/// How often it is looked for what lies further ahead than it can.
const FAR_AHEAD_INTERVAL: Duration = Duration::from_mins(1);

/// How often jobs behind the claims are looked for. That walks through all that left the lines since the last vacuum.
const MISSED_INTERVAL: Duration = Duration::from_mins(1);

/// How often successes of which nobody asks for the proof are looked for. That walks through all callbacks that are kept apart.
const UNASKED_INTERVAL: Duration = Duration::from_mins(1);

/// Looks until told to stop.
///
/// `settling_time`: how long Gladia's list may lag behind.
///
/// `zero_data_retention`: Gladia keeps nothing to ask for. Nobody looks for attempts of unknown outcome, so at the end of their
/// slot's time an operator has to decide; and nobody asks for accepted ones, so they end there as well.
///
/// `process_now`: the process's own clock, which has to agree that a slot's time has ended.
pub async fn run(
    pool: Pool,
    wakeups: Wakeups,
    settling_time: Duration,
    zero_data_retention: bool,
    process_now: fn() -> DateTime<Utc>,
    stop: CancellationToken,
) {
    // Each at its own pace: what walks for long keeps no slot from being given back.
    tokio::join!(
        settle(&pool, &wakeups, zero_data_retention, process_now, &stop),
        look_behind_claims(&pool, &wakeups, &stop),
        look_far_ahead(&pool, &wakeups, settling_time, &stop),
        look_for_unasked(&pool, zero_data_retention, &stop),
    );
}

async fn settle(
    pool: &Pool,
    wakeups: &Wakeups,
    zero_data_retention: bool,
    process_now: fn() -> DateTime<Utc>,
    stop: &CancellationToken,
) {
    loop {
        let rest = match sweep(pool, zero_data_retention, process_now()).await {
            Ok(0) => sweep_interval(),
            Ok(_) => {
                // A slot may be free.
                wakeups.jobs_changed();
                sweep_interval()
            }
            Err(error) => {
                tracing::warn!(%error, "Could not settle attempts; trying again");
                ERROR_PAUSE
            }
        };
        tokio::select! {
            () = stop.cancelled() => return,
            () = sleep(rest) => {}
        }
    }
}

async fn look_behind_claims(pool: &Pool, wakeups: &Wakeups, stop: &CancellationToken) {
    loop {
        let looking = in_long_time(find_missed(pool));
        let Some(missed) = stop.run_until_cancelled(looking).await else {
            return;
        };
        match missed {
            Ok(0) => {}
            Ok(_) => wakeups.jobs_changed(),
            Err(error) => {
                tracing::warn!(%error, "Could not look for jobs behind the claims; trying again later");
            }
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = sleep(MISSED_INTERVAL) => {}
        }
    }
}

async fn look_far_ahead(
    pool: &Pool,
    wakeups: &Wakeups,
    settling_time: Duration,
    stop: &CancellationToken,
) {
    loop {
        let looking = in_long_time(pull_back(pool, settling_time));
        let Some(pulled) = stop.run_until_cancelled(looking).await else {
            return;
        };
        let rest = match pulled {
            Ok((0, _)) => FAR_AHEAD_INTERVAL,
            Ok((rows, is_more)) => {
                tracing::warn!(
                    rows,
                    "The database's clock was ahead: what it put off for too long is pulled back, {rows} row(s)"
                );
                wakeups.jobs_changed();
                if is_more {
                    ERROR_PAUSE
                } else {
                    FAR_AHEAD_INTERVAL
                }
            }
            Err(error) => {
                tracing::warn!(%error, "Could not look for what lies too far ahead; trying again later");
                FAR_AHEAD_INTERVAL
            }
        };
        tokio::select! {
            () = stop.cancelled() => return,
            () = sleep(rest) => {}
        }
    }
}

async fn look_for_unasked(pool: &Pool, zero_data_retention: bool, stop: &CancellationToken) {
    let mut after = None;
    loop {
        let looking = attend_to_unasked(pool, after, zero_data_retention);
        let Some(looked) = stop.run_until_cancelled(looking).await else {
            return;
        };
        let rest = match looked {
            Ok(next) => {
                after = next;
                after.map_or(UNASKED_INTERVAL, |_| sweep_interval())
            }
            Err(error) => {
                tracing::warn!(%error, "Could not look for successes of which nobody asks for the proof; trying again later");
                UNASKED_INTERVAL
            }
        };
        tokio::select! {
            () = stop.cancelled() => return,
            () = sleep(rest) => {}
        }
    }
}

async fn pull_back(pool: &Pool, settling_time: Duration) -> sqlx::Result<(u64, bool)> {
    let mut conn = pool.acquire().await?;
    far_ahead::pull_back(&mut conn, settling_time).await
}

/// Has claims look at jobs again that they would pass over. Returns in how many lines there were any.
async fn find_missed(pool: &Pool) -> sqlx::Result<u64> {
    let mut conn = pool.acquire().await?;
    lines::find_missed(&mut conn).await
}

/// One step of the walk through what is kept apart: Gladia is asked for each success that waits for its proof in vain, or, where
/// `zero_data_retention`, it is left to an operator. Returns where the walk goes on; `None` at its end.
async fn attend_to_unasked(
    pool: &Pool,
    after: Option<Cursor<CallbackId>>,
    zero_data_retention: bool,
) -> sqlx::Result<Option<Cursor<CallbackId>>> {
    let mut conn = pool.acquire().await?;
    let page = in_long_time(unproven::find(&mut conn, after)).await?;
    for id in page.unasked {
        let settled = in_time(unproven::attend(&mut conn, id, zero_data_retention)).await;
        match attended(id, settled)? {
            Some(Attended::Asked) => {
                tracing::warn!(attempt.id = %id, "Nobody asked Gladia for the success of attempt {id} that called back; it is asked now");
            }
            Some(Attended::Left { is_kept: true }) => {
                tracing::error!(attempt.id = %id, "Gladia did not confirm the success of attempt {id} that called back; it is quarantined, and `callbacks replay` carries it out");
            }
            Some(Attended::Left { is_kept: false } | Attended::Nothing) | None => {}
        }
    }
    Ok(page.goes_on_after)
}

/// Settles what is due. Returns how many attempts moved.
async fn sweep(
    pool: &Pool,
    zero_data_retention: bool,
    process_now: DateTime<Utc>,
) -> sqlx::Result<usize> {
    let mut conn = pool.acquire().await?;
    let mut moved = 0;
    for id in in_time(expiry::list_expired_leases(&mut conn)).await? {
        let expired = in_time(expiry::expire_lease(&mut conn, id)).await;
        if attended(id, expired)? == Some(true) {
            CrashPoint::SettleLeaseExpired.reach();
            moved += 1;
            metrics::counter!("gateway_leases_expired_total").increment(1);
            tracing::warn!(attempt.id = %id, "The process that submitted attempt {id} went silent; it is unknown now");
        }
    }
    let past = expiry::list_past_deadline(&mut conn, zero_data_retention, process_now);
    for id in in_time(past).await? {
        let expiring = expiry::expire_slot(&mut conn, id, zero_data_retention, process_now);
        let expired = in_time(expiring).await;
        match attended(id, expired)? {
            None | Some(Expired::Nothing) => continue,
            Some(Expired::ResultMissing) => {
                tracing::error!(attempt.id = %id, "Nothing ever came of attempt {id}; its slot is given back");
            }
            Some(Expired::NeverKnown) => {
                tracing::warn!(attempt.id = %id, "Whether Gladia had attempt {id} will not be known any more; its job has ended, and so does the attempt");
            }
            Some(Expired::StillUnknown) => {
                tracing::warn!(attempt.id = %id, "Attempt {id} is still unknown at its slot's deadline; the slot is given back");
            }
        }
        moved += 1;
        metrics::counter!("gateway_slots_expired_total").increment(1);
    }
    Ok(moved)
}

/// One attempt that cannot be settled does not keep the others waiting. A connection that is lost settles none of them.
fn attended<T>(id: AttemptId, settled: sqlx::Result<T>) -> sqlx::Result<Option<T>> {
    match settled {
        Ok(settled) => Ok(Some(settled)),
        Err(error @ sqlx::Error::Io(_)) => Err(error),
        Err(error) => {
            tracing::error!(%error, attempt.id = %id, "Could not settle attempt {id}; trying again");
            Ok(None)
        }
    }
}
