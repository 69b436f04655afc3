//! What answers have, by the document.

use std::{collections::BTreeSet, fs, path::PathBuf};

use gladia_gateway::domain::completion::AddonError;
use serde_json::Value;

use crate::{document, errors_in, operations, references};

/// The sources of everything that answers are made of. Options are what callers send, which may be null or left out; `/v2` is
/// Gladia's.
fn sources() -> Vec<(PathBuf, String)> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut left = vec![root.join("http"), root.join("domain")];
    let mut found = Vec::new();
    while let Some(directory) = left.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.ends_with("domain/options") || path.ends_with("http/v2") {
                continue;
            }
            if path.is_dir() {
                left.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                found.push((path, text));
            }
        }
    }
    found
}

#[test]
fn an_add_on_that_failed_without_a_word_has_all_of_its_fields() {
    let error = AddonError {
        pointer: "/summarization".to_owned(),
        status_code: None,
        exception: None,
        message: None,
    };
    let written = serde_json::to_value(error).unwrap();
    assert_eq!(errors_in("AddonError", &written), [""; 0], "{written}");
}

/// A field that is null where there is nothing is required. One that is left out instead is neither, and says so.
#[test]
fn whatever_is_left_out_of_answers_is_not_said_to_be_null() {
    const LEFT_OUT: &str = r#"skip_serializing_if = "Option::is_none""#;
    let mut looked_at = 0;
    for (path, text) in sources() {
        let mut parts = text.split(LEFT_OUT);
        parts.next();
        for part in parts {
            let attributes = part.split("pub ").next().unwrap();
            assert!(
                attributes.contains("nullable = false"),
                "{}: what is left out needs #[schema(nullable = false)]:{attributes}",
                path.display()
            );
            looked_at += 1;
        }
    }
    assert!(looked_at > 1);
}

/// The components that this part refers to, however deep.
fn reached(document: &Value, part: &Value) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut left = vec![part];
    while let Some(part) = left.pop() {
        let mut here = BTreeSet::new();
        references(part, &mut here);
        for reference in here {
            let pointer = reference.strip_prefix('#').unwrap();
            if found.insert(pointer.to_owned()) {
                left.push(document.pointer(pointer).unwrap());
            }
        }
    }
    found
}

#[test]
fn whatever_answers_show_may_have_more_fields_one_day() {
    let document = document();
    let mut answered = reached(&document, &document["webhooks"]);
    for (_, operation) in operations(&document) {
        answered.append(&mut reached(&document, &operation["responses"]));
    }
    for name in [
        "TranscriptionOptions",
        "ShownLanguageConfig",
        "ShownVocabularyWord",
    ] {
        let pointer = format!("/components/schemas/{name}");
        assert!(answered.contains(&pointer), "{name} is shown");
    }
    for pointer in answered {
        let more = &document.pointer(&pointer).unwrap()["additionalProperties"];
        assert_ne!(more, &Value::Bool(false), "{pointer}");
    }
}

#[test]
fn whatever_is_sent_has_no_fields_but_those_that_are_known() {
    let document = document();
    let mut sent = BTreeSet::new();
    for (_, operation) in operations(&document) {
        sent.append(&mut reached(&document, &operation["requestBody"]));
    }
    for name in [
        "CreateTranscription",
        "CreateBatch",
        "LanguageConfig",
        "VocabularyWord",
    ] {
        let pointer = format!("/components/schemas/{name}");
        assert!(sent.contains(&pointer), "{name} is sent");
    }
    for pointer in sent {
        let schema = document.pointer(&pointer).unwrap();
        if schema["properties"].is_object() {
            let more = &schema["additionalProperties"];
            assert_eq!(more, &Value::Bool(false), "{pointer}");
        }
    }
}

#[test]
fn what_is_shown_of_an_option_has_the_fields_that_were_sent() {
    let document = document();
    let schemas = &document["components"]["schemas"];
    let mut looked_at = 0;
    for (name, shown) in schemas.as_object().unwrap() {
        let Some(name) = name.strip_prefix("Shown") else {
            continue;
        };
        let fields = |schema: &Value| -> Option<Vec<String>> {
            Some(schema["properties"].as_object()?.keys().cloned().collect())
        };
        assert_eq!(fields(shown), fields(&schemas[name]), "{name}");
        assert_eq!(shown["required"], schemas[name]["required"], "{name}");
        looked_at += 1;
    }
    assert!(looked_at > 10, "{looked_at}");
}
