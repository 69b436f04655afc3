//! Where the caller wants to be called when its transcription ends: Gladia's own options, which the gateway carries out
//! itself. Gladia never gets them, because there the gateway's own callback stands in their place.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::TranscriptionOptions;
use super::check::Checker;
use super::pairs::{is_given, is_off};
use super::warning::WarningCode;
use crate::domain::delivery::{Callback, CallbackMethod};
use crate::domain::receiver_url::ReceiverUrl;

/// The options that are about the callback.
pub const CALLBACK_OPTIONS: [&str; 3] = ["callback", "callback_config", "callback_url"];

/// Where the caller is called, and how.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CallbackConfig {
    /// Where: an http or https URL that the gateway can reach, without user name, password and fragment, of at most 2048
    /// bytes.
    #[schema(value_type = String, format = Uri)]
    pub url: ReceiverUrl,
    /// How. The default is `POST`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<CallbackMethod>,
}

impl TranscriptionOptions {
    /// Where the caller wants to be called, and how. `None`: nowhere.
    #[must_use]
    pub fn wanted_callback(&self) -> Option<Callback> {
        if self.callback == Some(false) {
            return None;
        }
        let (url, method) = match (&self.callback_config, &self.callback_url) {
            (Some(config), _) => (&config.url, config.method.unwrap_or_default()),
            (None, Some(url)) => (url, CallbackMethod::Post),
            (None, None) => return None,
        };
        Some(Callback {
            url: url.as_str().to_owned(),
            method,
        })
    }
}

/// The places of callback addresses in a body, with those of them that are right in themselves.
#[must_use]
pub fn callback_urls(body: &Map<String, Value>) -> Vec<(&'static str, ReceiverUrl)> {
    texts(body)
        .filter_map(|(steps, text)| {
            let pointer = match steps {
                [_] => "/callback_url",
                _ => "/callback_config/url",
            };
            Some((pointer, ReceiverUrl::parse(text).ok()?))
        })
        .collect()
}

/// The addresses as they stand in a body, each with the steps to it.
fn texts(body: &Map<String, Value>) -> impl Iterator<Item = (&'static [&'static str], &str)> {
    const PLACES: [&[&str]; 2] = [&["callback_config", "url"], &["callback_url"]];

    PLACES.into_iter().filter_map(|steps| {
        let (first, rest) = steps.split_first()?;
        let found = rest
            .iter()
            .try_fold(body.get(*first)?, |value, step| value.get(step))?;
        Some((steps, found.as_str()?))
    })
}

/// Refuses addresses that nobody can call, and a callback to nowhere or to two places; tells where a configuration decides
/// about the callback, or comes to nothing.
pub(super) fn check(body: &Map<String, Value>, checker: &mut Checker) {
    for (steps, text) in texts(body) {
        if let Err(rule) = ReceiverUrl::parse(text) {
            let name = steps.last().copied().unwrap_or_default();
            // The address itself is not repeated: its query may hold a secret.
            checker.report_at(steps, format!("`{name}` {rule}."));
        }
    }
    if let [(_, one), (pointer, other)] = callback_urls(body).as_slice()
        && !one.is_same_place(other)
    {
        checker.report_at(
            &[pointer.trim_start_matches('/')],
            "`callback_url` must be the `url` of `callback_config`, or be left out: there is one callback.".to_owned(),
        );
    }
    let has_config = is_given(body, "callback_config");
    let has_url = is_given(body, "callback_url");
    match body.get("callback") {
        Some(Value::Bool(true)) if !has_config && !has_url => checker.report_at(
            &["callback_config"],
            "`callback` needs `callback_config` with `url`: add it, or leave `callback` out.".to_owned(),
        ),
        None | Some(Value::Null) if has_config => checker.warn_at(
            &["callback_config"],
            WarningCode::SwitchedOn,
            "`callback` is switched on, because `callback_config` is given: give `callback` as well, or leave \
             `callback_config` out.",
        ),
        _ => {}
    }
    let is_off = is_off(body, "callback");
    for name in ["callback_config", "callback_url"] {
        if is_off && is_given(body, name) {
            checker.warn_at(
                &[name],
                WarningCode::NoEffect,
                format!(
                    "`{name}` has no effect, because `callback` is `false`: give `callback` as `true`, or leave \
                     `{name}` out."
                ),
            );
        }
    }
    if has_url && !is_off {
        checker.warn_at(
            &["callback_url"],
            WarningCode::Deprecated,
            "Gladia has deprecated `callback_url`. The gateway still calls it; give `callback_config` with `url` instead.",
        );
    }
}

/// Switches the callback on where it is configured, like every other option that has a configuration.
pub(super) fn switch_on(body: &mut Map<String, Value>) {
    if is_given(body, "callback_config") && !is_given(body, "callback") {
        body.insert("callback".to_owned(), Value::Bool(true));
    }
}
