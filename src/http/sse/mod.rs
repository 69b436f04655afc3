//! Server-Sent Events: what happens, told when it happens.
//!
//! A stream subscribes to the [`crate::feed`], then reads the database until it has caught up, and then tells what the feed
//! hands over; what it meets twice it tells once. Where it falls behind the feed it reads the database again, from the last
//! event that it told. Events have the same ids in every replica, so whoever lost its stream goes on with the last id it has
//! seen (`Last-Event-ID`, which every `EventSource` sends) at any of them, without a gap and without a repetition.
//!
//! Each stream is a task that fills a channel of few places, from which its connection takes ([`stream`]). A reader who
//! takes nothing for a while is cut off along with its connection, so that it holds neither memory nor a shutdown. While
//! nothing happens a stream holds no connection to the database and wakes for its heartbeat only.
//!
//! A key is looked at when a stream begins. One that was revoked ends with the lives of its streams, after an hour at most;
//! those lives also spread streams over the replicas anew.

mod query;
mod source;
mod stream;

use std::{convert::Infallible, time::Duration};

use axum::{
    Extension,
    http::{HeaderName, HeaderValue, StatusCode},
    response::{IntoResponse, Response, Sse},
};
use futures_util::{StreamExt, stream::poll_fn};
use metrics::gauge;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

pub use self::{
    query::{JobStreamQuery, TenantStreamQuery},
    source::Source,
};
use self::{
    source::{Reader, Unreadable},
    stream::{PLACES, Stream},
};
use super::{
    answer::compression::AsItIs,
    problem::{Problem, ProblemType},
    server::serve::CutOff,
    state::AppState,
};
use crate::{
    domain::{
        event::EventId,
        ids::TenantId,
        shares::{NoPlace, SharedPlace, Shares},
    },
    turns::Turns,
};

/// The header by which a stream goes on.
pub const LAST_EVENT_ID: &str = "last-event-id";

/// How many streams read the database at once. Thousands may have to at the same moment, and others need it, too.
const READS_AT_ONCE: usize = 4;

/// When to come back where as many streams are open as may be.
const FULL_RETRY_AFTER: Duration = Duration::from_secs(10);

/// nginx and its like hold answers back until they have some length, unless they are told not to.
const X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// How long things take in a stream.
#[derive(Debug, Clone, Copy)]
pub struct StreamTiming {
    /// How long until a comment tells that the stream is alive.
    pub heartbeat_interval: Duration,
    /// How long the reader may take nothing.
    pub send_timeout: Duration,
    /// How long a stream lives at most.
    pub most_life: Duration,
}

/// The streams of this process. Clones are the same.
#[derive(Debug, Clone)]
pub struct Streams {
    places: Shares,
    reads: Turns,
    timing: StreamTiming,
    stop: CancellationToken,
}

impl Streams {
    /// As many as may be open at once, until `stop` ends them all.
    #[must_use]
    pub fn new(most: usize, timing: StreamTiming, stop: CancellationToken) -> Self {
        // Shown from the start.
        gauge!("gateway_streams_open").increment(0.0);
        Self {
            places: Shares::new(most),
            reads: Turns::new(READS_AT_ONCE, usize::MAX),
            timing,
            stop,
        }
    }

    fn admit(&self, tenant_id: TenantId) -> Result<Place, Problem> {
        let held = self.places.take(tenant_id).map_err(|none| {
            let detail = match none {
                NoPlace::Full => {
                    "As many streams are open here as may be (MAX_STREAMS). Come back in a moment: another replica may have \
                     room."
                }
                NoPlace::ShareTaken => {
                    "As many streams of your tenant are open here as may be of one tenant: no more than there are places left \
                     of MAX_STREAMS. Come back in a moment: another replica may have room."
                }
            };
            Problem::new(ProblemType::TooManyStreams, detail).with_retry_after(FULL_RETRY_AFTER)
        })?;
        gauge!("gateway_streams_open").increment(1.0);
        Ok(Place { _held: held })
    }
}

/// One of the streams that may be open. Given back when dropped.
struct Place {
    _held: SharedPlace,
}

impl Drop for Place {
    fn drop(&mut self) {
        gauge!("gateway_streams_open").decrement(1.0);
    }
}

/// Opens a stream behind an event. `cut_off`: what ends its connection.
///
/// # Errors
/// Where there are too many, or too many of the tenant, there is nothing of that kind, or events behind that one are gone.
pub async fn open(
    state: &AppState,
    source: Source,
    after: Option<EventId>,
    cut_off: Option<Extension<CutOff>>,
) -> Result<Response, Problem> {
    let streams = &state.streams;
    let place = streams.admit(source.tenant_id())?;
    // Before the database is read: what is committed later is handed over, what was committed earlier is found.
    let subscription = state.feed.subscribe(source.topic());
    let reader = Reader {
        source,
        callers: state.callers.clone(),
        turns: streams.reads.clone(),
    };
    let page = reader.read(after).await.map_err(|error| match error {
        Unreadable::Database(error) => error.into(),
        Unreadable::Refused(problem) => problem,
    })?;
    if page.is_last && page.events.is_empty() {
        // The one answer after which an `EventSource` does not come back.
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let (sender, mut receiver) = mpsc::channel(PLACES);
    let stream = Box::new(Stream {
        reader,
        subscription,
        links: state.links.clone(),
        through: after.unwrap_or(EventId::ZERO),
        sender,
        timing: streams.timing,
    });
    let stop = streams.stop.clone();
    let cut_off = cut_off.map(|Extension(cut_off)| cut_off);
    tokio::spawn(
        async move {
            let _place = place;
            stream.run(page, stop, cut_off).await;
        }
        .in_current_span(),
    );
    let frames = poll_fn(move |context| receiver.poll_recv(context));
    let frames = frames.map(|frame| Ok::<_, Infallible>(*frame));
    let headers = [(X_ACCEL_BUFFERING, HeaderValue::from_static("no"))];
    // Encoded, events would wait for each other.
    Ok((headers, Extension(AsItIs), Sse::new(frames)).into_response())
}
