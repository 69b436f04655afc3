//! What a caller asks for: Gladia's options at the top level, and beside them what only the gateway has.

use std::iter;

use serde::Serialize;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use crate::{
    domain::{
        audio_url::AudioUrl,
        canonical::canonical,
        delivery::Callback,
        options::{
            CallbackConfig, CheckedOptions, OptionsPolicy, TranscriptionOptions, Violation,
            Warning, callback_urls, check_extra, warn_of_extra,
        },
        receiver_url::ReceiverUrl,
    },
    http::{problem::Problem, state::AppState},
    notify::guard::Guard,
};

const AUDIO_URL: &str = "audio_url";
const EXTRA_OPTIONS: &str = "extra_options";

/// Where the options of a form stand.
const OPTIONS_PART: &str = "/options";

/// A transcription of audio that Gladia fetches.
///
/// Gladia's own options stand at the top level under their own names, so Gladia's documentation applies to them.
#[derive(Serialize, ToSchema)]
pub struct CreateTranscription {
    /// Where the audio is: an http or https URL that Gladia can reach, or the `audio_url` of an upload. A presigned URL must
    /// stay valid until Gladia fetches it, which may be after a wait in the queue. 8192 bytes at most, without user name and
    /// password.
    #[schema(format = Uri, max_length = 8192, example = "https://example.com/call.mp3")]
    audio_url: String,
    #[serde(flatten)]
    options: TranscriptionOptions,
    /// Options for Gladia that this version does not know, passed on unchecked.
    #[schema(value_type = Option<Object>)]
    extra_options: Option<Map<String, Value>>,
}

/// The options of a transcription whose audio comes as a file.
///
/// Gladia's own options stand at the top level under their own names, so Gladia's documentation applies to them.
#[derive(Serialize, ToSchema)]
pub struct CreateTranscriptionOptions {
    #[serde(flatten)]
    options: TranscriptionOptions,
    /// Options for Gladia that this version does not know, passed on unchecked.
    #[schema(value_type = Option<Object>)]
    extra_options: Option<Map<String, Value>>,
}

/// A transcription to be checked.
///
/// Gladia's own options stand at the top level under their own names, so Gladia's documentation applies to them.
#[derive(Serialize, ToSchema)]
pub struct ValidateTranscription {
    /// Where the audio is. Without it the options alone are checked, those of a file for example.
    #[schema(format = Uri, example = "https://example.com/call.mp3")]
    audio_url: Option<String>,
    #[serde(flatten)]
    options: TranscriptionOptions,
    /// Options for Gladia that this version does not know, passed on unchecked.
    #[schema(value_type = Option<Object>)]
    extra_options: Option<Map<String, Value>>,
}

/// What requests are judged by, besides the rules that hold everywhere.
#[derive(Debug, Clone)]
pub struct Judge {
    policy: OptionsPolicy,
    guard: Guard,
}

impl Judge {
    /// What the operator of this service has decided.
    pub fn of(state: &AppState) -> Self {
        Self {
            policy: state.rules.options,
            guard: state.notifier.guard().clone(),
        }
    }

    /// Whether a callback may go to an address.
    ///
    /// # Errors
    /// Why not, as a sentence without its subject.
    pub fn allows(&self, url: &ReceiverUrl) -> Result<(), String> {
        let judged = self.guard.judge_url(url.url());
        judged.map_err(|refusal| refusal.to_string())
    }
}

/// Options that passed every check.
#[derive(Debug, Default)]
pub struct RequestedOptions {
    options: TranscriptionOptions,
    extra_options: Map<String, Value>,
    warnings: Vec<Warning>,
}

impl RequestedOptions {
    /// Parses the options of a form.
    pub fn parse(mut body: Map<String, Value>, judge: &Judge) -> Result<Self, Problem> {
        let mut violations = Vec::new();
        if body.remove(AUDIO_URL).is_some() {
            violations.push(violation(
                AUDIO_URL,
                "does not belong here: the audio is the part `audio`",
            ));
        }
        let mut parsed = finish(body, &[EXTRA_OPTIONS], violations, judge)
            .map_err(|violations| Problem::violations(OPTIONS_PART, violations))?;
        for warning in &mut parsed.warnings {
            warning.pointer.insert_str(0, OPTIONS_PART);
        }
        Ok(parsed)
    }

    /// Options of a caller who is refused only what Gladia refuses. What is no option of these types goes to Gladia as it is.
    pub fn unchecked(body: Map<String, Value>, callback: Option<CallbackConfig>) -> Self {
        let (mut options, extra_options) = TranscriptionOptions::sort(body);
        options.callback = callback.as_ref().map(|_| true);
        options.callback_config = callback;
        Self {
            options,
            extra_options,
            warnings: Vec::new(),
        }
    }

    /// What may not do what the caller expects.
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// The caller's own metadata.
    pub fn metadata(&self) -> Option<&Map<String, Value>> {
        self.options.custom_metadata.as_ref()
    }

    /// Where the caller wants to be called.
    pub fn callback(&self) -> Option<Callback> {
        self.options.wanted_callback()
    }

    /// As stored, and as the submit worker reads it.
    pub fn to_stored(&self) -> Value {
        json!({ "options": self.options.to_upstream(), "extra_options": self.extra_options })
    }

    /// The one spelling, for fingerprints.
    pub fn canonical(&self) -> String {
        canonical(&self.to_stored())
    }
}

/// Where the audio of a request is, whatever the rest of its body is like. `None` where it is not given.
///
/// # Errors
/// The rule that it breaks.
pub fn audio_url_of(body: &Map<String, Value>) -> Result<Option<AudioUrl>, Violation> {
    match body.get(AUDIO_URL) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => AudioUrl::parse(text)
            .map(Some)
            .map_err(|rule| violation(AUDIO_URL, rule)),
        Some(_) => Err(violation(AUDIO_URL, "must be a string")),
    }
}

/// Parses the body of a create by URL.
///
/// # Errors
/// Everything that is wrong with it.
pub fn parse(
    body: Map<String, Value>,
    judge: &Judge,
) -> Result<(AudioUrl, RequestedOptions), Vec<Violation>> {
    let rule = "is required: where the audio is, as an http or https URL";
    let audio_url = audio_url_of(&body)
        .and_then(|audio_url| audio_url.ok_or_else(|| violation(AUDIO_URL, rule)));
    with_audio(audio_url, body, judge)
}

/// Parses the same body where the audio may still be missing.
///
/// # Errors
/// Everything that is wrong with it.
pub fn parse_draft(
    body: Map<String, Value>,
    judge: &Judge,
) -> Result<(Option<AudioUrl>, RequestedOptions), Vec<Violation>> {
    with_audio(audio_url_of(&body), body, judge)
}

fn with_audio<A>(
    audio_url: Result<A, Violation>,
    mut body: Map<String, Value>,
    judge: &Judge,
) -> Result<(A, RequestedOptions), Vec<Violation>> {
    body.remove(AUDIO_URL);
    let options = finish(body, &[AUDIO_URL, EXTRA_OPTIONS], Vec::new(), judge);
    match (audio_url, options) {
        (Ok(audio_url), Ok(options)) => Ok((audio_url, options)),
        (Ok(_), Err(violations)) => Err(violations),
        (Err(violation), Ok(_)) => Err(vec![violation]),
        (Err(violation), Err(violations)) => Err(iter::once(violation).chain(violations).collect()),
    }
}

/// Parses what is left of the body, and reports everything that is wrong with it at once.
fn finish(
    mut body: Map<String, Value>,
    own: &[&str],
    mut violations: Vec<Violation>,
    judge: &Judge,
) -> Result<RequestedOptions, Vec<Violation>> {
    let extra_options = match body.remove(EXTRA_OPTIONS) {
        None | Some(Value::Null) => Map::new(),
        Some(Value::Object(map)) => map,
        Some(_) => {
            violations.push(violation(
                EXTRA_OPTIONS,
                "must be an object of options for Gladia",
            ));
            Map::new()
        }
    };
    violations.extend(check_extra(&extra_options));
    for (pointer, url) in callback_urls(&body) {
        if let Err(refusal) = judge.allows(&url) {
            let name = pointer.rsplit('/').next().unwrap_or_default();
            violations.push(Violation::new(pointer, format!("`{name}` {refusal}.")));
        }
    }
    match TranscriptionOptions::parse(body, own, judge.policy) {
        Ok(CheckedOptions {
            options,
            mut warnings,
        }) if violations.is_empty() => {
            warnings.extend(warn_of_extra(&options, &extra_options));
            Ok(RequestedOptions {
                options,
                extra_options,
                warnings,
            })
        }
        Ok(_) => Err(violations),
        Err(more) => {
            violations.extend(more);
            Err(violations)
        }
    }
}

fn violation(field: &str, rule: &str) -> Violation {
    Violation::new(format!("/{field}"), rule)
}
