//! What Gladia itself refuses in a create's body, in the words of class-validator.
//!
//! Far less than the rules of [`options`](super::options): nothing that only looks like a mistake.

mod values;

use serde_json::{Map, Value};

use self::values::{ENTITY_TYPES, LANGUAGES, OTHERS, TARGET_ONLY};
use super::{audio_url::is_url_to_gladia, options::MOST_VIOLATIONS};

pub use self::values::{ECHOED_FLAGS, FLAGS, MODELS};

/// What is wrong with a body, nothing if it is valid. `strict`: names that are not known are wrong, too.
#[must_use]
pub fn check(body: &Map<String, Value>, strict: bool) -> Vec<String> {
    let mut errors = Vec::new();
    let mut top = Fields {
        prefix: "",
        values: body,
        errors: &mut errors,
    };
    top.required("audio_url");
    top.url("audio_url");
    top.one_of("model", MODELS);
    for flag in FLAGS {
        top.boolean(flag);
    }
    if !top.given("custom_vocabulary").is_none_or(Value::is_array) {
        // An array is the older form of the option.
        top.boolean("custom_vocabulary");
    }
    top.url("callback_url");
    top.object("custom_metadata");
    if strict {
        for name in body.keys() {
            if !FLAGS.contains(&name.as_str()) && !OTHERS.contains(&name.as_str()) {
                top.error(&format!("property {name} should not exist"));
            }
        }
    }
    let metadata = body.get("custom_metadata").filter(|value| !value.is_null());
    if metadata.is_some_and(|metadata| metadata.to_string().encode_utf16().count() > 2000) {
        top.error(
            "custom_metadata must be shorter than or equal to 2000 characters once stringified",
        );
    }
    configs(&mut top);
    errors
}

fn configs(top: &mut Fields<'_>) {
    top.nested("language_config", |config| {
        config.boolean("code_switching");
        config.all_of("languages", |value| LANGUAGES.contains(&value), LANGUAGES);
    });
    top.nested("custom_vocabulary_config", |config| {
        config.required("vocabulary");
        config.array("vocabulary", 0);
        config.words("vocabulary");
        config.number("default_intensity", Some(0.0), Some(1.0), false);
    });
    top.nested("custom_spelling_config", |config| {
        config.required("spelling_dictionary");
        config.object("spelling_dictionary");
    });
    top.nested("callback_config", |config| {
        config.required("url");
        config.url("url");
        config.one_of("method", &["POST", "PUT"]);
    });
    top.nested("subtitles_config", |config| {
        config.array("formats", 1);
        config.all_of(
            "formats",
            |value| ["srt", "vtt"].contains(&value),
            &["srt", "vtt"],
        );
        config.number("minimum_duration", Some(0.0), None, false);
        config.number("maximum_duration", Some(1.0), Some(30.0), false);
        config.number("maximum_characters_per_row", Some(1.0), None, true);
        config.number("maximum_rows_per_caption", Some(1.0), Some(5.0), true);
        config.one_of("style", &["default", "compliance"]);
    });
    top.nested("diarization_config", |config| {
        config.number("number_of_speakers", Some(1.0), None, true);
        config.number("min_speakers", Some(0.0), None, true);
        config.number("max_speakers", Some(0.0), None, true);
    });
    top.nested("translation_config", |config| {
        config.required("target_languages");
        config.array("target_languages", 1);
        let known = |value: &str| value == TARGET_ONLY || LANGUAGES.contains(&value);
        config.all_of("target_languages", known, LANGUAGES);
        config.one_of("model", &["base", "batch", "enhanced"]);
        for flag in [
            "match_original_utterances",
            "lipsync",
            "context_adaptation",
            "informal",
        ] {
            config.boolean(flag);
        }
        config.string("context");
    });
    top.nested("summarization_config", |config| {
        config.one_of("type", &["general", "bullet_points", "concise"]);
    });
    top.nested("audio_to_llm_config", |config| {
        config.required("prompts");
        config.array("prompts", 1);
        config.strings("prompts");
        config.string("model");
    });
    top.nested("pii_redaction_config", |config| {
        // Gladia's document, and with it the types of its SDKs, has one value here and no list, which Gladia takes as well.
        config.all_of_or_one("entity_types", ENTITY_TYPES);
        config.one_of("processed_text_type", &["MARKER", "MASK"]);
    });
}

/// The fields of one object, and where their errors go. Null counts as not given.
struct Fields<'a> {
    prefix: &'a str,
    values: &'a Map<String, Value>,
    errors: &'a mut Vec<String>,
}

impl<'a> Fields<'a> {
    fn given(&self, name: &str) -> Option<&'a Value> {
        self.values.get(name).filter(|value| !value.is_null())
    }

    fn error(&mut self, error: &str) {
        if self.is_full() {
            return;
        }
        self.errors.push(format!("{}{error}", self.prefix));
    }

    fn is_full(&self) -> bool {
        self.errors.len() >= MOST_VIOLATIONS
    }

    fn must(&mut self, name: &str, rule: &str, fits: impl FnOnce(&Value) -> bool) {
        if self.given(name).is_some_and(|value| !fits(value)) {
            self.error(&format!("{name} must {rule}"));
        }
    }

    fn required(&mut self, name: &str) {
        if self.given(name).is_none() {
            self.error(&format!("{name} should not be empty"));
        }
    }

    fn boolean(&mut self, name: &str) {
        self.must(name, "be a boolean value", Value::is_boolean);
    }

    fn string(&mut self, name: &str) {
        self.must(name, "be a string", Value::is_string);
    }

    fn object(&mut self, name: &str) {
        self.must(name, "be an object", Value::is_object);
    }

    fn url(&mut self, name: &str) {
        self.must(name, "be a URL address", |value| {
            value.as_str().is_some_and(is_url_to_gladia)
        });
    }

    fn one_of(&mut self, name: &str, values: &[&str]) {
        let fits = |value: &Value| value.as_str().is_some_and(|value| values.contains(&value));
        // The rule is long, and mostly of no use.
        if !self.given(name).is_none_or(fits) {
            let values = values.join(", ");
            self.error(&format!(
                "{name} must be one of the following values: {values}"
            ));
        }
    }

    fn array(&mut self, name: &str, least: usize) {
        self.must(name, "be an array", Value::is_array);
        if let Some(Value::Array(items)) = self.given(name)
            && items.len() < least
        {
            self.error(&format!("{name} must contain at least {least} elements"));
        }
    }

    fn all_of(&mut self, name: &str, known: impl Fn(&str) -> bool, values: &[&str]) {
        let rule = format!("only contain the following values: {}", values.join(", "));
        self.must(name, &rule, |value| {
            value
                .as_array()
                .is_some_and(|items| items.iter().all(|item| item.as_str().is_some_and(&known)))
        });
    }

    /// The same, or one of them by itself.
    fn all_of_or_one(&mut self, name: &str, values: &[&str]) {
        let known = |value: &str| values.contains(&value);
        let one = self.given(name).and_then(Value::as_str);
        if !one.is_some_and(known) {
            self.all_of(name, known, values);
        }
    }

    fn strings(&mut self, name: &str) {
        let items = self.given(name).and_then(Value::as_array);
        if items.is_some_and(|items| !items.iter().all(Value::is_string)) {
            self.error(&format!("each value in {name} must be a string"));
        }
    }

    /// Checks a vocabulary: each item a string, or an object with details.
    fn words(&mut self, name: &str) {
        let items = self.given(name).and_then(Value::as_array);
        for (index, item) in items.into_iter().flatten().enumerate() {
            if self.is_full() {
                return;
            }
            let values = match item {
                Value::String(_) => continue,
                Value::Object(values) => values,
                _ => {
                    self.error(&format!("{name}.{index} must be a string or an object"));
                    continue;
                }
            };
            let mut word = Fields {
                prefix: &format!("{}{name}.{index}.", self.prefix),
                values,
                errors: self.errors,
            };
            word.required("value");
            word.string("value");
            word.number("intensity", Some(0.0), Some(1.0), false);
            word.array("pronunciations", 0);
            word.strings("pronunciations");
            word.one_of("language", LANGUAGES);
        }
    }

    fn number(&mut self, name: &str, least: Option<f64>, most: Option<f64>, integer: bool) {
        let Some(value) = self.given(name) else {
            return;
        };
        // Gladia cannot tell 2.0 from 2.
        let whole = value.as_f64().is_some_and(|number| number.fract() == 0.0);
        let Some(number) = value.as_f64().filter(|_| whole || !integer) else {
            let rule = if integer {
                "be an integer number"
            } else {
                "be a number conforming to the specified constraints"
            };
            return self.error(&format!("{name} must {rule}"));
        };
        if let Some(least) = least.filter(|least| number < *least) {
            self.error(&format!("{name} must not be less than {least}"));
        }
        if let Some(most) = most.filter(|most| number > *most) {
            self.error(&format!("{name} must not be greater than {most}"));
        }
    }

    fn nested(&mut self, name: &str, check: impl FnOnce(&mut Fields<'_>)) {
        match self.given(name) {
            None => {}
            Some(Value::Object(values)) => check(&mut Fields {
                prefix: &format!("{name}."),
                values,
                errors: self.errors,
            }),
            Some(_) => self.error(&format!("{name} must be an object")),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn errors(body: &Value) -> Vec<String> {
        check(body.as_object().unwrap(), false)
    }

    #[test]
    fn of_very_many_errors_some_are_told() {
        let words = vec![json!({"language": 1}); 10_000];
        let body = json!({"audio_url": "https://a.example/b", "custom_vocabulary_config": {"vocabulary": words}});
        assert_eq!(errors(&body).len(), MOST_VIOLATIONS);
    }

    #[test]
    fn a_plain_create_is_valid_whatever_else_it_brings() {
        let body = json!({"audio_url": "https://a.example/b", "chapterization": true, "new": 1, "model": null});
        assert_eq!(errors(&body), [""; 0]);
        assert_eq!(
            check(body.as_object().unwrap(), true),
            [
                "property chapterization should not exist",
                "property new should not exist"
            ]
        );
    }

    #[test]
    fn what_gladias_document_and_its_clients_write_otherwise_is_valid_too() {
        for entity_types in [json!("GDPR"), json!(["GDPR", "NAME"])] {
            let body = json!({
                "audio_url": "https://a.example/b",
                "pii_redaction_config": {"entity_types": entity_types},
                "diarization_config": {"number_of_speakers": 2.0},
            });
            assert_eq!(errors(&body), [""; 0]);
        }
        let body = json!({"audio_url": "https://a.example/b", "pii_redaction_config": {"entity_types": "NOTHING"}});
        let rule = "pii_redaction_config.entity_types must only contain the following values: ";
        assert!(errors(&body)[0].starts_with(rule));
    }

    #[test]
    fn metadata_are_as_long_as_javascript_counts_them() {
        let with = |text: String| json!({"audio_url": "https://a.example/b", "custom_metadata": {"a": text}});
        let room = 2000 - r#"{"a":""}"#.len();
        assert_eq!(errors(&with("é".repeat(room))), [""; 0]);
        assert_eq!(errors(&with("👩".repeat(room / 2))), [""; 0]);
        let rule =
            "custom_metadata must be shorter than or equal to 2000 characters once stringified";
        for text in ["é".repeat(room + 1), "👩".repeat(room / 2 + 1)] {
            assert_eq!(errors(&with(text)), [rule]);
        }
    }

    #[test]
    fn errors_name_the_field_and_the_rule() {
        let body = json!({
            "audio_url": "not a url",
            "diarization": "yes",
            "model": "default",
            "language_config": {"languages": ["xx"]},
            "subtitles_config": {"maximum_duration": 31, "formats": [], "maximum_rows_per_caption": 1.5},
            "audio_to_llm_config": {"prompts": [["nested"]]},
            "translation_config": {},
            "custom_vocabulary_config": {"vocabulary": ["a", 7, {"intensity": 2}]},
        });
        let errors = errors(&body);
        let expected = [
            "audio_url must be a URL address",
            "model must be one of the following values: solaria-1, solaria-3, solaria-fusion",
            "diarization must be a boolean value",
            "subtitles_config.formats must contain at least 1 elements",
            "subtitles_config.maximum_duration must not be greater than 30",
            "subtitles_config.maximum_rows_per_caption must be an integer number",
            "translation_config.target_languages should not be empty",
            "audio_to_llm_config.each value in prompts must be a string",
            "custom_vocabulary_config.vocabulary.1 must be a string or an object",
            "custom_vocabulary_config.vocabulary.2.value should not be empty",
            "custom_vocabulary_config.vocabulary.2.intensity must not be greater than 1",
        ];
        for expected in expected {
            assert!(errors.iter().any(|error| error == expected), "{expected}");
        }
        let languages = "language_config.languages must only contain the following values: af, am";
        assert!(errors.iter().any(|error| error.starts_with(languages)));
        assert_eq!(errors.len(), expected.len() + 1);
    }
}
