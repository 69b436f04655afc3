//! What a create asks for. It is refused only what Gladia refuses, and what the gateway itself could not carry out.

use serde_json::{Map, Value};

use crate::{
    domain::{
        audio_url::AudioUrl,
        delivery::CallbackMethod,
        gladia_rules,
        options::{CALLBACK_OPTIONS, CallbackConfig, metadata_errors},
        receiver_url::ReceiverUrl,
    },
    http::{
        body::parse_json_object,
        transcriptions::request::{Judge, RequestedOptions},
        v2::error::V2Error,
    },
};

/// Where the audio's address stands.
const AUDIO_URL: &str = "audio_url";

const METADATA: &str = "custom_metadata";

/// Reads the body of a create.
///
/// # Errors
/// Everything that is wrong with it.
pub fn parse(bytes: &[u8], judge: &Judge) -> Result<(AudioUrl, RequestedOptions), V2Error> {
    let mut body = parse_json_object(bytes, "the body")?;
    let mut errors = gladia_rules::check(&body, false);
    match body.get(METADATA) {
        // No metadata: the gateway's own takes its place.
        Some(Value::Null) => {
            body.remove(METADATA);
        }
        Some(Value::Object(metadata)) => {
            // What is too long for Gladia is too long for us, and is told once.
            errors.retain(|error| !error.starts_with(METADATA));
            errors.extend(metadata_errors(metadata));
        }
        _ => {}
    }
    let audio_url = audio_url_of(&body).map_err(|error| errors.push(error)).ok();
    let callback = callback_of(&body, judge)
        .map_err(|error| errors.push(error))
        .ok();
    errors.dedup();
    let (Some(audio_url), Some(callback), true) = (audio_url, callback, errors.is_empty()) else {
        return Err(V2Error::invalid(errors));
    };
    body.retain(|name, _| name != AUDIO_URL && !CALLBACK_OPTIONS.contains(&name.as_str()));
    Ok((audio_url, RequestedOptions::unchecked(body, callback)))
}

/// The audio, which has been seen to be one by Gladia's rules.
fn audio_url_of(body: &Map<String, Value>) -> Result<AudioUrl, String> {
    match body.get(AUDIO_URL) {
        None | Some(Value::Null) => Err(format!("{AUDIO_URL} should not be empty")),
        Some(value) => value
            .as_str()
            .and_then(AudioUrl::as_gladia_takes_it)
            .ok_or_else(|| format!("{AUDIO_URL} must be a URL address")),
    }
}

/// Where the caller wants to be called, if anywhere. An address that the gateway will never call is refused.
fn callback_of(body: &Map<String, Value>, judge: &Judge) -> Result<Option<CallbackConfig>, String> {
    if body.get("callback") == Some(&Value::Bool(false)) {
        return Ok(None);
    }
    let config = body.get("callback_config").and_then(Value::as_object);
    let configured = config.and_then(|config| config.get("url")?.as_str());
    let (name, text) = match (configured, body.get("callback_url").and_then(Value::as_str)) {
        (Some(url), _) => ("callback_config.url", url),
        (None, Some(url)) => ("callback_url", url),
        (None, None) => return Ok(None),
    };
    let method = match config.and_then(|config| config.get("method")) {
        Some(method) if configured.is_some() && method == "PUT" => CallbackMethod::Put,
        _ => CallbackMethod::Post,
    };
    let url = ReceiverUrl::parse(text).map_err(|rule| format!("{name} {rule}"))?;
    judge
        .allows(&url)
        .map_err(|refusal| format!("{name} {refusal}"))?;
    Ok(Some(CallbackConfig {
        url,
        method: Some(method),
    }))
}
