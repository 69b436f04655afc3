//! Account webhooks: who one is from, and what it says.
//!
//! Set up in Gladia's dashboard, they tell of every job of the account, and of nothing but its id: `{"event":
//! "transcription.success", "payload": {"id"}}` (OpenAPI `webhooks`). Svix delivers and signs them: the header
//! `svix-signature` holds `v1,` and the base64 HMAC-SHA256 of `id.timestamp.body`, once for each secret (docs.svix.com).

use std::time::Duration;

use base64::{Engine, prelude::BASE64_STANDARD};
use chrono::{DateTime, TimeDelta, Utc};
use hmac::{Hmac, KeyInit, Mac};
use serde::Deserialize;
use sha2::Sha256;

use super::{create::is_plausible_id, webhook_secrets::WebhookSecrets};
use crate::domain::webhook::WebhookEvent;

/// How far a message's time may be from ours. Longer ago, it may be one that somebody has kept.
const TOLERANCE: Duration = Duration::from_mins(5);

/// No id of Svix's is longer.
const MAX_ID_BYTES: usize = 256;

/// How many signatures are looked at. While a secret rotates there are two.
const MAX_SIGNATURES: usize = 16;

/// What HMAC-SHA256 gives.
const SIGNATURE_BYTES: usize = 32;

/// What Svix puts around a message.
#[derive(Debug, Clone, Copy)]
pub struct Envelope<'a> {
    /// `svix-id`.
    pub id: &'a str,
    /// `svix-timestamp`: seconds since 1970.
    pub timestamp: &'a str,
    /// `svix-signature`.
    pub signatures: &'a str,
}

impl Envelope<'_> {
    /// Whether everything is there that a signature takes. What has less is not signed, whatever its body.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        (1..=MAX_ID_BYTES).contains(&self.id.len())
            && self.sent_at().is_some()
            && self.signatures().next().is_some()
    }

    fn sent_at(&self) -> Option<DateTime<Utc>> {
        let seconds = self.timestamp.parse().ok()?;
        DateTime::from_timestamp(seconds, 0)
    }

    /// Those that have the form of one.
    fn signatures(&self) -> impl Iterator<Item = Vec<u8>> {
        self.signatures
            .split(' ')
            .filter_map(|signature| signature.strip_prefix("v1,"))
            .take(MAX_SIGNATURES)
            .filter_map(|encoded| BASE64_STANDARD.decode(encoded).ok())
            .filter(|signature| signature.len() == SIGNATURE_BYTES)
    }

    /// Whether one of the secrets signed the body with this id and this time. Compares in constant time.
    #[must_use]
    pub fn is_signed(&self, body: &[u8], secrets: &WebhookSecrets) -> bool {
        if !self.is_whole() {
            return false;
        }
        let signatures: Vec<Vec<u8>> = self.signatures().collect();
        secrets.iter().any(|secret| {
            let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret) else {
                return false;
            };
            for part in [
                self.id.as_bytes(),
                b".",
                self.timestamp.as_bytes(),
                b".",
                body,
            ] {
                mac.update(part);
            }
            signatures
                .iter()
                .any(|signature| mac.clone().verify_slice(signature).is_ok())
        })
    }

    /// Whether its time is about now.
    #[must_use]
    pub fn is_timely(&self, now: DateTime<Utc>) -> bool {
        let tolerance = TimeDelta::from_std(TOLERANCE).unwrap_or_default();
        self.sent_at()
            .is_some_and(|sent| (now - sent).abs() <= tolerance)
    }
}

/// A message that was understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// What happened.
    pub event: WebhookEvent,
    /// To which of Gladia's jobs.
    pub gladia_id: String,
}

/// What a verified body says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// Something about a job.
    Message(Message),
    /// Something else, which is for others.
    OtherEvent,
    /// It cannot be read.
    Unreadable,
}

#[derive(Deserialize)]
struct Body {
    event: String,
    #[serde(default)]
    payload: Option<Payload>,
}

#[derive(Deserialize)]
struct Payload {
    #[serde(default)]
    id: Option<String>,
}

/// Reads a body.
#[must_use]
pub fn read(body: &[u8]) -> Said {
    let Ok(Body { event, payload }) = serde_json::from_slice::<Body>(body) else {
        return Said::Unreadable;
    };
    let Ok(event) = event.parse() else {
        return Said::OtherEvent;
    };
    match payload.and_then(|payload| payload.id) {
        Some(gladia_id) if is_plausible_id(&gladia_id) => {
            Said::Message(Message { event, gladia_id })
        }
        _ => Said::Unreadable,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // The published example of Svix's libraries.
    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const BODY: &[u8] = br#"{"test": 2432232314}"#;
    const SIGNED: Envelope<'_> = Envelope {
        id: "msg_p5jXN8AQM9LWM0D4loKWxJek",
        timestamp: "1614265330",
        signatures: "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    };

    fn secrets(text: &str) -> WebhookSecrets {
        text.parse().unwrap()
    }

    #[test]
    fn a_message_is_signed_with_its_id_its_time_and_its_body() {
        let ours = secrets(SECRET);
        assert!(SIGNED.is_signed(BODY, &ours));
        assert!(!SIGNED.is_signed(b"{}", &ours));
        for changed in [
            Envelope {
                id: "msg_other",
                ..SIGNED
            },
            Envelope {
                timestamp: "1614265331",
                ..SIGNED
            },
            Envelope {
                signatures: "",
                ..SIGNED
            },
            Envelope {
                signatures: "v2,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
                ..SIGNED
            },
            Envelope {
                signatures: "v1,AAAA v1,?",
                ..SIGNED
            },
        ] {
            assert!(!changed.is_signed(BODY, &ours), "{changed:?}");
        }
        assert!(!SIGNED.is_signed(BODY, &secrets("whsec_AAAA")));
    }

    #[test]
    fn any_of_the_secrets_and_any_of_the_signatures_will_do() {
        assert!(SIGNED.is_signed(BODY, &secrets(&format!("whsec_AAAA, {SECRET}"))));
        let both = format!("v1,AAAA {}", SIGNED.signatures);
        let rotating = Envelope {
            signatures: &both,
            ..SIGNED
        };
        assert!(rotating.is_signed(BODY, &secrets(SECRET)));
    }

    #[test]
    fn a_message_is_timely_for_five_minutes() {
        let at = |seconds: i64| DateTime::from_timestamp(1_614_265_330 + seconds, 0).unwrap();
        assert!(SIGNED.is_timely(at(0)) && SIGNED.is_timely(at(300)) && SIGNED.is_timely(at(-300)));
        assert!(!SIGNED.is_timely(at(301)) && !SIGNED.is_timely(at(-301)));
        let broken = Envelope {
            timestamp: "yesterday",
            ..SIGNED
        };
        assert!(!broken.is_timely(at(0)));
    }

    #[test]
    fn what_is_said_is_an_event_and_an_id() {
        let body = br#"{"event":"transcription.success","payload":{"id":"a-b"},"more":1}"#;
        let message = Message {
            event: WebhookEvent::Success,
            gladia_id: "a-b".into(),
        };
        assert_eq!(read(body), Said::Message(message));
        assert_eq!(read(br#"{"event":"live.ended"}"#), Said::OtherEvent);
        for body in [
            &b"no JSON"[..],
            b"{}",
            br#"{"event":"transcription.success"}"#,
            br#"{"event":"transcription.success","payload":{"id":"a b"}}"#,
        ] {
            assert_eq!(read(body), Said::Unreadable);
        }
    }
}
