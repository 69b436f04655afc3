//! `custom_metadata`, and inputs that are out of all proportion.

use serde_json::{Map, Value, json};

use super::{one_violation, refused, upstream};
use crate::domain::options::RESERVED_METADATA_KEY;

#[test]
fn the_gateways_own_key_is_refused() {
    let violation = one_violation(json!({ "custom_metadata": { RESERVED_METADATA_KEY: "x" } }));
    assert_eq!(violation.pointer, "/custom_metadata/gladia_gateway_attempt");
    assert!(violation.rule.contains("use another"), "{}", violation.rule);
}

#[test]
fn metadata_fills_gladias_limit_and_not_more() {
    // Written as JSON: {"a":"…","gladia_gateway_attempt":"<36 characters>"}
    let frame = r#"{"a":"","gladia_gateway_attempt":""}"#.len() + 36;
    let fits = json!({ "custom_metadata": { "a": "x".repeat(2000 - frame) } });
    assert_eq!(upstream(fits.clone()), fits);

    let violation =
        one_violation(json!({ "custom_metadata": { "a": "x".repeat(2000 - frame + 3) } }));
    assert_eq!(violation.pointer, "/custom_metadata");
    assert!(
        violation
            .rule
            .ends_with("of which 64 are the gateway's own mark: shorten it by 3.")
    );
}

#[test]
fn metadata_is_measured_in_characters_and_not_in_bytes() {
    let accents = json!({ "custom_metadata": { "a": "é".repeat(1900) } });
    assert_eq!(upstream(accents.clone()), accents);
}

#[test]
fn metadata_must_be_an_object() {
    for wrong in [json!("x"), json!(["x"]), json!(3), json!(true)] {
        let violation = one_violation(json!({ "custom_metadata": wrong }));
        assert!(
            violation
                .rule
                .starts_with("`custom_metadata` must be an object; found")
        );
    }
}

/// Arrays within arrays.
fn nested(levels: usize) -> Value {
    (0..levels).fold(Value::Null, |inner, _| Value::Array(vec![inner]))
}

/// An object with one field. Unlike `json!`, it moves the value in: `json!` would copy it by recursion.
fn with(name: &str, value: Value) -> Value {
    Value::Object(Map::from_iter([(name.to_owned(), value)]))
}

#[test]
fn absurdly_deep_values_are_refused_and_nothing_overflows() {
    let deep = || nested(5000);
    assert_eq!(
        one_violation(with("custom_metadata", with("a", deep()))).rule,
        "`custom_metadata` must nest no deeper than 64 levels."
    );
    let violation = one_violation(with("sentences", deep()));
    assert!(violation.rule.ends_with("found an array of 1 item."));
    assert_eq!(refused(with("nonsense", deep())).len(), 1);
    let prompts = with("prompts", Value::Array(vec![deep()]));
    assert_eq!(refused(with("audio_to_llm_config", prompts)).len(), 1);
}

#[test]
fn metadata_may_nest_64_levels() {
    let deepest = with("custom_metadata", with("a", nested(63)));
    assert_eq!(upstream(deepest.clone()), deepest);
    refused(with("custom_metadata", with("a", nested(64))));
}

#[test]
fn no_more_than_fifty_violations_are_listed() {
    let wrong: Vec<Value> = (0..100_000).map(Value::from).collect();
    assert_eq!(
        refused(json!({ "language_config": { "languages": wrong } })).len(),
        50
    );

    let names: Value = (0..100_000)
        .map(|n| (format!("name{n}"), json!(1)))
        .collect();
    assert_eq!(refused(names).len(), 50);
}

#[test]
fn long_values_and_names_are_not_repeated() {
    let long = "x".repeat(1_000_000);
    let violation = one_violation(json!({ "model": long }));
    assert!(violation.rule.contains("a string of 1000000 characters"));
    assert!(violation.rule.len() < 300);

    let violation = one_violation(json!({ "subtitles_config": { &long: 1 } }));
    assert_eq!(violation.pointer, "/subtitles_config");
    assert!(violation.rule.len() < 400, "{}", violation.rule);

    let violation = one_violation(
        json!({ "custom_spelling_config": { "spelling_dictionary": { &long: [1] } } }),
    );
    assert_eq!(
        violation.pointer,
        "/custom_spelling_config/spelling_dictionary"
    );
    assert!(violation.rule.len() < 400, "{}", violation.rule);
}
