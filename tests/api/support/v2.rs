//! A program that was written for Gladia, and the shapes that it expects.

use std::collections::BTreeSet;

use reqwest::{Method, RequestBuilder};
use serde_json::Value;

use super::{Answer, Caller};

impl Caller {
    /// A request as Gladia's clients make it.
    pub fn v2(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.base));
        match &self.key {
            Some(key) => request.header("x-gladia-key", key),
            None => request,
        }
    }

    pub async fn v2_get(&self, path: &str) -> Answer {
        Answer::to(self.v2(Method::GET, path)).await
    }

    /// A job as Gladia's clients see it.
    pub async fn v2_job(&self, id: &str) -> Value {
        let answer = self.v2_get(&format!("/v2/pre-recorded/{id}")).await;
        assert_eq!(answer.header("content-type"), Some("application/json"));
        answer.expect(200)
    }

    pub async fn v2_delete(&self, id: &str) -> Answer {
        Answer::to(self.v2(Method::DELETE, &format!("/v2/pre-recorded/{id}"))).await
    }

    pub async fn v2_list(&self, query: &str) -> Value {
        let answer = self.v2_get(&format!("/v2/pre-recorded{query}")).await;
        assert_eq!(answer.header("content-type"), Some("application/json"));
        let page = answer.expect(200);
        assert_eq!(keys(&page), keys_of(&["first", "current", "next", "items"]));
        page
    }
}

impl Answer {
    /// The body of an answer that must be this error of Gladia's, in its envelope.
    #[track_caller]
    pub fn gladia_error(&self, status: u16, message: &str) -> Value {
        assert_eq!(self.status, status, "{}", self.text());
        assert_eq!(self.header("content-type"), Some("application/json"));
        let body = self.json();
        assert_eq!(body["statusCode"], status);
        assert_eq!(body["message"], message);
        let mut expected = keys_of(&["statusCode", "timestamp", "path", "message", "request_id"]);
        if body.get("validation_errors").is_some() {
            expected.insert("validation_errors".to_owned());
        }
        assert_eq!(keys(&body), expected);
        body
    }
}

fn keys_of(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// The keys of an object.
#[track_caller]
pub fn keys(value: &Value) -> BTreeSet<String> {
    let object = value.as_object();
    let object = object.unwrap_or_else(|| panic!("no object but {value}"));
    object.keys().cloned().collect()
}

/// One of the fixtures.
pub fn fixture(text: &str) -> Value {
    serde_json::from_str(text).expect("fixtures are JSON")
}

/// Asserts that a value has the keys and the kinds of values that another one has, at every depth.
#[track_caller]
pub fn assert_same_shape(found: &Value, expected: &Value, place: &str) {
    match (found, expected) {
        (Value::Object(fields), Value::Object(other)) => {
            assert_eq!(keys(found), keys(expected), "{place}");
            for (name, value) in fields {
                assert_same_shape(value, &other[name], &format!("{place}.{name}"));
            }
        }
        (Value::Array(items), Value::Array(other)) => {
            for (item, other) in items.iter().zip(other) {
                assert_same_shape(item, other, &format!("{place}[]"));
            }
        }
        _ => assert_eq!(kind(found), kind(expected), "{place}: {found}"),
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}
