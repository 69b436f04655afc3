//! Where somebody speaks: a gate on the loudness of each channel.

/// Loudness is measured over windows of this length.
const WINDOW_SECONDS: f64 = 0.02;

/// Pauses up to this many windows belong to the utterance around them.
const BRIDGED_WINDOWS: usize = 20;

/// Sounds shorter than this many windows are no speech.
const SHORTEST_WINDOWS: usize = 6;

/// An utterance ends at this many windows even if nobody takes a breath.
const LONGEST_WINDOWS: usize = 600;

/// Somebody speaks on a channel from one second to another.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in super::super) struct Segment {
    pub(in super::super) start: f64,
    pub(in super::super) end: f64,
    pub(in super::super) channel: usize,
}

/// Speech in regular turns, for audio that cannot be heard: four seconds, then a short pause.
pub(super) fn assumed(from: f64, to: f64, channels: usize) -> Vec<Segment> {
    let mut segments = Vec::new();
    let mut start = from + 0.2_f64.min((to - from) / 4.0);
    while start < to {
        let end = (start + 4.0).min(to);
        let channel = segments.len() % channels.max(1);
        segments.push(Segment {
            start,
            end,
            channel,
        });
        start = end + 0.5;
    }
    segments
}

/// The loudness of each channel over time.
#[derive(Debug, Default)]
pub(super) struct Loudness {
    windows: Vec<Vec<f32>>,
    sums: Vec<f64>,
    filled: usize,
    window: usize,
    rate: u32,
}

impl Loudness {
    /// How much has been heard.
    pub(super) fn seconds(&self) -> f64 {
        let windows = self.windows.first().map_or(0, Vec::len);
        at(windows) + as_f64(self.filled) / f64::from(self.rate.max(1))
    }

    /// Takes in interleaved samples.
    pub(super) fn hear(&mut self, samples: &[f32], channels: usize, rate: u32) {
        if self.rate == 0 {
            self.rate = rate;
            self.window = usize::try_from(rate / 50).unwrap_or(usize::MAX).max(1);
            self.windows = vec![Vec::new(); channels];
            self.sums = vec![0.0; channels];
        }
        for frame in samples.chunks_exact(channels) {
            for (sum, sample) in self.sums.iter_mut().zip(frame) {
                *sum += f64::from(*sample) * f64::from(*sample);
            }
            self.filled += 1;
            if self.filled == self.window {
                let count = as_f64(self.window);
                for (windows, sum) in self.windows.iter_mut().zip(&mut self.sums) {
                    #[expect(
                        clippy::cast_possible_truncation,
                        reason = "loudness needs no more than a float's precision"
                    )]
                    windows.push((*sum / count).sqrt() as f32);
                    *sum = 0.0;
                }
                self.filled = 0;
            }
        }
    }

    /// The utterances. Channels that are the same are heard once.
    pub(super) fn speech(&self, identical: bool) -> Vec<Segment> {
        let heard = if identical { 1 } else { self.windows.len() };
        let mut segments: Vec<Segment> = self
            .windows
            .iter()
            .take(heard)
            .enumerate()
            .flat_map(|(channel, windows)| gate(windows, channel))
            .collect();
        segments.sort_by(|a, b| a.start.total_cmp(&b.start));
        segments
    }
}

fn gate(windows: &[f32], channel: usize) -> Vec<Segment> {
    let loudest = windows.iter().copied().fold(0.0_f32, f32::max);
    // Quiet recordings are gated relative to their own peak; near silence is nobody speaking.
    let threshold = (loudest * 0.08).max(0.003);
    let mut segments = Vec::new();
    let mut open: Option<(usize, usize)> = None;
    for (index, loudness) in windows.iter().enumerate() {
        if *loudness < threshold {
            continue;
        }
        open = match open {
            Some((start, last))
                if index - last <= BRIDGED_WINDOWS && index - start < LONGEST_WINDOWS =>
            {
                Some((start, index))
            }
            Some(done) => {
                close(&mut segments, done, channel);
                Some((index, index))
            }
            None => Some((index, index)),
        };
    }
    if let Some(done) = open {
        close(&mut segments, done, channel);
    }
    segments
}

fn close(segments: &mut Vec<Segment>, (start, last): (usize, usize), channel: usize) {
    if last + 1 - start >= SHORTEST_WINDOWS {
        segments.push(Segment {
            start: at(start),
            end: at(last + 1),
            channel,
        });
    }
}

fn at(window: usize) -> f64 {
    as_f64(window) * WINDOW_SECONDS
}

#[expect(
    clippy::cast_precision_loss,
    reason = "window and sample counts stay far below 2^52"
)]
fn as_f64(count: usize) -> f64 {
    count as f64
}
