//! A consumer of the event stream, which is cut at random and goes on with `Last-Event-ID`, mostly at another replica.

use std::time::Duration;

use futures_util::StreamExt;
use rand::RngExt;
use tokio::time::timeout;

use super::{
    frames::{Frame, Frames},
    reader::Reader,
};
use crate::domain::{event::EventId, plain_json};

/// How long the head of an answer may take: a process that stands still takes connections and says nothing.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);

/// How long nothing may come, not even a heartbeat.
const SILENCE: Duration = Duration::from_secs(25);

/// Follows the stream for as long as it is polled.
pub async fn follow(mut reader: Reader) {
    loop {
        follow_for_a_while(&mut reader).await;
    }
}

/// Follows one connection until it is cut, if it does not end before.
pub async fn follow_for_a_while(reader: &mut Reader) {
    let length = if reader.rng.random_bool(0.15) {
        reader.milliseconds(10_000, 60_000)
    } else {
        reader.milliseconds(300, 6_000)
    };
    // Whatever it is doing by then, it is cut off.
    let _ = timeout(length, follow_once(reader)).await;
}

/// Follows one connection to its end.
async fn follow_once(reader: &mut Reader) {
    let request = reader.get("/v1/events/stream").await;
    let request = match reader.notebook.last() {
        // From the beginning, which is before the first job.
        EventId::ZERO => request.query(&[("after", EventId::ZERO.to_string())]),
        last => request.header("last-event-id", last.to_string()),
    };
    let Ok(answer) = timeout(HEAD_TIMEOUT, request.send()).await else {
        return;
    };
    let Some(answer) = reader.accept(answer).await else {
        return;
    };
    let (mut frames, mut chunks) = (Frames::default(), answer.bytes_stream());
    while let Ok(Some(Ok(chunk))) = timeout(SILENCE, chunks.next()).await {
        for frame in frames.read(&chunk) {
            if let Err(what) = note(reader, frame) {
                reader.notebook.complain(what);
            }
        }
    }
}

fn note(reader: &Reader, frame: Frame) -> Result<(), String> {
    if frame.event.is_none() && frame.data.is_empty() {
        // An id alone says how far the stream has looked. This reader comes back with the last event that it has seen.
        return Ok(());
    }
    let shown = format!("{frame:?}");
    let id: EventId = frame
        .id
        .and_then(|id| id.parse().ok())
        .ok_or_else(|| format!("a frame without an event's id: {shown}"))?;
    let body =
        plain_json::from_slice(&frame.data).map_err(|_| format!("no JSON in a frame: {shown}"))?;
    if body["type"].as_str() != frame.event.as_deref() {
        return Err(format!(
            "a frame is named otherwise than its event: {shown}"
        ));
    }
    reader.notebook.add(id, frame.data.into());
    Ok(())
}
