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
        problem::Problem,
        request::body::parse_json_object,
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
    let mut body = parse_body(bytes)?;
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
    let audio_url = audio_url_of(&body)
        .map_err(|error| add(&mut errors, AUDIO_URL, error))
        .ok();
    let callback = callback_of(&body, judge)
        .map_err(|(name, rule)| add(&mut errors, name, format!("{name} {rule}")))
        .ok();
    let (Some(audio_url), Some(callback), true) = (audio_url, callback, errors.is_empty()) else {
        return Err(V2Error::invalid(errors));
    };
    body.retain(|name, _| name != AUDIO_URL && !CALLBACK_OPTIONS.contains(&name.as_str()));
    Ok((audio_url, RequestedOptions::unchecked(body, callback)))
}

/// Reads a body as JavaScript reads it: half a surrogate pair, which a text that was cut has at its end, stands for a character
/// that nobody knows. Postgres stores no such half.
fn parse_body(bytes: &[u8]) -> Result<Map<String, Value>, Problem> {
    parse_json_object(bytes, "the body").or_else(|problem| match without_half_pairs(bytes) {
        Some(whole) => parse_json_object(&whole, "the body"),
        None => Err(problem),
    })
}

/// JSON with `\ufffd` in the place of each escape that is half a surrogate pair, as long as before. `None` where it has none.
fn without_half_pairs(json: &[u8]) -> Option<Vec<u8>> {
    let unit = |at: usize| {
        let digits = json.get(at..)?.strip_prefix(br"\u")?.get(..4)?;
        u16::from_str_radix(str::from_utf8(digits).ok()?, 16).ok()
    };
    let mut whole = None;
    let mut at = 0;
    while at < json.len() {
        at += match (json[at], unit(at), unit(at + 6)) {
            (b'\\', Some(0xd800..=0xdbff), Some(0xdc00..=0xdfff)) => 12,
            (b'\\', Some(0xd800..=0xdfff), _) => {
                let whole = whole.get_or_insert_with(|| json.to_vec());
                whole[at..at + 6].copy_from_slice(br"\ufffd");
                6
            }
            // Whatever is escaped begins no escape.
            (b'\\', ..) => 2,
            _ => 1,
        };
    }
    whole
}

/// Adds what is wrong with a field, unless something is known to be.
fn add(errors: &mut Vec<String>, name: &str, error: String) {
    let tells_of_it = |known: &String| {
        known
            .strip_prefix(name)
            .is_some_and(|rule| rule.starts_with(' '))
    };
    if !errors.iter().any(tells_of_it) {
        errors.push(error);
    }
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

/// Where the caller wants to be called, if anywhere. An address that the gateway will never call is refused, with the field and
/// the rule.
fn callback_of(
    body: &Map<String, Value>,
    judge: &Judge,
) -> Result<Option<CallbackConfig>, (&'static str, String)> {
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
    let url = ReceiverUrl::parse(text).map_err(|rule| (name, rule.to_string()))?;
    judge.allows(&url).map_err(|refusal| (name, refusal))?;
    Ok(Some(CallbackConfig {
        url,
        method: Some(method),
    }))
}
