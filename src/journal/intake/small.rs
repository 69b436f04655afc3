//! Callbacks whose bodies are small: to understand one takes less time than to wake a thread for each piece of it.

use std::io;

use super::{Arrival, Content, Intake, NotKept, Taken};
use crate::{gladia::callback::Shape, journal::body::KeptBody, trace};

/// Bodies up to this size stand in memory as a whole, and are understood within a millisecond.
const SMALL_BYTES: u64 = 256 * 1024;

impl Intake {
    /// How large a body may be that is held in memory as it came.
    pub(super) fn small_limit(&self) -> u64 {
        self.max_body_bytes.min(SMALL_BYTES)
    }

    /// The size of a callback that [`Self::take_small`] takes.
    #[must_use]
    pub fn small_bytes(&self, arrival: Arrival) -> Option<usize> {
        arrival
            .declared_bytes
            .filter(|bytes| *bytes <= self.small_limit())
            .and_then(|bytes| bytes.try_into().ok())
    }

    /// Takes a callback once the whole of its body is here, which is small.
    ///
    /// # Errors
    /// Where it is not kept: it must not be answered 2xx.
    pub async fn take_small(
        &self,
        arrival: Arrival,
        body: impl Future<Output = io::Result<Vec<u8>>>,
    ) -> Result<Taken, NotKept> {
        let since = trace::now();
        let body = body.await.map_err(NotKept::BrokeOff)?;
        let read = KeptBody::read_within(&body[..], Shape::Callback, self.max_body_bytes)
            .map_err(NotKept::BrokeOff)?
            .map(|body| body.with_read_since(since));
        drop(body);
        self.keep(arrival, Content::of(read)).await
    }
}
