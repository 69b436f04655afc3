//! Idempotency keys: the same request twice makes one job, or one batch.

use std::fmt;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};

use super::ids::{ApiKeyId, BatchId, JobId};

/// A caller's `Idempotency-Key`: 1 to 255 printable ASCII characters, no space at either end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyKey(String);

impl IdempotencyKey {
    /// The rule, for messages.
    pub const RULE: &'static str =
        "must be 1 to 255 printable ASCII characters, for example a UUID";

    /// Accepts a header's bytes.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?;
        let printable = text
            .bytes()
            .all(|byte| byte.is_ascii_graphic() || byte == b' ');
        let fits =
            (1..=255).contains(&text.len()) && !text.starts_with(' ') && !text.ends_with(' ');
        (printable && fits).then(|| Self(text.to_owned()))
    }

    /// The key of a create that comes without one: whose it is, with which program, and every byte of its body. No caller's
    /// own key is like it, since it is not ASCII.
    #[must_use]
    pub fn of_create(api_key_id: ApiKeyId, client: &[u8], body: &[u8]) -> (Self, Fingerprint) {
        let mut parts = Parts::of(Operation::CreatePreRecorded);
        parts.add(api_key_id.0.as_bytes());
        parts.add(client);
        parts.add(body);
        let fingerprint = parts.finish();
        let text = BASE64_URL_SAFE_NO_PAD.encode(fingerprint.0);
        (Self(format!("§{text}")), fingerprint)
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
    /// `POST /v1/batches`.
    CreateBatch,
    /// `POST /v2/pre-recorded`.
    CreatePreRecorded,
}

impl Operation {
    fn name(self) -> &'static str {
        match self {
            Self::CreateTranscription => "create_transcription",
            Self::CreateTranscriptionFromFile => "create_transcription_from_file",
            Self::CreateBatch => "create_batch",
            // Hashed into keys that are stored, so it stays as it is.
            Self::CreatePreRecorded => "create_again",
        }
    }
}

/// What a request with a key has made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Made {
    /// A job.
    Job(JobId),
    /// A batch with its jobs.
    Batch(BatchId),
}

/// What must be equal for a request to be a repetition: operation, canonical options, and the audio; of a batch all its
/// requests.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// Computes it. `audio` is the URL, or the SHA-256 of the file.
    #[must_use]
    pub fn new(operation: Operation, canonical_options: &str, audio: &[u8]) -> Self {
        let mut parts = Parts::of(operation);
        parts.add(canonical_options.as_bytes());
        parts.add(audio);
        parts.finish()
    }

    /// Computes it for a batch, from the one spelling of each request as it came: those that break rules have no options to
    /// compare.
    #[must_use]
    pub fn of_batch(requests: &[String], all_or_nothing: bool) -> Self {
        let mut parts = Parts::of(Operation::CreateBatch);
        parts.add(&[u8::from(all_or_nothing)]);
        for request in requests {
            parts.add(request.as_bytes());
        }
        parts.finish()
    }

    /// As stored.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// A hash over parts that cannot run into each other.
struct Parts(Sha256);

impl Parts {
    fn of(operation: Operation) -> Self {
        let mut parts = Self(Sha256::new());
        parts.add(operation.name().as_bytes());
        parts
    }

    fn add(&mut self, part: &[u8]) {
        // Lengths keep the parts apart.
        self.0.update((part.len() as u64).to_be_bytes());
        self.0.update(part);
    }

    fn finish(self) -> Fingerprint {
        Fingerprint(self.0.finalize().into())
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
    fn keys_are_printable_ascii_of_a_bounded_length() {
        for good in ["a", "2f1c-77", &"x".repeat(255), "with space"] {
            assert!(IdempotencyKey::parse(good.as_bytes()).is_some(), "{good}");
        }
        for bad in ["", " ", " a", "a ", "tab\t", "ü", &"x".repeat(256)] {
            assert!(IdempotencyKey::parse(bad.as_bytes()).is_none(), "{bad:?}");
        }
    }

    #[test]
    fn the_key_of_a_create_is_no_callers_own() {
        let of = |api_key_id, client: &[u8], body: &[u8]| {
            let id = ApiKeyId(uuid::Uuid::from_u128(api_key_id));
            IdempotencyKey::of_create(id, client, body).0
        };
        let base = of(1, b"SdkPython/2.2.1", b"{}");
        assert!(IdempotencyKey::parse(base.as_str().as_bytes()).is_none());
        assert_eq!(base, of(1, b"SdkPython/2.2.1", b"{}"));
        for other in [
            of(2, b"SdkPython/2.2.1", b"{}"),
            of(1, b"", b"{}"),
            of(1, b"SdkPython/2.2.1", b"{ }"),
        ] {
            assert_ne!(base, other);
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

    #[test]
    fn a_batch_is_its_requests_in_their_order() {
        let of = |requests: &[&str], all_or_nothing| {
            let requests: Vec<String> = requests.iter().map(|text| (*text).to_owned()).collect();
            Fingerprint::of_batch(&requests, all_or_nothing)
        };
        let base = of(&["{}", "3"], false);
        assert_eq!(base, of(&["{}", "3"], false));
        for other in [
            of(&["{}", "3"], true),
            of(&["3", "{}"], false),
            of(&["{}"], false),
            of(&["{}3"], false),
        ] {
            assert_ne!(base, other);
        }
    }
}
