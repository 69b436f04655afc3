//! Waking those who wait: in this process at once, in the others by NOTIFY.
//!
//! A NOTIFY inside a transaction holds an instance-wide lock until the commit is on disk and halves throughput. So it is
//! sent after the commit, by one task a process, and whatever happened meanwhile goes out as one. A lost one costs one
//! sweep of at most a second: every worker also looks on a timer. Each carries the name of its sender, who has woken its own
//! workers already. A process that has not heard of another one sends none: whoever begins to listen says that it is here, and
//! whoever hears that sends one.

use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use sqlx::{
    PgPool,
    postgres::{PgListener, PgNotification},
};
use tokio::{sync::Notify, time::timeout};
use tokio_util::sync::CancellationToken;

use super::pool::{Pool, in_time};

/// The channel of the database by which processes learn that jobs have changed.
const JOBS_CHANNEL: &str = "gladia_gateway_jobs";

/// The one by which they learn that events have got their numbers.
const EVENTS_CHANNEL: &str = "gladia_gateway_events";

/// The one by which they learn of each other.
const PRESENCE_CHANNEL: &str = "gladia_gateway_presence";

/// How long changes of jobs are gathered before others are woken. Whoever made them looks itself at once, and a NOTIFY is a
/// commit, which would stand in the way of those that tell callers.
const GATHERING_TIME: Duration = Duration::from_millis(10);

/// After how long without any notification it is tried whether the connection still has one.
const SILENCE: Duration = Duration::from_secs(20);

/// How long after the loss of the connection it is tried anew.
const RECONNECT_DELAY: Duration = Duration::from_secs(1);

/// Tells workers what has changed. Clones are the same.
#[derive(Debug, Clone, Default)]
pub struct Wakeups(Arc<Inner>);

/// By which a process knows what it has sent itself.
#[derive(Debug)]
struct Name(String);

impl Default for Name {
    fn default() -> Self {
        Self(format!("{:016x}", rand::random::<u64>()))
    }
}

#[derive(Debug, Default)]
struct Inner {
    name: Name,
    /// Whether another process was heard of. One that is gone since costs no more than notifications that nobody gets.
    has_others: AtomicBool,
    /// Jobs were queued, or slots given back.
    jobs: Notify,
    /// Whether every slot was held when last one was looked for.
    is_full: AtomicBool,
    /// Whether no job was in line when last one was looked for, and none was heard of since.
    is_line_empty: AtomicBool,
    /// Jobs were put in line, which is to be told.
    queued: Notify,
    /// Events wait for their numbers.
    events: Notify,
    /// Events have got them.
    numbered: Notify,
    /// Deliveries are due.
    deliveries: Notify,
    jobs_outgoing: Notify,
    numbered_outgoing: Notify,
}

impl Wakeups {
    /// A job changed: something can be claimed, or told. Call it after the commit.
    pub fn jobs_changed(&self) {
        self.events_added();
        self.look_for_jobs();
        self.tell_others(&self.0.jobs_outgoing);
    }

    /// A slot was given back, and why is told already. Call it after the commit.
    ///
    /// Where nothing is in line, a free slot changes nothing for those who claim.
    pub fn slot_given_back(&self) {
        if !self.0.is_line_empty.load(Ordering::Acquire) {
            self.0.jobs.notify_one();
        }
        self.tell_others(&self.0.jobs_outgoing);
    }

    /// Jobs were put in line. Call it after the commit.
    ///
    /// Whoever queued them knows it, so others are told of it a moment later, of many at once. Where no slot was free, a new
    /// job changes nothing for those who claim.
    pub fn jobs_queued(&self) {
        if !self.0.is_full.load(Ordering::Acquire) {
            self.look_for_jobs();
        }
        self.tell_others(&self.0.jobs_outgoing);
        self.0.queued.notify_one();
    }

    /// Notes that every slot is held: new jobs have to wait until one is given back. One that was since the look that found this
    /// counts.
    pub fn note_slots_held(&self) {
        self.0.is_full.store(true, Ordering::Release);
    }

    /// New jobs can be claimed from now on. Returns whether they had to wait until now.
    #[must_use]
    pub fn take_slots_held(&self) -> bool {
        self.0.is_full.swap(false, Ordering::AcqRel)
    }

    /// The line is about to be looked at.
    pub fn begin_look_at_line(&self) {
        self.0.is_line_empty.store(false, Ordering::Release);
    }

    /// Notes that nothing was in line: slots that are given back need nobody until something is. What was put there since the
    /// look that found this has asked for another one.
    pub fn note_line_empty(&self) {
        self.0.is_line_empty.store(true, Ordering::Release);
    }

    /// Something is to be told. Call it after the commit.
    pub fn events_added(&self) {
        self.0.events.notify_one();
    }

    /// Events have got their numbers. Call it after the commit, and say whether those who wait here have them already.
    pub fn events_numbered(&self, are_handed_over: bool) {
        if !are_handed_over {
            self.0.numbered.notify_one();
        }
        self.tell_others(&self.0.numbered_outgoing);
    }

    /// Something can be delivered. Call it after the commit.
    pub fn deliveries_due(&self) {
        self.0.deliveries.notify_one();
    }

    /// Waits for the next change of a job. One that came since the last wait counts.
    pub async fn wait_for_jobs(&self) {
        self.0.jobs.notified().await;
    }

    /// Waits for events without numbers, likewise.
    pub async fn wait_for_events(&self) {
        self.0.events.notified().await;
    }

    /// Waits for events with numbers, likewise.
    pub async fn wait_for_numbered(&self) {
        self.0.numbered.notified().await;
    }

    /// Waits for deliveries, likewise.
    pub async fn wait_for_deliveries(&self) {
        self.0.deliveries.notified().await;
    }

    /// A job may be in line.
    fn look_for_jobs(&self) {
        self.0.is_line_empty.store(false, Ordering::Release);
        self.0.jobs.notify_one();
    }

    /// Has other processes told, where there are any: the task that does it would be woken for each change.
    fn tell_others(&self, outgoing: &Notify) {
        if self.0.has_others.load(Ordering::Relaxed) {
            outgoing.notify_one();
        }
    }

    /// Sends changes to other processes until told to stop.
    pub async fn send_to_others(&self, pool: Pool, stop: CancellationToken) {
        let Inner {
            numbered_outgoing,
            jobs_outgoing,
            ..
        } = &*self.0;
        tokio::join!(
            self.send(
                &pool,
                EVENTS_CHANNEL,
                numbered_outgoing,
                Duration::ZERO,
                &stop
            ),
            self.send(&pool, JOBS_CHANNEL, jobs_outgoing, GATHERING_TIME, &stop),
        );
    }

    /// Has what was put in line told, as much of it at once as comes within a moment, until told to stop. In this process: without
    /// it those events get no numbers until a sweep.
    pub async fn gather_queued(&self, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.0.queued.notified() => {}
            }
            tokio::time::sleep(GATHERING_TIME).await;
            self.events_added();
        }
    }

    async fn send(
        &self,
        pool: &Pool,
        channel: &str,
        changes: &Notify,
        gathering_time: Duration,
        stop: &CancellationToken,
    ) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = changes.notified() => {}
            }
            tokio::time::sleep(gathering_time).await;
            if let Err(error) = in_time(self.notify(pool, channel)).await {
                tracing::debug!(%error, "Could not wake other replicas; they look by themselves within a second");
            }
        }
    }

    async fn notify(&self, pool: &Pool, channel: &str) -> sqlx::Result<()> {
        let mut conn = pool.acquire().await?;
        sqlx::query!("SELECT pg_notify($1, $2)", channel, self.0.name.0)
            .execute(&mut *conn)
            .await?;
        conn.put_back();
        Ok(())
    }

    /// Receives changes from other processes until told to stop.
    pub async fn receive_from_others(&self, pool: Pool, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                result = self.listen(&pool) => {
                    if let Err(error) = result {
                        tracing::debug!(%error, "Lost the connection that listens for wake-ups; reconnecting");
                    }
                }
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(RECONNECT_DELAY) => {}
            }
        }
    }

    /// The next notification; none where the connection was lost, and is there again.
    ///
    /// Where nothing was heard for long, this process says something itself, which it has to hear as well. A server whose host
    /// is gone would say nothing either.
    async fn next(
        &self,
        pool: &Pool,
        listener: &mut PgListener,
    ) -> sqlx::Result<Option<PgNotification>> {
        let mut received = pin!(listener.try_recv());
        loop {
            if let Ok(received) = timeout(SILENCE, &mut received).await {
                return received;
            }
            // Where nothing can be said, that nothing is heard proves nothing.
            if in_time(self.notify(pool, PRESENCE_CHANNEL)).await.is_ok() {
                return in_time(received).await;
            }
        }
    }

    async fn listen(&self, pool: &Pool) -> sqlx::Result<()> {
        let listening = in_time(begin_to_listen(&pool.listener_pool())).await;
        let mut listener = listening.map_err(|error| pool.explain(error))?;
        in_time(self.notify(pool, PRESENCE_CHANNEL)).await?;
        loop {
            let received = self.next(pool, &mut listener).await?;
            let sender = received
                .as_ref()
                .map(sqlx::postgres::PgNotification::payload);
            if sender == Some(self.0.name.0.as_str()) {
                continue;
            }
            let channel = received
                .as_ref()
                .map(sqlx::postgres::PgNotification::channel);
            match channel {
                // The connection was lost, and is there again.
                None => in_time(self.notify(pool, PRESENCE_CHANNEL)).await?,
                Some(_) => self.0.has_others.store(true, Ordering::Relaxed),
            }
            if channel == Some(PRESENCE_CHANNEL) {
                // By this it hears of this process.
                self.0.jobs_outgoing.notify_one();
                continue;
            }
            // After a reconnection both: something may have been missed.
            if channel != Some(EVENTS_CHANNEL) {
                self.look_for_jobs();
                // Whoever changed them may be gone before it gave their events numbers; a sweep finds those.
            }
            if channel != Some(JOBS_CHANNEL) {
                self.0.numbered.notify_one();
            }
        }
    }
}

async fn begin_to_listen(pool: &PgPool) -> sqlx::Result<PgListener> {
    let mut listener = PgListener::connect_with(pool).await?;
    listener
        .listen_all([JOBS_CHANNEL, EVENTS_CHANNEL, PRESENCE_CHANNEL])
        .await?;
    Ok(listener)
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    fn is_woken(wakeups: &Wakeups) -> bool {
        wakeups.wait_for_jobs().now_or_never().is_some()
    }

    #[test]
    fn a_slot_that_is_given_back_wakes_those_who_claim_only_where_something_may_be_in_line() {
        let wakeups = Wakeups::default();
        wakeups.slot_given_back();
        assert!(is_woken(&wakeups), "nobody has looked yet");

        wakeups.begin_look_at_line();
        wakeups.note_line_empty();
        wakeups.slot_given_back();
        assert!(!is_woken(&wakeups));

        wakeups.jobs_queued();
        assert!(is_woken(&wakeups));
        wakeups.slot_given_back();
        assert!(is_woken(&wakeups));
    }

    #[test]
    fn what_is_put_in_line_during_a_look_that_misses_it_asks_for_another_one() {
        let wakeups = Wakeups::default();
        wakeups.begin_look_at_line();
        wakeups.jobs_queued();
        wakeups.note_line_empty();
        assert!(is_woken(&wakeups));
        // And that one finds every slot held.
        wakeups.begin_look_at_line();
        wakeups.note_slots_held();
        wakeups.slot_given_back();
        assert!(is_woken(&wakeups));
    }
}
