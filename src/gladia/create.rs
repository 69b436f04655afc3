//! `POST /v2/pre-recorded`: the one call that is billed.
//!
//! Gladia bills each create that it accepts and recognises no repetition, and an error answer may follow an acceptance.
//! So this module's result is not success or failure but what is proven ([`SubmitOutcome`]). Two facts carry it: whether
//! the body was handed to the transport at all, which the body itself records, and whether a refusal stands in Gladia's
//! own envelope.

use bytes::Bytes;
use reqwest::{Response, header::CONTENT_TYPE};
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use url::Url;

use super::{
    client::GladiaClient,
    error::{ErrorEnvelope, describe_transport, read_said},
    guarded_body::{GuardedBody, Leave, SendDeadline},
    rate_limit::rate_limit_message,
    retry_after::retry_after,
};
use crate::domain::{
    attempt::SubmitOutcome,
    ids::AttemptId,
    options::{CALLBACK_OPTIONS, RESERVED_METADATA_KEY},
};

/// What the caller asks of Gladia: the options that were checked, over them what is to be passed on unchecked, and the
/// audio, if it is known. Its callback is none of Gladia's business: the gateway itself calls it. `request` is `{"options": …, "extra_options": …}`, as jobs hold it.
#[must_use]
pub fn requested_body(request: &Value, audio_url: Option<&str>) -> Map<String, Value> {
    let part = |name: &str| {
        request
            .get(name)
            .and_then(Value::as_object)
            .cloned()
            .unwrap_or_default()
    };
    let mut body = part("options");
    body.extend(part("extra_options"));
    body.retain(|name, _| !CALLBACK_OPTIONS.contains(&name.as_str()));
    if let Some(url) = audio_url {
        body.insert("audio_url".into(), url.into());
    }
    body
}

/// Builds the whole body: what the caller asks, our callback unless the result is to be asked for, and the key in the
/// metadata that names the attempt.
#[must_use]
pub fn create_body(
    request: &Value,
    audio_url: &str,
    callback_url: Option<&Url>,
    attempt_id: AttemptId,
) -> Map<String, Value> {
    let mut body = requested_body(request, Some(audio_url));
    if let Some(url) = callback_url {
        body.insert("callback".into(), true.into());
        body.insert(
            "callback_config".into(),
            json!({ "url": url.as_str(), "method": "POST" }),
        );
    }
    match body.entry("custom_metadata").or_insert_with(|| json!({})) {
        Value::Object(metadata) => {
            metadata.insert(RESERVED_METADATA_KEY.into(), attempt_id.to_string().into());
        }
        other => *other = json!({ RESERVED_METADATA_KEY: attempt_id.to_string() }),
    }
    body
}

/// The answer to an accepted create.
#[derive(Deserialize)]
struct Created {
    id: String,
}

impl GladiaClient {
    /// Sends a create, unless `send_deadline` passes before its body would leave.
    pub async fn create(
        &self,
        body: &Map<String, Value>,
        send_deadline: SendDeadline,
    ) -> SubmitOutcome {
        let bytes = match serde_json::to_vec(body) {
            Ok(bytes) => Bytes::from(bytes),
            Err(error) => {
                return SubmitOutcome::NotSent {
                    detail: error.to_string(),
                };
            }
        };
        let leave = Leave::default();
        let body = GuardedBody::new(bytes, leave.clone(), send_deadline);
        let sent = self
            .create
            .post(self.url(&["v2", "pre-recorded"]))
            .header(CONTENT_TYPE, "application/json")
            .body(reqwest::Body::wrap(body))
            .send()
            .await;
        match sent {
            Ok(response) => read_answer(response, &self.api_key).await,
            Err(error) => {
                let timed_out = if error.is_timeout() {
                    "timed out: "
                } else {
                    ""
                };
                let detail = format!("{timed_out}{}", describe_transport(&error));
                if leave.withdraw() {
                    SubmitOutcome::NotSent { detail }
                } else {
                    SubmitOutcome::Unknown {
                        http_status: None,
                        detail,
                    }
                }
            }
        }
    }
}

/// What an answer proves.
async fn read_answer(mut response: Response, key: &SecretString) -> SubmitOutcome {
    let status = response.status().as_u16();
    let retry_after = retry_after(response.headers());
    let unknown = |detail: &str| SubmitOutcome::Unknown {
        http_status: Some(status),
        detail: detail.into(),
    };
    let Some(body) = read_said(&mut response, key).await else {
        return unknown("the answer broke off or was too long");
    };
    if response.status().is_success() {
        return match serde_json::from_slice::<Created>(&body) {
            Ok(Created { id }) if is_plausible_id(&id) => SubmitOutcome::Accepted { gladia_id: id },
            _ => unknown("a success without an id"),
        };
    }
    match (status, ErrorEnvelope::parse(status, &body)) {
        (429, Some(envelope)) => SubmitOutcome::Busy {
            message: envelope.describe(),
            retry_after,
        },
        (429, None) => match rate_limit_message(&body) {
            Some(message) => SubmitOutcome::Busy {
                message,
                retry_after,
            },
            None => unknown("an answer without Gladia's error envelope"),
        },
        // A bill that is not paid is the account's, as its key is: no job is to end by it.
        (401..=403, Some(envelope)) => SubmitOutcome::KeyRefused {
            http_status: status,
            message: envelope.describe(),
        },
        // A timeout and every 5xx may come after the acceptance, whoever worded them.
        (408 | 500.., envelope) => {
            let message = envelope.map(|envelope| envelope.describe());
            SubmitOutcome::Unknown {
                http_status: Some(status),
                detail: message.unwrap_or_else(|| "an error without Gladia's envelope".into()),
            }
        }
        // Nothing of the request was looked at.
        (400..500, Some(envelope)) if envelope.knows_no_route() => SubmitOutcome::NotSent {
            detail: envelope.describe(),
        },
        (400..500, Some(envelope)) if is_about_the_gateway(&envelope) => {
            SubmitOutcome::GatewayRefused {
                http_status: status,
                message: envelope.describe(),
            }
        }
        (400..500, Some(envelope)) => SubmitOutcome::Refused {
            http_status: status,
            message: envelope.describe(),
        },
        _ => unknown("an answer without Gladia's error envelope"),
    }
}

/// Whether all that Gladia finds wrong stands in what the gateway adds ([`create_body`]). Where something of the caller's is wrong
/// as well, or nothing is named, that ends its job, whatever becomes of the rest.
fn is_about_the_gateway(envelope: &ErrorEnvelope) -> bool {
    let told = match envelope.validation_errors.as_slice() {
        [] => &envelope.sentences,
        errors => errors,
    };
    !told.is_empty() && told.iter().all(|error| names_what_we_add(error))
}

/// Whether one of class-validator's sentences is about a field that only the gateway sets: it begins with the field, or is about
/// a property that should not exist, in it or by its name.
///
/// Callers may give options any names, such as `callback.x`, of which Gladia is to say that they should not exist. Such a name is the
/// gateway's as a whole or not at all: else a caller could have everybody wait for what its own job is refused for.
fn names_what_we_add(error: &str) -> bool {
    if let Some(name) = unknown_property(error) {
        return CALLBACK_OPTIONS.contains(&name);
    }
    if let Some(of_metadata) = error.strip_prefix("custom_metadata.") {
        let begins = of_metadata.split(' ').next();
        return begins == Some(RESERVED_METADATA_KEY)
            || unknown_property(of_metadata) == Some(RESERVED_METADATA_KEY);
    }
    let is_of_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let top = error.split(|c| !is_of_name(c)).next().unwrap_or_default();
    CALLBACK_OPTIONS.contains(&top)
}

/// The name of a property that should not exist, where that is what an error says.
fn unknown_property(error: &str) -> Option<&str> {
    error
        .strip_prefix("property ")?
        .strip_suffix(" should not exist")
}

/// Gladia's ids are lower-case UUIDs today. Anything short and printable is taken as it is.
#[must_use]
pub fn is_plausible_id(id: &str) -> bool {
    (1..=128).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic())
}

/// The same of one that somebody typed in, where Gladia may not be asked whether it has it. It becomes a part of addresses, so what
/// leads elsewhere in one is refused.
#[must_use]
pub fn is_plausible_typed_id(id: &str) -> bool {
    let is_usual = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ':');
    is_plausible_id(id) && id.chars().all(is_usual) && id != "." && !id.contains("..")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_gateway_adds_is_told_from_what_its_callers_ask_for() {
        let is_ours = |message: Value, errors: Value| {
            let body =
                json!({ "statusCode": 400, "message": message, "validation_errors": errors });
            let envelope = ErrorEnvelope::parse(400, body.to_string().as_bytes());
            is_about_the_gateway(&envelope.unwrap())
        };
        let general = "Invalid parameter(s). See validation_errors for more details.";
        for errors in [
            json!(["callback_config.url must be a URL address"]),
            json!([
                "callback_url must be a URL address",
                "callback must be a boolean value"
            ]),
            json!(["property callback_config should not exist"]),
            json!(["callback_config.property method should not exist"]),
            json!(["custom_metadata.gladia_gateway_attempt must be a number"]),
            json!(["custom_metadata.property gladia_gateway_attempt should not exist"]),
        ] {
            assert!(is_ours(json!(general), errors.clone()), "{errors}");
            assert!(is_ours(errors.clone(), Value::Null), "{errors}");
        }
        for errors in [
            json!([]),
            json!(["audio_url must be a URL address"]),
            json!([
                "callback_config.url must be a URL address",
                "model must be a string"
            ]),
            json!(["callbacks should not exist"]),
            // Callers have named an option so.
            json!(["property callback.x should not exist"]),
            json!(["property callback should not exist; property callback should not exist"]),
            json!(["property custom_metadata.gladia_gateway_attempt should not exist"]),
            json!(["custom_metadata.my_gladia_gateway_attempt must be a string"]),
            json!(["custom_metadata must be an object"]),
            json!([{ "field": "diarization" }]),
        ] {
            assert!(!is_ours(json!(general), errors.clone()), "{errors}");
            assert!(!is_ours(errors.clone(), Value::Null), "{errors}");
        }
    }

    #[test]
    fn a_typed_id_leads_nowhere_else_in_an_address() {
        for id in ["45463597-20b7-4af7-b3b3-f5fb778203ab", "g-1", "v3.job_7:2"] {
            assert!(is_plausible_typed_id(id), "{id}");
        }
        for id in [
            "", ".", "..", "../../x", "a/b", "a\\b", "a?b=c", "a#b", "a%2fb", "a b", "ä",
        ] {
            assert!(!is_plausible_typed_id(id), "{id}");
        }
    }

    #[test]
    fn extra_options_go_on_top() {
        let request = json!({
            "options": { "model": "solaria-1", "diarization": true },
            "extra_options": { "model": "solaria-9", "new": 1 },
        });
        assert_eq!(
            json!(requested_body(&request, None)),
            json!({ "model": "solaria-9", "diarization": true, "new": 1 })
        );
    }

    #[test]
    fn the_callers_callback_gives_way_to_ours_or_to_none() {
        let theirs = "https://caller.example/told?key=1";
        let request = json!({ "options": {
            "callback": true,
            "callback_config": { "url": theirs, "method": "PUT" },
            "callback_url": theirs,
        }});
        let attempt = AttemptId(uuid::Uuid::nil());
        let ours = "https://gateway.example/callbacks".parse::<Url>().unwrap();
        let body = create_body(&request, "https://a.example/", Some(&ours), attempt);
        let config = json!({ "url": ours.as_str(), "method": "POST" });
        assert_eq!(body["callback"], true);
        assert_eq!(body["callback_config"], config);
        assert_eq!(body.get("callback_url"), None);
        let polled = create_body(&request, "https://a.example/", None, attempt);
        for name in CALLBACK_OPTIONS {
            assert_eq!(polled.get(name), None);
        }
    }
}
