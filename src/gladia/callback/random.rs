//! The reader of callbacks against bodies that nobody has thought of.

use std::io::{self, Read};

use proptest::{collection::vec, prelude::*, sample::select};
use serde_json::{Map, Value, json, value::RawValue};

use super::{tests::read_report, *};
use crate::domain::completion::AddonError;

/// Stands in bodies where words do.
const WORDS: &str = "secret words";

fn config() -> ProptestConfig {
    ProptestConfig {
        cases: 2000,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

/// Gives what it has in pieces of these sizes, over and over.
pub(crate) struct Pieces<'a> {
    rest: &'a [u8],
    sizes: &'a [usize],
    next: usize,
}

impl<'a> Pieces<'a> {
    pub(crate) fn new(rest: &'a [u8], sizes: &'a [usize]) -> Self {
        Self {
            rest,
            sizes,
            next: 0,
        }
    }
}

impl Read for Pieces<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let size = self.sizes[self.next % self.sizes.len()].min(buffer.len());
        self.next += 1;
        self.rest.by_ref().take(size as u64).read(buffer)
    }
}

/// A value of any shape, with names that mean something somewhere.
fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        select(vec![WORDS, "", "é\u{1f600}\\\"\u{0}", "500"]).prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 40, 5, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..5).prop_map(Value::from),
            vec((any_name(), inner), 0..5)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

fn any_name() -> impl Strategy<Value = String> {
    let known = [
        "success",
        "success",
        "error",
        "error",
        "results",
        "results",
        "status_code",
        "message",
        "exception",
        "code",
        "id",
        "event",
        "status",
        "payload",
        "result",
        WORDS,
    ];
    prop_oneof![8 => select(known.to_vec()).prop_map(str::to_owned), 1 => "\\PC{0,6}"]
}

/// A result object, mostly of add-ons.
fn any_payload() -> impl Strategy<Value = Value> {
    let blocks = vec(
        (
            prop_oneof![
                select(vec![
                    "summarization",
                    "translation",
                    "audio_to_llm",
                    "sentences"
                ])
                .prop_map(str::to_owned),
                any_name(),
            ],
            any_value(),
        ),
        0..4,
    );
    (blocks, any_value(), any_value(), any_value()).prop_map(
        |(blocks, duration, billing, sentences)| {
            let mut payload: Map<String, Value> = blocks.into_iter().collect();
            payload.insert(
                "metadata".into(),
                json!({ "audio_duration": duration, "billing_time": billing }),
            );
            payload.insert("transcription".into(), json!({ "sentences": sentences }));
            Value::Object(payload)
        },
    )
}

/// A body that can be read, of either shape and outcome.
pub(crate) fn any_body() -> impl Strategy<Value = (Value, Shape)> {
    (any_payload(), any_value(), 0..4_usize).prop_map(|(payload, error, kind)| match kind {
        0 => (
            json!({ "id": "b7", "event": "transcription.success", "payload": payload }),
            Shape::Callback,
        ),
        1 => (
            json!({ "event": "transcription.error", "error": { "code": 400, "message": error }, "id": "b7" }),
            Shape::Callback,
        ),
        2 => (
            json!({ "id": "b7", "status": "done", "custom_metadata": error, "result": payload }),
            Shape::Job,
        ),
        _ => (
            json!({ "id": "b7", "status": "error", "error_code": error, "result": null }),
            Shape::Job,
        ),
    })
}

/// What a body becomes on a bad line: bytes changed, lost, added and doubled.
pub(crate) fn any_damage() -> impl Strategy<Value = Vec<(usize, u8, u8)>> {
    vec((any::<usize>(), any::<u8>(), 0..5_u8), 0..4)
}

pub(crate) fn damage(body: &mut Vec<u8>, damages: &[(usize, u8, u8)]) {
    const TELLING: &[u8] = b"{}[]\",:\\0e-. \n\x80\xff";
    for (place, byte, kind) in damages {
        let at = place % (body.len() + 1);
        let telling = TELLING[usize::from(*byte) % TELLING.len()];
        match kind {
            0 if at < body.len() => body[at] = *byte,
            1 if at < body.len() => body[at] = telling,
            2 => body.insert(at, telling),
            3 => body.truncate(at),
            _ => {
                let again = body[at..].to_vec();
                body.extend(again);
            }
        }
    }
}

/// A body with whitespace before and behind every sign of its structure, of these lengths, over and over.
fn spaced(body: &str, lengths: &[usize]) -> String {
    let mut lengths = lengths.iter().cycle();
    let mut space = || {
        " \n\t\r"
            .chars()
            .cycle()
            .take(*lengths.next().unwrap())
            .collect::<String>()
    };
    let (mut spaced, mut is_text, mut is_escaped) = (String::new(), false, false);
    for c in body.chars() {
        let is_sign = !is_text && "{}[],:".contains(c);
        if is_sign {
            spaced += &space();
        }
        spaced.push(c);
        if is_sign {
            spaced += &space();
        }
        is_text ^= c == '"' && !is_escaped;
        is_escaped = c == '\\' && !is_escaped;
    }
    spaced
}

/// What is no text is shown as it stands in the body.
fn without_whitespace(mut report: Report) -> Report {
    if let Report::Ended(completion) = &mut report
        && let Ending::Failure { message, .. } = &mut completion.ending
    {
        message.retain(|c| !c.is_ascii_whitespace());
    }
    report
}

/// What holds of every body, and its verdict.
fn check(body: &[u8], shape: Shape, sizes: &[usize]) -> Result<Report, String> {
    let report = read_report(body, shape);
    let pieces = Pieces::new(body, sizes);
    assert_eq!(read_report(pieces, shape), report, "in pieces of {sizes:?}");

    // It is as strict as the library, where that reads text.
    let mut reader = JsonReader::new(body);
    let is_json = reader.skip().and_then(|()| reader.end()).is_ok();
    let text = std::str::from_utf8(body);
    let expected = text.is_ok_and(|text| serde_json::from_str::<&RawValue>(text).is_ok());
    assert_eq!(is_json, expected);

    match &report {
        Ok(Report::Ended(completion)) => {
            // What completes a job can be served.
            let has_result = matches!(completion.ending, Ending::Success { .. });
            assert!(is_json && (!has_result || result_of(body).is_some()));
        }
        Ok(Report::Running { .. }) => assert!(is_json),
        Err(reason) => {
            let words: String = reason.chars().filter(|c| !c.is_ascii_digit()).collect();
            let known = [
                "it breaks off after  bytes",
                "it is no JSON (byte )",
                "it is no UTF- (byte )",
                "it is no object",
                "a name stands in it twice",
                "it has no id of Gladia's",
                "its event is neither transcription.success nor transcription.error",
                "it is no job: it has an event",
                "its status is none of queued, processing, done and error",
                "a success without a payload",
                "a success without a result",
                "its payload is no object",
                "its result is no object",
                "its payload has neither metadata nor a transcription",
                "its result has neither metadata nor a transcription",
            ];
            assert!(known.contains(&words.as_str()), "{reason}");
        }
    }
    report
}

/// The failures of a payload, found in a tree of values.
fn expected_failures(payload: &Value) -> Vec<AddonError> {
    let mut found = Vec::new();
    for (name, block) in payload.as_object().into_iter().flatten() {
        let name = name.replace('~', "~0").replace('/', "~1");
        collect(&format!("/{name}"), block, payload::MAX_DEPTH, &mut found);
    }
    if let Some(sentences) = payload.pointer("/transcription/sentences") {
        collect(
            "/transcription/sentences",
            sentences,
            payload::MAX_DEPTH,
            &mut found,
        );
    }
    found
}

fn collect(pointer: &str, block: &Value, depth: u8, found: &mut Vec<AddonError>) {
    let Some(depth) = depth.checked_sub(1) else {
        return;
    };
    for (index, item) in block.as_array().into_iter().flatten().enumerate() {
        collect(&format!("{pointer}/{index}"), item, depth, found);
    }
    let Some(fields) = block.as_object() else {
        return;
    };
    let error = fields.get("error").and_then(Value::as_object);
    let success = fields.get("success");
    if success == Some(&json!(false)) || (success.is_none() && error.is_some()) {
        let text = |name| Some(tellable(error?.get(name)?.as_str()?));
        found.push(AddonError {
            pointer: pointer.to_owned(),
            status_code: error.and_then(|error| error.get("status_code")?.as_i64()),
            exception: text("exception"),
            message: text("message"),
        });
        return;
    }
    let results = fields.get("results").and_then(Value::as_array);
    for (index, item) in results.into_iter().flatten().enumerate() {
        if item.get("success").is_some() || item.get("error").is_some() {
            collect(&format!("{pointer}/results/{index}"), item, depth, found);
        }
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn arbitrary_bytes_are_no_callback(
        body in vec(any::<u8>(), 0..200),
        sizes in vec(1..50_usize, 1..4),
    ) {
        for shape in [Shape::Callback, Shape::Job] {
            prop_assert!(check(&body, shape, &sizes).is_err());
        }
        prop_assert!(result_of(&body).is_none());
    }

    #[test]
    fn a_damaged_body_is_read_the_same_in_any_pieces(
        (body, shape) in any_body(),
        damages in any_damage(),
        sizes in vec(1..50_usize, 1..4),
    ) {
        let mut body = body.to_string().into_bytes();
        damage(&mut body, &damages);
        let _ = check(&body, shape, &sizes);
        let _ = result_of(&body);
    }

    #[test]
    fn whitespace_changes_nothing_in_any_pieces(
        (body, shape) in any_body(),
        lengths in vec(0..4_usize, 1..6),
        sizes in vec(1..50_usize, 1..4),
    ) {
        let body = body.to_string();
        let expected = read_report(body.as_bytes(), shape).map(without_whitespace);
        let report = check(spaced(&body, &lengths).as_bytes(), shape, &sizes);
        prop_assert_eq!(report.map(without_whitespace), expected);
    }

    #[test]
    fn arbitrary_json_is_read_the_same_in_any_pieces(
        body in any_value(),
        sizes in vec(1..50_usize, 1..4),
    ) {
        let body = body.to_string();
        for shape in [Shape::Callback, Shape::Job] {
            let _ = check(body.as_bytes(), shape, &sizes);
        }
    }

    #[test]
    fn a_whole_body_says_what_a_tree_of_its_values_says(
        (body, shape) in any_body(),
        sizes in vec(1..50_usize, 1..4),
    ) {
        let text = body.to_string();
        let report = check(text.as_bytes(), shape, &sizes);
        let Ok(Report::Ended(completion)) = report else {
            panic!("{report:?} of {text}");
        };
        let name = if shape == Shape::Job { "result" } else { "payload" };
        match completion.ending {
            Ending::Success { audio_duration_seconds, billing_time_seconds, addon_errors } => {
                prop_assert_eq!(addon_errors, expected_failures(&body[name]));
                let seconds = |which: &str| body[name]["metadata"][which].as_f64();
                prop_assert_eq!(audio_duration_seconds, seconds("audio_duration"));
                prop_assert_eq!(billing_time_seconds, seconds("billing_time"));
                let result = result_of(text.as_bytes()).unwrap().get();
                prop_assert_eq!(result, body[name].to_string());
            }
            Ending::Failure { code, message } => {
                let expected = match shape {
                    Shape::Callback => Some(400),
                    Shape::Job => {
                        let given = &body["error_code"];
                        let written = || given.as_str()?.trim().parse::<i32>().ok();
                        given.as_i64().and_then(|code| code.try_into().ok()).or_else(written)
                    }
                };
                prop_assert_eq!(code, expected);
                prop_assert!(!message.contains('\0') && !message.is_empty() || body["error"]["message"] == "");
            }
        }
    }
}
