//! Secrets, of which there is no example that anybody could take over.

use super::*;

/// What an example of it says how to make, and is no secret itself.
pub(super) const SECRETS: [(&str, &str); 4] = [
    ("GLADIA_API_KEY", "gladia-key"),
    ("CALLBACK_KEYS", KEYS),
    ("BOOTSTRAP_API_KEY", "0123456789abcdef01234567"),
    ("GLADIA_WEBHOOK_SECRETS", "whsec_MDEyMzQ1Njc4OWFiY2RlZg=="),
];

#[test]
fn a_secret_that_was_published_as_an_example_is_refused() {
    let random = "`openssl rand -hex 32` makes one";
    let key = "0f1e2d3c4b5a69788796a5b4c3d2e1f0";
    let webhooks = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    for (name, value, source) in [
        ("CALLBACK_KEYS", format!("2026-01:{key}{key}"), random),
        ("CALLBACK_KEYS", format!("{KEYS},old:{key}…"), random),
        (
            "BOOTSTRAP_API_KEY",
            "5d41402abc4b2a76b9719d911017c592".to_owned(),
            random,
        ),
        (
            "GLADIA_WEBHOOK_SECRETS",
            format!("whsec_AAAA,{webhooks}"),
            "Gladia's dashboard shows the right one",
        ),
        (
            "GLADIA_API_KEY",
            "12345678-90ab-cdef-1234-567890abcdef".to_owned(),
            "Gladia's dashboard shows the right one",
        ),
    ] {
        let message = refusal(&with(&[(name, &value)]), &[]);
        let told = format!(
            "must not hold a secret that is published as an example, as it does: {source}\n    Example: {name}="
        );
        assert!(
            message.contains(&format!("\n  {name} (or --")) && message.contains(&told),
            "{message}"
        );
        assert!(!message.contains(&value), "{message}");
    }
    for (name, own) in SECRETS {
        serve(&with(&[(name, own)]), &[]).unwrap();
    }
}
