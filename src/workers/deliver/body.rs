//! What goes out. Results are put in as they came, byte for byte.

use bytes::Bytes;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::{db::deliveries::Failure, domain::ids::JobId};

/// What is said of a failure whose message is gone.
const OTHER_MESSAGE: &str = "The transcription failed.";

/// An event with a result as the last field of its `data`.
pub(super) fn with_result(event: &[u8], result: &[u8]) -> Bytes {
    // An event ends with the objects of its data and of itself.
    let Some(opened) = event.strip_suffix(b"}}") else {
        return Bytes::copy_from_slice(event);
    };
    [opened, b",\"result\":", result, b"}}"].concat().into()
}

/// Gladia's callback of a success, with our id.
pub(super) fn success(id: JobId, result: &[u8], custom_metadata: Option<&RawValue>) -> Bytes {
    let head = format!(r#"{{"id":"{id}","event":"transcription.success","payload":"#);
    let metadata = custom_metadata.map(|metadata| format!(r#","custom_metadata":{metadata}"#));
    let tail = format!("{}}}", metadata.unwrap_or_default());
    [head.as_bytes(), result, tail.as_bytes()].concat().into()
}

/// Gladia's callback of a failure, with our id.
pub(super) fn error(id: JobId, failure: &Failure, custom_metadata: Option<&RawValue>) -> Bytes {
    #[derive(Serialize)]
    struct Callback<'a> {
        id: JobId,
        event: &'static str,
        error: Error<'a>,
        #[serde(skip_serializing_if = "Option::is_none")]
        custom_metadata: Option<&'a RawValue>,
    }

    #[derive(Serialize)]
    struct Error<'a> {
        code: i32,
        message: &'a str,
    }

    let callback = Callback {
        id,
        event: "transcription.error",
        error: Error {
            code: failure.code,
            message: failure.message.as_deref().unwrap_or(OTHER_MESSAGE),
        },
        custom_metadata,
    };
    // Text and numbers always become JSON.
    serde_json::to_vec(&callback).unwrap_or_default().into()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use uuid::Uuid;

    use super::*;

    const ID: JobId = JobId(Uuid::nil());

    fn read(body: &Bytes) -> Value {
        serde_json::from_slice(body).unwrap()
    }

    fn metadata() -> Box<RawValue> {
        RawValue::from_string(r#"{"n": 1.10, "nul": "\u0000"}"#.to_owned()).unwrap()
    }

    #[test]
    fn a_result_is_the_last_field_of_the_data_and_keeps_its_bytes() {
        let event = br#"{"id":"evt_1","data":{"links":{"result":null}}}"#;
        // What it ends with here are the links.
        let event = [
            &event[..event.len() - 3],
            br#","more":1},"status":"done"}}"#,
        ]
        .concat();
        let result = br#"{ "a" : 1.10 }"#;
        let body = with_result(&event, result);
        assert!(body.ends_with(br#","result":{ "a" : 1.10 }}}"#));
        assert_eq!(read(&body)["data"]["result"], json!({ "a": 1.10 }));
    }

    #[test]
    fn a_success_has_gladias_shape_and_its_parts_keep_their_bytes() {
        let body = success(ID, br#"{ "a" : 1.10 }"#, Some(&metadata()));
        let expected = format!(
            r#"{{"id":"{ID}","event":"transcription.success","payload":{{ "a" : 1.10 }},"custom_metadata":{}}}"#,
            metadata()
        );
        assert_eq!(body, expected);
        assert_eq!(
            read(&success(ID, b"{}", None)),
            json!({ "id": ID, "event": "transcription.success", "payload": {} })
        );
    }

    #[test]
    fn a_failure_has_gladias_shape_and_always_a_message() {
        let failure = Failure {
            code: 422,
            message: Some("\"no\" audio".to_owned()),
        };
        let body = error(ID, &failure, Some(&metadata()));
        assert_eq!(
            read(&body),
            json!({
                "id": ID, "event": "transcription.error",
                "error": { "code": 422, "message": "\"no\" audio" },
                "custom_metadata": { "n": 1.10, "nul": "\0" },
            })
        );
        let other = Failure {
            code: 504,
            message: None,
        };
        assert_eq!(
            read(&error(ID, &other, None)),
            json!({
                "id": ID, "event": "transcription.error",
                "error": { "code": 504, "message": "The transcription failed." },
            })
        );
    }
}
