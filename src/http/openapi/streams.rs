//! Server-Sent Events, which are text: a frame has an id, a type, and data that is JSON in turn.
//!
//! Programs that read streams hand out the frame or the data. The schema of a stream is one of both.

use serde_json::{Value, json};

use super::walk::{self, members, reference, referred};

/// The media type of streams, as it stands in a JSON pointer.
const CONTENT: &str = "/content/text~1event-stream";

/// Adds the frames.
pub(super) fn add(document: &mut Value) {
    let mut found = Vec::new();
    for operation in walk::operations(document) {
        for response in members(&mut operation.value["responses"]) {
            let Some(content) = response.pointer_mut(CONTENT) else {
                continue;
            };
            let Some(event) = referred(&content["schema"]).map(str::to_owned) else {
                continue;
            };
            let message = message_of(&event);
            content["schema"] = json!({ "oneOf": [reference(&message), reference(&event)] });
            found.push((message, event));
        }
    }
    let components = &mut document["components"]["schemas"];
    for (message, event) in found {
        components[message] = json!({
            "type": "object",
            "description": "A frame of a stream.",
            "required": ["id", "event", "data"],
            "properties": {
                "id": reference("EventId"),
                "event": reference("EventType"),
                "data": {
                    "type": "string",
                    "description": "The event, as JSON.",
                    "contentMediaType": "application/json",
                    "contentSchema": reference(&event),
                },
            },
        });
    }
}

/// What is older than JSON Schema has no words for it: a stream is text, and so are its examples.
pub(super) fn as_text(document: &mut Value) {
    let mut frames = Vec::new();
    for operation in walk::operations(document) {
        for response in members(&mut operation.value["responses"]) {
            let Some(content) = response.pointer_mut(CONTENT) else {
                continue;
            };
            let alternatives = content["schema"]["oneOf"].take();
            frames.extend(alternatives.get(0).and_then(referred).map(str::to_owned));
            content["schema"] = json!({ "type": "string" });
            for example in members(&mut content["examples"]) {
                let event = example["value"].take();
                let (id, kind) = (&event["id"], &event["type"]);
                let (id, kind) = (
                    id.as_str().unwrap_or_default(),
                    kind.as_str().unwrap_or_default(),
                );
                example["value"] = format!("id: {id}\nevent: {kind}\ndata: {event}\n\n").into();
            }
        }
    }
    if let Some(components) = document["components"]["schemas"].as_object_mut() {
        components.retain(|name, _| !frames.contains(name));
    }
}

fn message_of(event: &str) -> String {
    format!("{event}Message")
}
