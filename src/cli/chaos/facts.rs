//! What is known once everything has ended: what callers were told, what they get, what the tables say, what Gladia saw.

use std::{collections::HashMap, path::PathBuf, sync::Arc};

use chrono::{DateTime, SubsecRound, Utc};
use futures_util::{StreamExt, stream};
use sha2::{Digest, Sha256};
use sqlx::Connection;
use uuid::Uuid;

use super::{
    consumers::{
        Consumers,
        told::{Called, Told},
    },
    load::{Accepted, Callers, Order},
    stage::Stage,
    upstream::Ledger,
};
use crate::db::{
    events,
    invariants::{
        self, AttemptFacts, DeliveryFacts, DeliverySums, EventFacts, JobFacts, QuarantineFacts,
        SurplusFacts, Unsettled,
    },
};
use crate::domain::event::EventId;

/// How many results are fetched at the same time.
const FETCHED_AT_ONCE: usize = 8;

/// Everything that the verdict rests on.
#[derive(Debug)]
pub struct Facts {
    pub orders: Vec<Order>,
    pub accepted: Accepted,
    /// SHA-256 of each result as its caller gets it, or what came instead; by job.
    pub results: HashMap<Uuid, Result<String, String>>,
    pub unsettled: Unsettled,
    /// References to rows that are not there.
    pub orphans: i64,
    pub jobs: Vec<JobFacts>,
    pub attempts: Vec<AttemptFacts>,
    pub quarantined: Vec<QuarantineFacts>,
    pub surplus: Vec<SurplusFacts>,
    /// Every event that is told, or is to be.
    pub events: Vec<EventFacts>,
    /// The last number that was given.
    pub last_event: EventId,
    pub deliveries: DeliverySums,
    pub undelivered: Vec<DeliveryFacts>,
    /// What each consumer of events was told.
    pub told: Vec<Told>,
    /// The callbacks of each tenant's jobs.
    pub called: Vec<Called>,
    pub ledger: Ledger,
    /// Callbacks that were kept on disk and not carried out.
    pub spooled: Vec<PathBuf>,
    pub cap: u64,
    /// When which process stood still.
    pub stills: Vec<Still>,
    /// What else went wrong: processes that ended otherwise than they should.
    pub ends: Vec<String>,
}

/// A time in which a process stood still.
#[derive(Debug, Clone)]
pub struct Still {
    pub pid: i32,
    pub from: DateTime<Utc>,
    pub to: DateTime<Utc>,
}

impl Still {
    /// Whether it fell into the time in which an attempt was to be sent, by the process that was to send it, and Gladia accepted
    /// that attempt only afterwards. What Gladia had before, looks have to find.
    pub fn explains(&self, attempt: &AttemptFacts, accepted_at: DateTime<Utc>) -> bool {
        let worker = attempt.worker.split('-').next();
        worker.and_then(|pid| pid.parse().ok()) == Some(self.pid)
            && self.from <= attempt.lease_until
            && self.to >= attempt.created_at
            // Gladia cuts its instants to milliseconds.
            && self.to.trunc_subsecs(3) <= accepted_at
    }
}

/// Fetches the result of each job that has one, through the replicas.
pub async fn fetch_results(
    stage: &Stage,
    callers: &Callers,
    orders: &[Order],
) -> anyhow::Result<HashMap<Uuid, Result<String, String>>> {
    let mut conn = stage.connect().await?;
    let jobs = invariants::list_jobs(&mut conn).await?;
    conn.close().await?;
    let done: Vec<Uuid> = jobs
        .iter()
        .filter(|job| job.status == "done")
        .map(|job| job.id.0)
        .collect();
    let by_job = callers.orders_by_job(orders);
    let wanted = done
        .into_iter()
        .filter_map(|job| Some((job, *by_job.get(&job)?)));
    let fetched = stream::iter(wanted)
        .map(|(job, order)| async move {
            let result = callers.result(order, job).await;
            (job, result.map(|bytes| digest(&bytes)))
        })
        .buffer_unordered(FETCHED_AT_ONCE);
    Ok(fetched.collect().await)
}

/// What is known by those who took part.
pub struct Witnessed {
    pub orders: Vec<Order>,
    pub accepted: Accepted,
    pub results: HashMap<Uuid, Result<String, String>>,
    pub ends: Vec<String>,
}

/// Collects everything else.
pub async fn collect(
    stage: &Arc<Stage>,
    witnessed: Witnessed,
    consumers: Consumers,
) -> anyhow::Result<Facts> {
    let Witnessed {
        orders,
        accepted,
        results,
        ends,
    } = witnessed;
    let (told, called) = consumers.end().await;
    let mut conn = stage.connect().await?;
    let facts = Facts {
        orders,
        accepted,
        results,
        unsettled: invariants::count_unsettled(&mut conn).await?,
        orphans: invariants::count_orphans(&mut conn).await?,
        jobs: invariants::list_jobs(&mut conn).await?,
        attempts: invariants::list_attempts(&mut conn).await?,
        quarantined: invariants::list_quarantined(&mut conn).await?,
        surplus: invariants::list_surplus(&mut conn).await?,
        events: invariants::list_events(&mut conn).await?,
        last_event: events::last_id(&mut conn).await?,
        deliveries: invariants::count_deliveries(&mut conn).await?,
        undelivered: invariants::list_undelivered(&mut conn).await?,
        told,
        called,
        ledger: stage.upstream.ledger().await?,
        spooled: stage.spooled()?,
        cap: super::stage::MAX_IN_FLIGHT,
        stills: stage.stills(),
        ends,
    };
    conn.close().await?;
    Ok(facts)
}

/// SHA-256 in hexadecimal digits.
pub fn digest(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
