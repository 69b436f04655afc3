use serde_json::json;

use super::*;
use crate::domain::completion::AddonError;

/// A source to which it does not matter where the result stands.
struct Unmarked<R>(R);

impl<R: Read> Read for Unmarked<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.0.read(buffer)
    }
}

impl<R: Read> Source for Unmarked<R> {
    fn result_begins(&mut self, _: u64) {}
    fn result_ends(&mut self, _: u64) {}
}

/// What a body says.
pub(super) fn read_report(body: impl Read, shape: Shape) -> Result<Report, String> {
    read(Unmarked(body), shape).report
}

fn parse(body: &[u8]) -> Result<Completion, String> {
    match read_report(body, Shape::Callback)? {
        Report::Ended(completion) => Ok(completion),
        Report::Running { .. } => panic!("a callback is of a job that has ended"),
    }
}

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
fn a_failure_s_pointer_leads_to_it_whatever_its_add_on_is_called() {
    let payload = r#"{"metadata":{},"and/or~not":{"results":[{"success":false}]}}"#;
    let found = addon_errors(payload);
    assert_eq!(found[0].pointer, "/and~1or~0not/results/0");
    let payload: serde_json::Value = payload.parse().unwrap();
    assert!(payload.pointer(&found[0].pointer).is_some());
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
        r#"{"metadata":{}}"#,
        r#"{"metadata":[],"transcription":{},"summarization":7}"#,
        r#"{"metadata":{},"transcription":null}"#,
        r#"{"metadata":{"audio_duration":"1","billing_time":1e999},"transcription":{"sentences":"a"}}"#,
        r#"{"metadata":{},"summarization":{"success":"no","error":"text","results":{"a":[1,2]}}}"#,
        r#"{"metadata":{},"translation":{"results":[null,1,"a",[],{}]}}"#,
        r#"{"metadata":{},"a":"\ud800"}"#,
        &format!(r#"{{"metadata":{{}},"a":{nested}}}"#),
        &format!(r#"{{"metadata":{{}},"a":{deep}}}"#),
    ] {
        assert_eq!(addon_errors(payload), [], "{payload:.100}");
    }
    // Of a name that stands twice, the last one counts.
    let twice = r#"{"metadata":{},"chapterization":{"success":false},"chapterization":{"success":false,"success":true}}"#;
    assert_eq!(addon_errors(twice), []);
    let failed = r#"{"metadata":{"audio_duration":1,"audio_duration":2},"chapterization":{"success":true,"success":false}}"#;
    assert_eq!(addon_errors(failed)[0].pointer, "/chapterization");
}

#[test]
fn a_success_is_one_only_with_a_result() {
    for (result, is_one) in [
        (r#"{"metadata":{}}"#, true),
        (r#"{"transcription":{}}"#, true),
        (r#"{"metadata":null,"transcription":{}}"#, true),
        (r#"{"transcription":{},"transcription":1}"#, true),
        ("{}", false),
        (r#"{"foo":1}"#, false),
        (r#"{"id":"x"}"#, false),
        (r#"{"metadata":null,"transcription":null}"#, false),
        (r#"{"metadata":"secret","transcription":[1]}"#, false),
        (r#"{"foo":{"metadata":{},"transcription":{}}}"#, false),
    ] {
        let callback =
            format!(r#"{{"id":"b7","event":"transcription.success","payload":{result}}}"#);
        let reports = [
            read_report(callback.as_bytes(), Shape::Callback),
            job("done", &format!(r#","result":{result}"#)),
        ];
        for report in reports {
            assert_eq!(report.is_ok(), is_one, "{result}");
            assert!(!report.is_err_and(|why| why.contains("secret")), "{result}");
        }
    }
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
fn a_failure_is_one_whatever_its_error_is() {
    let no_reason = "Gladia gave no reason.";
    for (error, code, message) in [
        (
            r#","error":"Out \u0000 of memory""#,
            None,
            "Out \u{fffd} of memory",
        ),
        (r#","error":{"message":"no code"}"#, None, "no code"),
        (
            r#","error":{"code":"413","message":null}"#,
            Some(413),
            no_reason,
        ),
        (r#","error":{"code":1e99,"message":"a"}"#, None, "a"),
        (
            r#","error":{"code":{"a":1},"message":{"b":2}}"#,
            None,
            r#"{"b":2}"#,
        ),
        (r#","error":{}"#, None, no_reason),
        (r#","error":["a", 7]"#, None, r#"["a", 7]"#),
        (r#","error":503"#, Some(503), no_reason),
        (r#","error":true"#, None, "true"),
        (r#","error":null"#, None, no_reason),
        (
            r#","error":null,"error":{"code":500,"message":"twice"}"#,
            Some(500),
            "twice",
        ),
        ("", None, no_reason),
    ] {
        let body = format!(r#"{{"id":"b7","event":"transcription.error"{error}}}"#);
        let message = message.to_owned();
        let ending = parse(body.as_bytes()).unwrap().ending;
        assert_eq!(ending, Ending::Failure { code, message }, "{error}");
    }
    for (error, expected) in [
        (r#","error_code":"422""#, Some(422)),
        (r#","error_code":422,"error":"text""#, Some(422)),
        (r#","error_code":4,"error_code":500"#, Some(500)),
        (r#","error_code":99999999999"#, None),
        (r#","error_code":[422]"#, None),
        (r#","error_code":null"#, None),
        ("", None),
    ] {
        let Ok(Report::Ended(completion)) = job("error", error) else {
            panic!("it has ended: {error}");
        };
        let Ending::Failure { code, .. } = completion.ending else {
            panic!("it has failed: {error}");
        };
        assert_eq!(code, expected, "{error}");
    }
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
        b"{\"id\":\"\",\"event\":\"transcription.success\",\"payload\":{\"metadata\":{}}}",
        b"{\"id\":\"x\",\"event\":\"transcription.created\",\"payload\":{}}",
        b"{\"id\":\"x\",\"event\":\"transcription.success\"}",
        b"{\"id\":\"x\",\"event\":\"transcription.success\",\"payload\":[\"secret words\"]}",
        b"{\"event\":\"transcription.error\",\"error\":\"secret words\"}",
        b"\xff\xfe secret words",
    ] {
        let reason = parse(body).unwrap_err();
        assert!(!reason.contains("secret"), "{reason}");
    }
}

fn job(status: &str, rest: &str) -> Result<Report, String> {
    let body = format!(r#"{{"id":"b7","status":"{status}"{rest}}}"#);
    read_report(body.as_bytes(), Shape::Job)
}

#[test]
fn a_job_that_has_ended_says_what_its_callback_said() {
    let result = r#"{"metadata":{"audio_duration":3.5},"summarization":{"success":false}}"#;
    let callback = format!(r#"{{"id":"b7","event":"transcription.success","payload":{result}}}"#);
    let report = read_report(callback.as_bytes(), Shape::Callback).unwrap();
    let rest = format!(r#","file":null,"error_code":null,"result":{result}"#);
    assert_eq!(job("done", &rest).unwrap(), report);
    let body = format!(r#"{{"status":"done","result" : {result} }}"#);
    assert_eq!(result_of(body.as_bytes()).unwrap().get(), result);

    // The text of an error is in its callback alone.
    let Report::Ended(completion) = job("error", r#","error_code":413,"result":null"#).unwrap()
    else {
        panic!("it has ended");
    };
    let Ending::Failure { code, message } = completion.ending else {
        panic!("it has failed");
    };
    assert_eq!(code, Some(413));
    assert!(message.contains("no reason"), "{message}");
}

#[test]
fn a_job_that_has_not_ended_is_running() {
    for status in ["queued", "processing"] {
        let gladia_id = "b7".to_owned();
        let report = job(status, r#","result":null"#);
        assert_eq!(report, Ok(Report::Running { gladia_id }));
    }
    for (status, rest) in [
        ("done", ""),
        ("done", r#","result":null"#),
        ("done", r#","result":[]"#),
        (
            "done",
            r#","event":"transcription.success","result":{"metadata":{}}"#,
        ),
        (
            "done",
            r#","result":{"metadata":{}},"result":{"metadata":{}}"#,
        ),
        ("paused", r#","result":{"metadata":{}}"#),
    ] {
        assert!(job(status, rest).is_err(), "{status} {rest}");
    }
    assert!(result_of(br#"{"status":"done","result":null}"#).is_none());
}

#[test]
fn whitespace_is_no_part_of_what_stands_before_it() {
    let space = " \n".repeat(1000);
    let body = format!(
        r#"{{"id"{space}:{space}"b7"{space},"event":"transcription.error"{space},{space}"error"{space}:{{"message":[1]{space}}}}}"#
    );
    let completion = parse(body.as_bytes()).unwrap();
    assert_eq!(completion.gladia_id, "b7");
    let Ending::Failure { message, .. } = completion.ending else {
        panic!("{:?}", completion.ending);
    };
    assert_eq!(message, "[1]");
}

#[test]
fn long_texts_are_cut_where_a_character_ends() {
    for letter in ["a", "é", "\\u00e9", "\\ud83d\\ude00", "\\n", "\u{1f600}"] {
        let message = letter.repeat(70_000);
        let body = format!(
            r#"{{"id":"b7","event":"transcription.error","error":{{"message":"{message}"}}}}"#
        );
        let Ending::Failure { message, .. } = parse(body.as_bytes()).unwrap().ending else {
            panic!("no failure");
        };
        assert_eq!(message.chars().count(), 4000, "{letter}");
    }
    // What is no text is shown as it stands there.
    let body = br#"{"id":"b7","event":"transcription.error","error":{"message":["a","b"]}}"#;
    let ending = parse(body).unwrap().ending;
    let message = r#"["a","b"]"#.to_owned();
    assert_eq!(
        ending,
        Ending::Failure {
            code: None,
            message
        }
    );
}

#[test]
fn the_attempt_that_sent_a_job_is_read_from_its_metadata_wherever_they_stand() {
    let attempt = "0190b5a0-0000-7000-8000-000000000000";
    let attempt_id = |metadata: &str| {
        let before = format!(r#"{{"custom_metadata":{metadata},"id":"b7","status":"queued"}}"#);
        let behind = format!(r#"{{"id":"b7","status":"queued","custom_metadata":{metadata}}}"#);
        let read = [before, behind].map(|body| read(Unmarked(body.as_bytes()), Shape::Job));
        assert!(read.iter().all(|reading| reading.report.is_ok()));
        assert_eq!(read[0].attempt_id, read[1].attempt_id);
        read[0].attempt_id.map(|id| id.to_string())
    };
    let ours = format!(r#"{{"team":[{{}}],"gladia_gateway_attempt":"{attempt}","more":1}}"#);
    assert_eq!(attempt_id(&ours).as_deref(), Some(attempt));
    for others in [
        "null",
        "{}",
        "[7]",
        r#"{"gladia_gateway_attempt":7}"#,
        r#"{"gladia_gateway_attempt":"somebody"}"#,
        r#"{"nested":{"gladia_gateway_attempt":"0190b5a0-0000-7000-8000-000000000000"}}"#,
    ] {
        assert_eq!(attempt_id(others), None, "{others}");
    }
}
