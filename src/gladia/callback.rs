//! What a callback's body says.
//!
//! The body as received is the truth and is kept as such; this reads from it only what moves the job. The documented
//! shape: `{"id", "event": "transcription.success", "payload": {…}}` or `{"id", "event": "transcription.error", "error":
//! {"code", "message"}}`. `payload` is the result object itself.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, value::RawValue};

use super::{create::is_plausible_id, error::storable};
use crate::domain::completion::{AddonError, Completion, Ending};

/// How deep failures may stand in a block. Gladia's stand two deep; nothing ends the nesting of what is no add-on.
const MAX_DEPTH: u8 = 8;

/// The outermost object. Borrowed, so that a large result is not copied.
#[derive(Deserialize)]
struct Envelope<'a> {
    id: String,
    event: String,
    #[serde(borrow, default)]
    payload: Option<&'a RawValue>,
    #[serde(default)]
    error: Option<CallbackError>,
}

#[derive(Deserialize)]
struct CallbackError {
    #[serde(default)]
    code: Option<Value>,
    #[serde(default)]
    message: Option<Value>,
}

/// Reads a callback's body.
///
/// # Errors
/// Why it cannot be understood, without any of its content.
pub fn parse(body: &[u8]) -> Result<Completion, String> {
    let envelope: Envelope<'_> = serde_json::from_slice(body).map_err(|error| describe(&error))?;
    if !is_plausible_id(&envelope.id) {
        return Err("its id is no id of Gladia's".into());
    }
    let ending = match envelope.event.as_str() {
        "transcription.success" => {
            let payload = envelope.payload.ok_or("a success without a payload")?;
            read_success(payload)?
        }
        "transcription.error" => {
            let error = envelope.error.ok_or("an error without its error object")?;
            let code = error
                .code
                .as_ref()
                .and_then(Value::as_i64)
                .and_then(|code| i32::try_from(code).ok());
            let message = match error.message {
                Some(Value::String(text)) => storable(&text),
                Some(other) => storable(&other.to_string()),
                None => "Gladia gave no reason.".to_owned(),
            };
            Ending::Failure { code, message }
        }
        _ => {
            return Err(
                "its event is neither transcription.success nor transcription.error".into(),
            );
        }
    };
    Ok(Completion {
        gladia_id: envelope.id,
        ending,
    })
}

fn read_success(payload: &RawValue) -> Result<Ending, String> {
    let blocks = object(payload).ok_or("its payload is no object")?;
    let metadata = blocks.get("metadata").and_then(|block| object(block));
    let seconds = |name: &str| {
        let number: f64 = read(metadata.as_ref()?.get(name)?)?;
        number.is_finite().then_some(number)
    };
    let mut addon_errors = Vec::new();
    for (name, block) in &blocks {
        collect_failures(&format!("/{name}"), block, MAX_DEPTH, &mut addon_errors);
    }
    // Sentences stand inside the transcription.
    let transcription = blocks.get("transcription").and_then(|block| object(block));
    if let Some(sentences) = transcription.and_then(|block| block.get("sentences").copied()) {
        collect_failures(
            "/transcription/sentences",
            sentences,
            MAX_DEPTH,
            &mut addon_errors,
        );
    }
    Ok(Ending::Success {
        audio_duration_seconds: seconds("audio_duration"),
        billing_time_seconds: seconds("billing_time"),
        addon_errors,
    })
}

/// An object whose values have been skipped, not read: a result is mostly words, of which nothing is wanted here.
type Object<'a> = BTreeMap<String, &'a RawValue>;

fn object(value: &RawValue) -> Option<Object<'_>> {
    read(value)
}

fn read<'a, T: Deserialize<'a>>(value: &'a RawValue) -> Option<T> {
    serde_json::from_str(value.get()).ok()
}

/// An add-on's block carries `success`; `audio_to_llm` has one for each prompt, `translation` an error for each language.
fn collect_failures(pointer: &str, block: &RawValue, depth: u8, found: &mut Vec<AddonError>) {
    let Some(depth) = depth.checked_sub(1) else {
        return;
    };
    if block.get().starts_with('[') {
        for (index, item) in read::<Vec<&RawValue>>(block).iter().flatten().enumerate() {
            collect_failures(&format!("{pointer}/{index}"), item, depth, found);
        }
        return;
    }
    let Some(fields) = object(block) else {
        return;
    };
    let failed = fields
        .get("success")
        .is_some_and(|success| success.get() == "false");
    let error = fields.get("error").and_then(|error| object(error));
    if failed || (error.is_some() && !fields.contains_key("success")) {
        let field = |name: &str| error.as_ref()?.get(name).copied();
        let text = |name: &str| read::<String>(field(name)?).map(|text| storable(&text));
        found.push(AddonError {
            pointer: pointer.to_owned(),
            status_code: field("status_code").and_then(read),
            exception: text("exception"),
            message: text("message"),
        });
    } else if let Some(results) = fields
        .get("results")
        .and_then(|list| read::<Vec<&RawValue>>(list))
    {
        for (index, item) in results.into_iter().enumerate() {
            let has_verdict = object(item).is_some_and(|fields| {
                fields.contains_key("success") || fields.contains_key("error")
            });
            if has_verdict {
                collect_failures(&format!("{pointer}/results/{index}"), item, depth, found);
            }
        }
    }
}

/// Takes the result object out of a callback's body, byte for byte.
#[must_use]
pub fn result_of(body: &[u8]) -> Option<&RawValue> {
    serde_json::from_slice::<Envelope<'_>>(body).ok()?.payload
}

/// Where parsing stopped, without the text that it stopped at.
fn describe(error: &serde_json::Error) -> String {
    let kind = match error.classify() {
        serde_json::error::Category::Eof => "it breaks off",
        serde_json::error::Category::Syntax => "it is no JSON",
        serde_json::error::Category::Data | serde_json::error::Category::Io => {
            "it lacks what a callback holds"
        }
    };
    format!("{kind} (line {}, column {})", error.line(), error.column())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_success_gives_durations_and_failed_add_ons() {
        let body = json!({
            "id": "45463597-20b7-4af7-b3b3-f5fb778203ab",
            "event": "transcription.success",
            "payload": {
                "metadata": { "audio_duration": 9.218, "billing_time": 18.436 },
                "transcription": { "utterances": [], "full_transcript": "" },
                "summarization": {
                    "success": false, "is_empty": true, "results": null, "exec_time": 0.1,
                    "error": { "status_code": 500, "exception": "Boom", "message": "no summary" }
                },
                "audio_to_llm": { "success": true, "is_empty": false, "exec_time": 1, "error": null, "results": [
                    { "success": true, "error": null, "results": { "prompt": "a", "response": "b" } },
                    { "success": false, "error": { "status_code": 504, "message": "late" }, "results": null }
                ]},
                "translation": { "success": true, "error": null, "results": [
                    { "languages": ["fr"], "error": { "status_code": 501, "message": "not this one" } },
                    { "languages": ["de"], "error": null }
                ]}
            }
        });
        let completion = parse(body.to_string().as_bytes()).unwrap();
        let Ending::Success {
            audio_duration_seconds,
            billing_time_seconds,
            addon_errors,
        } = completion.ending
        else {
            panic!("no success");
        };
        assert_eq!(
            (audio_duration_seconds, billing_time_seconds),
            (Some(9.218), Some(18.436))
        );
        let mut pointers: Vec<_> = addon_errors
            .iter()
            .map(|error| error.pointer.as_str())
            .collect();
        pointers.sort_unstable();
        assert_eq!(
            pointers,
            [
                "/audio_to_llm/results/1",
                "/summarization",
                "/translation/results/0"
            ]
        );
    }

    fn addon_errors(payload: &str) -> Vec<AddonError> {
        let body = format!(r#"{{"id":"b7","event":"transcription.success","payload":{payload}}}"#);
        match parse(body.as_bytes()).unwrap().ending {
            Ending::Success { addon_errors, .. } => addon_errors,
            Ending::Failure { .. } => panic!("no success"),
        }
    }

    #[test]
    fn failed_sentences_are_found_inside_the_transcription() {
        let found = addon_errors(
            r#"{"transcription":{"utterances":[{"success":false}],"sentences":[{"success":true,"results":["A."]},
            { "success" : false , "error":{"status_code":500,"exception":null,"message":"no \u0000 split"}}]}}"#,
        );
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].pointer, "/transcription/sentences/1");
        assert_eq!(found[0].status_code, Some(500));
        assert_eq!(found[0].exception, None);
        assert_eq!(found[0].message.as_deref(), Some("no \u{fffd} split"));
    }

    #[test]
    fn shapes_that_no_add_on_has_are_passed_over() {
        let nested = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        let deep = format!(
            "{}null{}",
            r#"{"error":null,"results":["#.repeat(100_000),
            "]}".repeat(100_000)
        );
        for payload in [
            "{}",
            r#"{"metadata":[],"transcription":null,"summarization":7}"#,
            r#"{"metadata":{"audio_duration":"1","billing_time":1e999},"transcription":{"sentences":"a"}}"#,
            r#"{"summarization":{"success":"no","error":"text","results":{"a":[1,2]}}}"#,
            r#"{"translation":{"results":[null,1,"a",[],{}]}}"#,
            r#"{"a":"\ud800"}"#,
            &format!(r#"{{"a":{nested}}}"#),
            &format!(r#"{{"a":{deep}}}"#),
        ] {
            assert_eq!(addon_errors(payload), [], "{payload:.100}");
        }
        // Of a name that stands twice, the last one counts.
        let twice = r#"{"chapterization":{"success":false},"chapterization":{"success":false,"success":true}}"#;
        assert_eq!(addon_errors(twice), []);
        let failed = r#"{"metadata":{"audio_duration":1,"audio_duration":2},"chapterization":{"success":true,"success":false}}"#;
        assert_eq!(addon_errors(failed)[0].pointer, "/chapterization");
    }

    #[test]
    fn an_error_gives_its_code_and_message() {
        let body = br#"{"id":"b7","event":"transcription.error","error":{"code":400,"message":"nul \u0000 byte"}}"#;
        let completion = parse(body).unwrap();
        assert_eq!(
            completion.ending,
            Ending::Failure {
                code: Some(400),
                message: "nul \u{fffd} byte".into()
            }
        );
    }

    #[test]
    fn the_result_is_the_payload_byte_for_byte() {
        let body = br#"{"payload": {"a" : 0.6399999999999999,  "unknown":[1]} , "id":"x","event":"transcription.success"}"#;
        assert_eq!(
            result_of(body).unwrap().get(),
            r#"{"a" : 0.6399999999999999,  "unknown":[1]}"#
        );
    }

    #[test]
    fn what_cannot_be_read_is_named_without_its_content() {
        for body in [
            &b""[..],
            b"{",
            b"[]",
            b"null",
            b"{\"id\":\"x\"}",
            b"{\"event\":\"transcription.success\",\"payload\":{\"id\":\"x\"}}",
            b"{\"id\":\"\",\"event\":\"transcription.success\",\"payload\":{}}",
            b"{\"id\":\"x\",\"event\":\"transcription.created\",\"payload\":{}}",
            b"{\"id\":\"x\",\"event\":\"transcription.success\"}",
            b"{\"id\":\"x\",\"event\":\"transcription.success\",\"payload\":[\"secret words\"]}",
            b"{\"id\":\"x\",\"event\":\"transcription.error\"}",
            b"\xff\xfe secret words",
        ] {
            let reason = parse(body).unwrap_err();
            assert!(!reason.contains("secret"), "{reason}");
        }
    }
}
