//! When captions are shown.

use std::collections::HashMap;

use super::{speech::LATEST_MS, voices::Voice};

/// What takes the place of a caption of the same voice leaves it at least this long, in milliseconds.
const SEEN_MS: u64 = 200;

/// From when until when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) start_ms: u64,
    pub(super) end_ms: u64,
}

/// Puts captions into the order in which they begin, and says when each is shown.
///
/// None ends before it begins, or is longer than the longest. Two of one voice never overlap: the earlier one makes room,
/// and where both begin at once, the later one waits for a moment. Two voices that speak at once are shown at once. What is
/// shorter than the shortest stays on through the gap that follows, as far as that goes.
///
/// Gives the captions' positions as they came, with their spans.
pub(super) fn arrange(
    cues: impl Iterator<Item = (Span, Voice)>,
    shortest_ms: u64,
    longest_ms: u64,
) -> Vec<(usize, Span)> {
    let mut shown: Vec<(usize, Span, Voice)> = cues
        .enumerate()
        .map(|(index, (mut span, voice))| {
            let longest = span.start_ms + longest_ms;
            span.end_ms = span.end_ms.clamp(span.start_ms + 1, longest);
            (index, span, voice)
        })
        .collect();
    shown.sort_by_key(|(_, span, _)| span.start_ms);
    let mut latest: HashMap<Voice, usize> = HashMap::new();
    for at in 0..shown.len() {
        let (_, mut span, voice) = shown[at];
        if let Some(before) = latest.insert(voice, at) {
            let before = &mut shown[before].1;
            if span.start_ms < before.end_ms {
                span.start_ms = span.start_ms.max(before.start_ms + SEEN_MS);
                span.end_ms = span.end_ms.max(span.start_ms + 1);
                before.end_ms = span.start_ms;
                shown[at].1 = span;
            }
        }
    }
    shown.sort_by_key(|(_, span, _)| span.start_ms);
    let starts: Vec<u64> = shown.iter().map(|(_, span, _)| span.start_ms).collect();
    for (_, span, _) in &mut shown {
        let next = starts.partition_point(|start| *start < span.end_ms);
        let gap_end = starts.get(next).copied().unwrap_or(LATEST_MS);
        let wished = (span.start_ms + shortest_ms).min(gap_end);
        span.end_ms = span.end_ms.max(wished);
    }
    shown
        .into_iter()
        .map(|(index, span, _)| (index, span))
        .collect()
}
