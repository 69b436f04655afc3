//! One stream: its task, from the first page to its end.

use std::{sync::LazyLock, time::Duration};

use axum::response::sse;
use futures_util::FutureExt;
use rand::RngExt;
use tokio::{
    sync::mpsc,
    time::{Instant, Interval, MissedTickBehavior, interval_at, sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{
    StreamTiming,
    source::{Page, Reader, Then, Unreadable},
};
use crate::{
    db,
    domain::{event::EventId, links::Links},
    feed::{self, Next, Subscription, Told, Way},
    http::server::serve::CutOff,
    trace,
};

/// What a stream sends, and its connection takes. Behind a pointer, since a channel has room for many from the start.
pub(super) type Frame = Box<sse::Event>;

/// How many frames may wait for the connection to take them.
pub(super) const PLACES: usize = 16;

/// How long lies between two instants at which heartbeats are sent.
const HEARTBEATS_APART: Duration = Duration::from_secs(1);

/// How long an `EventSource` waits until it comes back.
const RECONNECT_DELAY: Duration = Duration::from_secs(2);

/// How long a stream waits for a database that is away.
const DATABASE_PATIENCE: Duration = Duration::from_secs(30);

/// How long between two looks for it, with as much again by chance.
const DATABASE_PAUSE: Duration = Duration::from_millis(500);

/// How long the reader has to take the last frames when the process ends.
const LAST_MOMENT: Duration = Duration::from_secs(2);

/// A stream that is open.
pub(super) struct Stream {
    pub reader: Reader,
    pub subscription: Subscription,
    pub links: Links,
    /// Everything up to this event was told.
    pub through: EventId,
    pub sender: mpsc::Sender<Frame>,
    pub timing: StreamTiming,
}

/// Why a stream ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// Everything is told.
    Told,
    /// It has lived long enough.
    Aged,
    /// The process ends.
    Stopping,
    /// Its reader is gone.
    HungUp,
    /// Its reader takes nothing.
    TooSlow,
    /// What comes next cannot be read. Whoever comes back learns why.
    Unreadable,
}

impl Stream {
    /// Tells events until the end. Behind a pointer, since each future that it passes through has room for it.
    pub async fn run(
        mut self: Box<Self>,
        first: Page,
        stop: CancellationToken,
        cut_off: Option<CutOff>,
    ) {
        // Many that began together do not end together.
        let life = self
            .timing
            .most_life
            .mul_f64(rand::rng().random_range(0.8..=1.0));
        let sender = self.sender.clone();
        let send_timeout = self.timing.send_timeout;
        let end = tokio::select! {
            () = stop.cancelled() => End::Stopping,
            () = sleep(life) => End::Aged,
            () = sender.closed() => End::HungUp,
            told = self.tell(first) => told.err().unwrap_or(End::Told),
        };
        if matches!(end, End::Aged | End::Stopping) && self.reader.source.has_cursor() {
            // What the filter passed over, or what never came, is not gone through again.
            let last = sse::Event::default().id(self.through.to_string());
            let _ = sender.try_send(Box::new(last));
        }
        // With it, the subscription and the other sender.
        drop(self);
        tracing::debug!(?end, "A stream ended");
        let is_taken = match end {
            End::HungUp => true,
            End::TooSlow => false,
            End::Stopping => is_taken(&sender, LAST_MOMENT).await,
            End::Told | End::Aged | End::Unreadable => is_taken(&sender, send_timeout).await,
        };
        drop(sender);
        if end == End::Stopping && is_taken {
            // What was taken may still be on its way, and nothing else may come on this connection.
            sleep(LAST_MOMENT).await;
        }
        if let Some(cut_off) = cut_off
            && (end == End::Stopping || !is_taken)
        {
            tracing::debug!(?end, "Cutting the reader of a stream off");
            cut_off.cut();
        }
    }

    /// Tells everything, from the first page on, until nothing more is to come.
    async fn tell(&mut self, first: Page) -> Result<(), End> {
        let mut heartbeat = heartbeat(self.timing.heartbeat_interval);
        let mut opening = sse::Event::default().retry(RECONNECT_DELAY);
        if first.events.is_empty() && self.reader.source.has_cursor() {
            // Whoever is cut off before the first event comes back to here, and not to whatever "now" is then.
            self.through = self.through.max(first.through);
            opening = opening.id(self.through.to_string());
        }
        self.send(opening).await?;
        let mut page = first;
        loop {
            for event in &page.events {
                self.send(frame(&feed::write(event, &self.links))).await?;
                self.through = event.id;
            }
            self.through = self.through.max(page.through);
            match self.reader.source.after(&page) {
                Then::End => return Ok(()),
                Then::Feed if self.follow(&mut heartbeat).await? == Followed::Told => return Ok(()),
                Then::Feed | Then::Page => {}
            }
            // Rare and large: what it takes is not kept in every stream that waits.
            page = Box::pin(self.read_on()).await?;
        }
    }

    /// Tells what the feed hands over, until nothing more is to come or something was missed.
    async fn follow(&mut self, heartbeat: &mut Interval) -> Result<Followed, End> {
        let mut has_ended = false;
        loop {
            let next = match self.subscription.next().now_or_never() {
                Some(next) => next,
                None if has_ended => return Ok(Followed::Told),
                None => tokio::select! {
                    next = self.subscription.next() => next,
                    _ = heartbeat.tick() => {
                        self.send(sse::Event::default().comment("")).await?;
                        continue;
                    }
                },
            };
            let Next::Event(told) = next else {
                return Ok(Followed::Missed);
            };
            if told.id <= self.through {
                continue;
            }
            if self.reader.source.tells(&told) {
                self.send(frame(&told)).await?;
                told.observe(Way::Stream, trace::now());
            }
            self.through = told.id;
            has_ended = self.reader.source.ends_with(told.kind);
        }
    }

    /// Reads the next page, and waits a while where the database is away: nothing is passed over.
    async fn read_on(&self) -> Result<Page, End> {
        let read = async {
            loop {
                match self.reader.read(Some(self.through)).await {
                    Ok(page) => return Ok(page),
                    Err(Unreadable::Database(error)) if db::is_unavailable(&error) => {
                        tracing::debug!(%error, "A stream waits for the database");
                    }
                    Err(error) => {
                        tracing::warn!(?error, "A stream cannot go on");
                        return Err(End::Unreadable);
                    }
                }
                let factor = rand::rng().random_range(1.0..=2.0);
                sleep(DATABASE_PAUSE.mul_f64(factor)).await;
            }
        };
        timeout(DATABASE_PATIENCE, read)
            .await
            .unwrap_or(Err(End::Unreadable))
    }

    async fn send(&self, frame: sse::Event) -> Result<(), End> {
        match timeout(self.timing.send_timeout, self.sender.send(Box::new(frame))).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(End::HungUp),
            Err(_) => Err(End::TooSlow),
        }
    }
}

/// How it came that the feed is not followed any further.
#[derive(Debug, PartialEq, Eq)]
enum Followed {
    /// Everything is told.
    Told,
    /// Something is in the database only.
    Missed,
}

/// An event as a stream tells it.
fn frame(told: &Told) -> sse::Event {
    sse::Event::default()
        .id(told.id.to_string())
        .event(told.kind.as_str())
        .data(String::from_utf8_lossy(&told.body))
}

/// Many streams' come at the same instants, a second apart: one after the other, each would wake a sleeping process.
fn heartbeat(interval: Duration) -> Interval {
    static INSTANTS_FROM: LazyLock<Instant> = LazyLock::new(Instant::now);
    let apart = HEARTBEATS_APART.min(interval);
    let first = INSTANTS_FROM.elapsed() + interval;
    let early = first.as_nanos() % apart.as_nanos().max(1);
    let early = Duration::from_nanos(u64::try_from(early).unwrap_or_default());
    let mut heartbeat = interval_at(*INSTANTS_FROM + first - early, interval);
    heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    heartbeat
}

/// Whether the connection takes every frame in time, or is gone.
async fn is_taken(sender: &mpsc::Sender<Frame>, bound: Duration) -> bool {
    timeout(bound, sender.reserve_many(PLACES)).await.is_ok()
}
