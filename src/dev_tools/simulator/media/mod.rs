//! What kind of audio a file is: how long, how many channels, and where somebody speaks.
//!
//! Files are decoded with symphonia. What it can demux but not decode is measured by its packets; what is recognised
//! as media and cannot even be demuxed gets an estimate from its size. Everything else is no media.

mod speech;

use std::io::Read as _;

use infer::MatcherType;
use symphonia::core::{
    audio::Channels,
    codecs::{
        CodecParameters,
        audio::{AudioDecoder, AudioDecoderOptions},
    },
    errors::Error as DecodeError,
    formats::{FormatOptions, FormatReader, TrackType, probe::Hint},
    io::{MediaSourceStream, MediaSourceStreamOptions},
    meta::MetadataOptions,
    packet::Packet,
};

use self::speech::Loudness;
pub(super) use self::speech::Segment;
use super::storage::Content;

/// Speech is looked for in this much audio from the start; in the rest it is assumed.
const LISTENED_SECONDS: f64 = 600.0;

/// Bytes a second of media that nothing here can read: 128 kbit/s.
const ESTIMATED_RATE: f64 = 16_000.0;

/// How AC-3 and E-AC-3 begin, which `infer` does not know.
const DOLBY_DIGITAL: &[u8] = &[0x0B, 0x77];

/// What was found in a file.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Media {
    /// Length in seconds.
    pub(super) duration: f64,
    /// Channels in the file.
    pub(super) channels: usize,
    /// Channels that differ from each other, which is what is billed.
    pub(super) distinct_channels: usize,
    /// Where somebody speaks, in order of time.
    pub(super) speech: Vec<Segment>,
}

impl Media {
    /// Audio that nobody has heard: speech is assumed in regular turns.
    pub(super) fn assumed(duration: f64, channels: usize) -> Self {
        Self {
            duration,
            channels,
            distinct_channels: channels,
            speech: speech::assumed(0.0, duration, channels),
        }
    }
}

/// Why a file is not taken; the text is what Gladia quotes.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub(super) enum MediaError {
    /// More than two channels.
    #[error("Only mono and stereo supported, got {0} channels")]
    Channels(usize),
    /// Not audio, or audio without a frame in it.
    #[error("Unsupported codec or no audio stream found")]
    NotMedia,
}

/// Measures a file. Blocks, so it belongs on a blocking thread.
pub(super) fn inspect(content: &Content, filename: &str) -> Result<Media, MediaError> {
    let mut head = Vec::new();
    content
        .reader()
        .take(8192)
        .read_to_end(&mut head)
        .map_err(|_| MediaError::NotMedia)?;
    let kind = infer::get(&head).map(|kind| kind.matcher_type());
    // Not every MPEG audio stream starts with bytes that are recognised, so unknown bytes get their chance.
    let recognised = matches!(kind, Some(MatcherType::Audio | MatcherType::Video))
        || head.starts_with(DOLBY_DIGITAL);
    if kind.is_some() && !recognised {
        return Err(MediaError::NotMedia);
    }
    match demux(content, filename) {
        Demuxed::Audio(media) if media.channels > 2 => Err(MediaError::Channels(media.channels)),
        Demuxed::Audio(media) if media.duration > 0.0 => Ok(media),
        Demuxed::Unreadable if recognised && content.len() > 1024 => {
            #[expect(
                clippy::cast_precision_loss,
                reason = "an estimate of a duration from a file size needs no more than 52 bits"
            )]
            let duration = content.len() as f64 / ESTIMATED_RATE;
            Ok(Media::assumed(duration, 1))
        }
        _ => Err(MediaError::NotMedia),
    }
}

/// What the libraries make of a file.
enum Demuxed {
    Audio(Media),
    /// A container that was read, and has no audio in it.
    Silent,
    Unreadable,
}

fn demux(content: &Content, filename: &str) -> Demuxed {
    let mut hint = Hint::new();
    if let Some((_, extension)) = filename.rsplit_once('.') {
        hint.with_extension(extension);
    }
    let stream = MediaSourceStream::new(
        Box::new(content.reader()),
        MediaSourceStreamOptions::default(),
    );
    let probed = symphonia::default::get_probe().probe(
        &hint,
        stream,
        FormatOptions::default(),
        MetadataOptions::default(),
    );
    let Ok(mut format) = probed else {
        return Demuxed::Unreadable;
    };
    let Some(track) = format.default_track(TrackType::Audio).cloned() else {
        return Demuxed::Silent;
    };
    let parameters = track.codec_params.as_ref().and_then(CodecParameters::audio);
    let mut decoder = parameters.and_then(|parameters| {
        symphonia::default::get_codecs()
            .make_audio_decoder(parameters, &AudioDecoderOptions::default())
            .ok()
    });

    let mut listener = Listener::default();
    let mut ticks: u64 = 0;
    let mut last: i64 = 0;
    while let Some(packet) = next_packet(&mut *format) {
        if packet.track_id != track.id {
            continue;
        }
        ticks = ticks.saturating_add(packet.dur.get());
        last = last.max(packet.pts.get());
        if let Some(decoder) = &mut decoder
            && listener.seconds() < LISTENED_SECONDS
        {
            listener.hear(&mut **decoder, &packet);
        }
    }
    if decoder.is_some() && listener.channels.is_none() {
        // A decoder that makes nothing of any packet means that this only looked like its format.
        return Demuxed::Unreadable;
    }
    // Where packets do not say how long they are, the last one's time has to do.
    let ticks = if ticks > 0 {
        ticks
    } else {
        last.unsigned_abs()
    };
    let duration = track
        .time_base
        .and_then(|base| base.calc_duration(ticks.into()))
        .map(|time| time.as_secs_f64())
        .filter(|seconds| *seconds > 0.0)
        .unwrap_or_else(|| listener.seconds());
    let declared = parameters.and_then(|parameters| parameters.channels.as_ref());
    let channels = listener
        .channels
        .or_else(|| declared.map(Channels::count))
        .unwrap_or(1);
    if decoder.is_none() || channels > 2 {
        return Demuxed::Audio(Media::assumed(duration, channels));
    }
    let distinct_channels = if listener.identical { 1 } else { channels };
    let mut speech = listener.loudness.speech(listener.identical);
    if duration > LISTENED_SECONDS {
        speech.extend(speech::assumed(
            LISTENED_SECONDS,
            duration,
            distinct_channels,
        ));
    }
    Demuxed::Audio(Media {
        duration,
        channels,
        distinct_channels,
        speech,
    })
}

/// The next packet, or none at the end. A damaged tail ends the file like its end does.
fn next_packet(format: &mut dyn FormatReader) -> Option<Packet> {
    format.next_packet().ok().flatten()
}

/// Hears decoded audio: its channels, whether they are the same, and how loud each is over time.
#[derive(Debug)]
struct Listener {
    channels: Option<usize>,
    identical: bool,
    loudness: Loudness,
    samples: Vec<f32>,
}

impl Default for Listener {
    fn default() -> Self {
        Self {
            channels: None,
            identical: true,
            loudness: Loudness::default(),
            samples: Vec::new(),
        }
    }
}

impl Listener {
    fn seconds(&self) -> f64 {
        self.loudness.seconds()
    }

    fn hear(&mut self, decoder: &mut dyn AudioDecoder, packet: &Packet) {
        let audio = match decoder.decode(packet) {
            Ok(audio) => audio,
            Err(DecodeError::ResetRequired) => {
                decoder.reset();
                return;
            }
            Err(_) => return,
        };
        let channels = audio.spec().channels().count();
        if channels == 0 || audio.frames() == 0 {
            return;
        }
        let rate = audio.spec().rate();
        self.channels = Some(channels);
        audio.copy_to_vec_interleaved(&mut self.samples);
        if channels == 2 {
            // Lossy codecs make the same channel twice into nearly the same samples.
            self.identical &= self
                .samples
                .as_chunks::<2>()
                .0
                .iter()
                .all(|[left, right]| (left - right).abs() < 0.002);
        }
        self.loudness.hear(&self.samples, channels, rate);
    }
}
