//! Signatures of Standard Webhooks, version 1 (<https://www.standardwebhooks.com>): receivers check them with that project's
//! libraries or Svix's.

use base64::{Engine, prelude::BASE64_STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::message::SigningSecret;

/// The value of `webhook-signature`: one signature for each secret, so that a receiver finds the one of the secret that it
/// holds. `timestamp` is that of this try, in seconds, since receivers refuse old ones.
#[must_use]
pub fn sign(id: &str, timestamp: i64, body: &[u8], secrets: &[SigningSecret]) -> String {
    let signatures = secrets.iter().filter_map(|secret| {
        // HMAC takes keys of any length. A secret that it did not take would sign nothing.
        let mut mac = Hmac::<Sha256>::new_from_slice(&secret.0).ok()?;
        mac.update(id.as_bytes());
        mac.update(format!(".{timestamp}.").as_bytes());
        mac.update(body);
        let tag = mac.finalize().into_bytes();
        Some(format!("v1,{}", BASE64_STANDARD.encode(tag)))
    });
    signatures.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use reqwest::header::{HeaderMap, HeaderName, HeaderValue};

    use super::*;

    const SECRET: &str = "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    fn secret(encoded: &str) -> SigningSecret {
        SigningSecret(BASE64_STANDARD.decode(encoded).unwrap())
    }

    /// The example of the specification's libraries.
    #[test]
    fn the_published_example_is_met() {
        let signed = sign(
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            1_614_265_330,
            br#"{"test": 2432232314}"#,
            &[secret(SECRET)],
        );
        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn each_holder_of_a_secret_finds_its_signature() {
        let other = BASE64_STANDARD.encode([7; 32]);
        let body = br#"{"id":"evt_1"}"#;
        let now = i64::try_from(UNIX_EPOCH.elapsed().unwrap().as_secs()).unwrap();
        // As the library of the specification does, with a clock of its own.
        let verify = |holds: &str, timestamp: i64, body: &[u8]| {
            let secrets = [secret(&other), secret(SECRET)];
            let signed = sign("evt_1", timestamp, br#"{"id":"evt_1"}"#, &secrets);
            let headers = [
                ("webhook-id", "evt_1"),
                ("webhook-timestamp", &timestamp.to_string()),
                ("webhook-signature", &signed),
            ];
            let headers = headers.map(|(name, value)| {
                let name = HeaderName::from_static(name);
                (name, HeaderValue::from_str(value).unwrap())
            });
            let webhook = standardwebhooks::Webhook::new(holds).unwrap();
            webhook.verify(body, &HeaderMap::from_iter(headers)).is_ok()
        };
        assert!(verify(&other, now, body));
        assert!(verify(&format!("whsec_{SECRET}"), now, body));

        assert!(!verify(&BASE64_STANDARD.encode([8; 32]), now, body));
        assert!(!verify(SECRET, now, br#"{"id":"evt_2"}"#));
        assert!(!verify(SECRET, now - 3600, body));
    }
}
