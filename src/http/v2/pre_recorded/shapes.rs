//! The shapes that options have where Gladia shows them.
//!
//! `extra_options` are kept as they came, whatever they are, and Gladia's clients read what is shown by its types: a list where
//! an object belongs, or a configuration without what it always has, fails the reading of the job and of every list with it.

use serde_json::{Map, Value};

use self::Shape::{Config, Flag, FlagOrTexts, Number, Spellings, Text, Texts, TextsOrOne, Words};

/// What stands in the place of an option or of one of its fields.
#[derive(Clone, Copy)]
enum Shape {
    Flag,
    Text,
    Number,
    Texts,
    /// Gladia's document and its own echo differ here.
    TextsOrOne,
    /// The older form of the option is a list.
    FlagOrTexts,
    /// Each a text, or an object with details.
    Words,
    /// Lists of texts by names.
    Spellings,
    Config {
        fields: &'static [(&'static str, Shape)],
        /// Without these it is none.
        required: &'static [&'static str],
    },
}

const fn config(fields: &'static [(&'static str, Shape)]) -> Shape {
    Config {
        fields,
        required: &[],
    }
}

/// Every option whose shape is known but those that are flags.
const SHAPES: &[(&str, Shape)] = &[
    ("model", Text),
    ("callback_url", Text),
    ("custom_vocabulary", FlagOrTexts),
    (
        "language_config",
        config(&[("languages", Texts), ("code_switching", Flag)]),
    ),
    (
        "custom_vocabulary_config",
        Config {
            fields: &[("vocabulary", Words), ("default_intensity", Number)],
            required: &["vocabulary"],
        },
    ),
    (
        "custom_spelling_config",
        Config {
            fields: &[("spelling_dictionary", Spellings)],
            required: &["spelling_dictionary"],
        },
    ),
    (
        "callback_config",
        Config {
            fields: &[("url", Text), ("method", Text)],
            required: &["url"],
        },
    ),
    (
        "subtitles_config",
        config(&[
            ("formats", Texts),
            ("minimum_duration", Number),
            ("maximum_duration", Number),
            ("maximum_characters_per_row", Number),
            ("maximum_rows_per_caption", Number),
            ("style", Text),
        ]),
    ),
    (
        "diarization_config",
        config(&[
            ("number_of_speakers", Number),
            ("min_speakers", Number),
            ("max_speakers", Number),
        ]),
    ),
    (
        "translation_config",
        config(&[
            ("target_languages", Texts),
            ("model", Text),
            ("match_original_utterances", Flag),
            ("lipsync", Flag),
            ("context_adaptation", Flag),
            ("context", Text),
            ("informal", Flag),
        ]),
    ),
    ("summarization_config", config(&[("type", Text)])),
    (
        "audio_to_llm_config",
        config(&[("prompts", Texts), ("model", Text)]),
    ),
    (
        "pii_redaction_config",
        config(&[("entity_types", TextsOrOne), ("processed_text_type", Text)]),
    ),
    (
        "structured_data_extraction_config",
        Config {
            fields: &[("classes", Texts)],
            required: &["classes"],
        },
    ),
    ("code_switching_config", config(&[("languages", Texts)])),
];

/// The one name that Gladia's Python client keeps for itself, in every object that it reads by its types.
const TAKEN: &str = "_unknown_fields";

/// A word of a vocabulary with details.
const WORD: Shape = Config {
    fields: &[
        ("value", Text),
        ("intensity", Number),
        ("pronunciations", Texts),
        ("language", Text),
    ],
    required: &["value"],
};

/// Takes out whatever has another shape than Gladia shows. What no shape is known of stays as it is.
pub fn take_out_misshapen(options: &mut Map<String, Value>, is_flag: impl Fn(&str) -> bool) {
    let shape_of = |name: &str| match SHAPES.iter().find(|(known, _)| *known == name) {
        Some((_, shape)) => Some(*shape),
        None => is_flag(name).then_some(Flag),
    };
    retain_fitting(options, shape_of);
}

fn retain_fitting(values: &mut Map<String, Value>, shape_of: impl Fn(&str) -> Option<Shape>) {
    values.retain(|name, value| {
        name != TAKEN
            && (value.is_null() || shape_of(name).is_none_or(|shape| shape.trim_to_fit(value)))
    });
}

impl Shape {
    /// Takes out of a value what does not fit into this shape. Says whether what is left has it.
    fn trim_to_fit(self, value: &mut Value) -> bool {
        match (self, value) {
            (Flag | FlagOrTexts, Value::Bool(_))
            | (Text | TextsOrOne, Value::String(_))
            | (Number, Value::Number(_)) => true,
            (Texts | TextsOrOne | FlagOrTexts, Value::Array(items)) => {
                items.retain(Value::is_string);
                true
            }
            (Words, Value::Array(items)) => {
                items.retain_mut(|item| item.is_string() || WORD.trim_to_fit(item));
                true
            }
            (Spellings, Value::Object(lists)) => {
                lists.retain(|_, list| Texts.trim_to_fit(list));
                true
            }
            (Config { fields, required }, Value::Object(values)) => {
                let shape_of = |name: &str| {
                    let known = fields.iter().find(|(known, _)| *known == name);
                    known.map(|(_, shape)| *shape)
                };
                retain_fitting(values, shape_of);
                let has = |name: &&str| values.get(*name).is_some_and(|value| !value.is_null());
                required.iter().all(has)
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn shown(options: Value) -> Value {
        let Value::Object(mut options) = options else {
            panic!("no options")
        };
        take_out_misshapen(&mut options, |name| name == "diarization");
        options.into()
    }

    #[test]
    fn what_has_its_shape_stays_and_so_does_what_is_new() {
        let options = json!({
            "diarization": true, "custom_vocabulary": ["Gladia"], "model": "solaria-9", "of_tomorrow": { "a": [null] },
            "diarization_config": null,
            "translation_config": { "target_languages": ["xx"], "model": null, "of_tomorrow": 7 },
            "pii_redaction_config": { "entity_types": "GDPR" },
            "custom_vocabulary_config": { "vocabulary": ["a", { "value": "b", "intensity": 0.4, "pronunciations": ["c"] }] },
            "custom_spelling_config": { "spelling_dictionary": { "Gladia": ["Gladya"] } },
        });
        assert_eq!(shown(options.clone()), options);
    }

    #[test]
    fn what_has_another_shape_is_taken_out_where_it_stands() {
        for (given, left) in [
            (json!({ "diarization": "yes", "model": 9 }), json!({})),
            (json!({ "custom_vocabulary": "Gladia" }), json!({})),
            (
                json!({ "translation_config": ["fr"], "language_config": "fr" }),
                json!({}),
            ),
            (
                json!({ "translation_config": { "target_languages": "fr", "informal": true } }),
                json!({ "translation_config": { "informal": true } }),
            ),
            (
                json!({ "audio_to_llm_config": { "prompts": ["a", ["b"], 7] } }),
                json!({ "audio_to_llm_config": { "prompts": ["a"] } }),
            ),
            (
                json!({ "custom_vocabulary_config": { "default_intensity": 0.5 } }),
                json!({}),
            ),
            (
                json!({ "custom_vocabulary_config": { "vocabulary": { "a": 1 } } }),
                json!({}),
            ),
            (
                json!({ "custom_vocabulary_config": { "vocabulary": [
                    7, { "value": "a", "pronunciations": "b" }, { "intensity": 1 }, null] } }),
                json!({ "custom_vocabulary_config": { "vocabulary": [{ "value": "a" }] } }),
            ),
            (json!({ "custom_spelling_config": {} }), json!({})),
            (
                json!({ "custom_spelling_config": { "spelling_dictionary": { "a": "b", "c": ["d", 1] } } }),
                json!({ "custom_spelling_config": { "spelling_dictionary": { "c": ["d"] } } }),
            ),
            (
                json!({ "_unknown_fields": 1, "summarization_config": { "_unknown_fields": {} } }),
                json!({ "summarization_config": {} }),
            ),
        ] {
            assert_eq!(shown(given.clone()), left, "{given}");
        }
    }
}
