//! Recordings that are made here.

/// Seconds of a quiet tone as 16-bit PCM.
pub fn wav(seconds: f64, rate: u32, channels: u16) -> Vec<u8> {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a few seconds of samples"
    )]
    let frames = (seconds * f64::from(rate)).round() as u32;
    let length = frames * u32::from(channels) * 2;
    let mut file = Vec::new();
    file.extend(b"RIFF");
    file.extend((36 + length).to_le_bytes());
    file.extend(b"WAVEfmt ");
    file.extend(16_u32.to_le_bytes());
    file.extend(1_u16.to_le_bytes());
    file.extend(channels.to_le_bytes());
    file.extend(rate.to_le_bytes());
    file.extend((rate * u32::from(channels) * 2).to_le_bytes());
    file.extend((channels * 2).to_le_bytes());
    file.extend(16_u16.to_le_bytes());
    file.extend(b"data");
    file.extend(length.to_le_bytes());
    for frame in 0..frames {
        for channel in 0..channels {
            // Another pitch in each channel, so that no decoder takes them for one.
            let period = 80 + i32::from(channel) * 40;
            let phase = i32::try_from(frame % 10_000).unwrap_or_default() % period;
            #[expect(clippy::cast_possible_truncation, reason = "the amplitude fits")]
            let sample = ((phase - period / 2) * 100) as i16;
            file.extend(sample.to_le_bytes());
        }
    }
    file
}

/// A second of speech-like sound in one channel.
pub fn short() -> Vec<u8> {
    wav(1.0, 8_000, 1)
}
