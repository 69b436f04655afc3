//! Where the caller wants to be called: every combination of the three options, with what comes of it.

use serde_json::{Value, json};

use super::{object, one_violation, refused};
use crate::domain::delivery::{Callback, CallbackMethod};
use crate::domain::options::WarningCode::{Deprecated, NoEffect, SwitchedOn};
use crate::domain::options::{CheckedOptions, OptionsPolicy, TranscriptionOptions, WarningCode};

const URL: &str = "https://caller.example/told?key=1";

fn check(body: &Value) -> CheckedOptions {
    let policy = OptionsPolicy::default();
    TranscriptionOptions::parse(object(body.clone()), &[], policy)
        .unwrap_or_else(|violations| panic!("{body} is refused: {violations:#?}"))
}

fn callback(method: CallbackMethod) -> Callback {
    Callback {
        url: URL.to_owned(),
        method,
    }
}

/// A body, where its caller is called, and the places and kinds of its warnings.
type Case = (Value, Option<Callback>, Vec<(&'static str, WarningCode)>);

#[test]
fn the_caller_is_called_where_it_says_and_nowhere_if_it_says_so() {
    let config = json!({ "url": URL });
    let put = json!({ "url": URL, "method": "PUT" });
    let (post, none) = (Some(callback(CallbackMethod::Post)), None);
    let cases: Vec<Case> = vec![
        (json!({}), none.clone(), vec![]),
        (json!({ "callback": false }), none.clone(), vec![]),
        (
            json!({ "callback": null, "callback_config": null, "callback_url": null }),
            none.clone(),
            vec![],
        ),
        (
            json!({ "callback": true, "callback_config": config }),
            post.clone(),
            vec![],
        ),
        (
            json!({ "callback": true, "callback_config": put }),
            Some(callback(CallbackMethod::Put)),
            vec![],
        ),
        (
            json!({ "callback_config": config }),
            post.clone(),
            vec![("/callback_config", SwitchedOn)],
        ),
        (
            json!({ "callback_url": URL }),
            post.clone(),
            vec![("/callback_url", Deprecated)],
        ),
        (
            json!({ "callback": true, "callback_url": URL }),
            post,
            vec![("/callback_url", Deprecated)],
        ),
        (
            json!({ "callback": true, "callback_config": put, "callback_url": URL.replace("caller", "CALLER") }),
            Some(callback(CallbackMethod::Put)),
            vec![("/callback_url", Deprecated)],
        ),
        (
            json!({ "callback": false, "callback_config": config, "callback_url": URL }),
            none,
            vec![("/callback_config", NoEffect), ("/callback_url", NoEffect)],
        ),
    ];
    for (body, wanted, warnings) in cases {
        let checked = check(&body);
        assert_eq!(checked.options.wanted_callback(), wanted, "{body}");
        let found = checked.warnings.iter();
        let found: Vec<_> = found.map(|one| (one.pointer.as_str(), one.code)).collect();
        assert_eq!(found, warnings, "{body}");
    }
}

#[test]
fn a_callback_to_nowhere_or_to_two_places_is_refused() {
    let violation = one_violation(json!({ "callback": true }));
    assert_eq!(violation.pointer, "/callback_config");
    assert!(
        violation
            .rule
            .contains("needs `callback_config` with `url`")
    );
    let other =
        json!({ "callback_config": { "url": URL }, "callback_url": "https://caller.example/told" });
    let violation = one_violation(other);
    assert_eq!(violation.pointer, "/callback_url");
    assert!(violation.rule.contains("there is one callback"));
}

#[test]
fn an_address_that_nobody_can_call_is_refused_and_not_repeated() {
    let wrong = "https://user:secret@caller.example/";
    let violations = refused(
        json!({ "callback_config": { "url": wrong }, "callback_url": "ftp://secret.example" }),
    );
    let pointers: Vec<&str> = violations.iter().map(|one| one.pointer.as_str()).collect();
    assert_eq!(pointers, ["/callback_config/url", "/callback_url"]);
    for violation in &violations {
        assert!(!violation.rule.contains("secret"), "{}", violation.rule);
    }
    assert!(
        violations[0]
            .rule
            .starts_with("`url` must not contain a user name")
    );
    assert!(
        violations[1]
            .rule
            .starts_with("`callback_url` must be an http")
    );
}

#[test]
fn what_is_not_known_of_a_callback_cannot_be_sent_past_the_gateway() {
    let violation = one_violation(json!({ "callback_config": { "url": URL, "headers": {} } }));
    assert_eq!(violation.pointer, "/callback_config/headers");
    assert!(
        !violation.rule.contains("extra_options"),
        "{}",
        violation.rule
    );
}
