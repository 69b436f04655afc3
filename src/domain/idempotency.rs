//! Idempotency keys: the same request twice makes one job.

use std::fmt;

use sha2::{Digest, Sha256};

/// A caller's `Idempotency-Key`: 1 to 255 visible ASCII characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyKey(String);

impl IdempotencyKey {
    /// The rule, for messages.
    pub const RULE: &'static str = "must be 1 to 255 visible ASCII characters, for example a UUID";

    /// Accepts a header's bytes.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?;
        let visible = text
            .bytes()
            .all(|byte| byte.is_ascii_graphic() || byte == b' ');
        let fits =
            (1..=255).contains(&text.len()) && !text.starts_with(' ') && !text.ends_with(' ');
        (visible && fits).then(|| Self(text.to_owned()))
    }

    /// The key.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Which operation a fingerprint belongs to: a key used for one is not valid for the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// `POST /v1/transcriptions`.
    CreateTranscription,
    /// `POST /v1/transcriptions/upload`.
    CreateTranscriptionFromFile,
}

impl Operation {
    fn name(self) -> &'static str {
        match self {
            Self::CreateTranscription => "create_transcription",
            Self::CreateTranscriptionFromFile => "create_transcription_from_file",
        }
    }
}

/// What must be equal for a request to be a repetition: operation, canonical options, and the audio.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// Computes it. `audio` is the URL, or the SHA-256 of the file.
    #[must_use]
    pub fn new(operation: Operation, canonical_options: &str, audio: &[u8]) -> Self {
        let mut hash = Sha256::new();
        for part in [
            operation.name().as_bytes(),
            canonical_options.as_bytes(),
            audio,
        ] {
            // Lengths keep the parts apart.
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        Self(hash.finalize().into())
    }

    /// As stored.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fingerprint")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_visible_ascii_of_a_bounded_length() {
        for good in ["a", "2f1c-77", &"x".repeat(255), "with space"] {
            assert!(IdempotencyKey::parse(good.as_bytes()).is_some(), "{good}");
        }
        for bad in ["", " ", " a", "a ", "tab\t", "ü", &"x".repeat(256)] {
            assert!(IdempotencyKey::parse(bad.as_bytes()).is_none(), "{bad:?}");
        }
    }

    #[test]
    fn every_part_counts() {
        let base = Fingerprint::new(Operation::CreateTranscription, "{}", b"audio");
        assert_ne!(
            base,
            Fingerprint::new(Operation::CreateTranscriptionFromFile, "{}", b"audio")
        );
        assert_ne!(
            base,
            Fingerprint::new(Operation::CreateTranscription, "{ }", b"audio")
        );
        assert_ne!(
            base,
            Fingerprint::new(Operation::CreateTranscription, "{}a", b"udio")
        );
        assert_eq!(
            base,
            Fingerprint::new(Operation::CreateTranscription, "{}", b"audio")
        );
    }
}
