//! The body of a create, which leaves in its time or not at all.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use chrono::{DateTime, Utc};
use tokio::time::Instant;

use crate::crash_points::CrashPoint;

/// Until when the body of a create may leave.
///
/// The monotonic clock, which nobody sets, stands still while the machine is suspended, and whoever takes the sender for dead does
/// not wait for that. So the time is over as well once the process's wall clock has moved on by as much. One that is set ahead
/// meanwhile only has the create given up, which is not sent then, and known not to be.
#[derive(Debug, Clone, Copy)]
pub struct SendDeadline {
    at: Instant,
    window: Duration,
    since: DateTime<Utc>,
    process_now: fn() -> DateTime<Utc>,
}

impl SendDeadline {
    /// So long from now on.
    #[must_use]
    pub fn after(window: Duration, process_now: fn() -> DateTime<Utc>) -> Self {
        Self {
            at: Instant::now() + window,
            window,
            since: process_now(),
            process_now,
        }
    }

    /// Whether nothing may leave any more.
    #[must_use]
    pub fn has_passed(&self) -> bool {
        // A clock that was set back says nothing.
        let passed = ((self.process_now)() - self.since).to_std();
        Instant::now() >= self.at || passed.is_ok_and(|passed| passed >= self.window)
    }
}

/// A body's leave to go, which is taken or withdrawn, and never both: the connection's task may ask for the body at the very
/// moment in which whoever sends gives up. Clones are the same.
#[derive(Clone, Default)]
pub(super) struct Leave(Arc<AtomicBool>);

impl Leave {
    /// Whether the body may go. From then on it has.
    fn take(&self) -> bool {
        !self.0.swap(true, Ordering::SeqCst)
    }

    /// Whether the body has not gone. From then on it cannot.
    pub(super) fn withdraw(&self) -> bool {
        self.take()
    }
}

/// A request body that looks at the clocks right before it is handed over, and goes only while it has leave to.
pub(super) struct GuardedBody {
    bytes: Option<Bytes>,
    leave: Leave,
    send_deadline: SendDeadline,
}

impl GuardedBody {
    pub(super) fn new(bytes: Bytes, leave: Leave, send_deadline: SendDeadline) -> Self {
        Self {
            bytes: Some(bytes),
            leave,
            send_deadline,
        }
    }
}

/// The body may not leave any more.
#[derive(Debug, thiserror::Error)]
#[error("the time to send this attempt has passed; nothing was sent")]
pub(super) struct TooLate;

impl http_body::Body for GuardedBody {
    type Data = Bytes;
    type Error = TooLate;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, TooLate>>> {
        let Some(bytes) = self.bytes.take() else {
            return Poll::Ready(None);
        };
        if self.send_deadline.has_passed() || !self.leave.take() {
            return Poll::Ready(Some(Err(TooLate)));
        }
        CrashPoint::SubmitBodyYielded.reach();
        Poll::Ready(Some(Ok(http_body::Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_none()
    }

    fn size_hint(&self) -> http_body::SizeHint {
        http_body::SizeHint::with_exact(self.bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicI64;

    use http_body_util::BodyExt;

    use super::*;

    fn guarded(leave: &Leave, window: Duration, process_now: fn() -> DateTime<Utc>) -> GuardedBody {
        let send_deadline = SendDeadline::after(window, process_now);
        GuardedBody::new(Bytes::from_static(b"{}"), leave.clone(), send_deadline)
    }

    #[tokio::test]
    async fn a_body_leaves_or_is_withdrawn_and_never_both() {
        let window = Duration::from_mins(1);
        let withdrawn = Leave::default();
        let mut kept = guarded(&withdrawn, window, DateTime::default);
        assert!(withdrawn.withdraw());
        assert!(kept.frame().await.unwrap().is_err());
        let taken = Leave::default();
        let mut sent = guarded(&taken, window, DateTime::default);
        assert!(sent.frame().await.unwrap().is_ok());
        assert!(!taken.withdraw());
    }

    #[tokio::test]
    async fn a_body_whose_time_has_passed_does_not_leave_and_is_known_not_to_have() {
        let leave = Leave::default();
        let mut late = guarded(&leave, Duration::ZERO, DateTime::default);
        assert!(late.frame().await.unwrap().is_err());
        assert!(leave.withdraw());
    }

    #[tokio::test]
    async fn a_body_does_not_leave_once_the_wall_clock_has_moved_on_by_its_time() {
        static SECONDS: AtomicI64 = AtomicI64::new(1_800_000_000);
        let process_now = || DateTime::from_timestamp_secs(SECONDS.load(Ordering::SeqCst)).unwrap();
        let window = Duration::from_mins(1);
        for (moves_on_by, leaves) in [(59, true), (60, false), (-3600, true)] {
            let leave = Leave::default();
            let mut body = guarded(&leave, window, process_now);
            SECONDS.fetch_add(moves_on_by, Ordering::SeqCst);
            let frame = body.frame().await.unwrap();
            assert_eq!(frame.is_ok(), leaves, "{moves_on_by}");
            assert_eq!(leave.withdraw(), !leaves, "{moves_on_by}");
        }
    }
}
