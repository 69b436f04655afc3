//! One thing that is wrong with a request, and what to do about it.

use serde::Serialize;
use utoipa::ToSchema;

/// One thing that is wrong with a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Violation {
    /// Where: a JSON pointer (RFC 6901) into the request body.
    #[schema(example = "/subtitles_config/maximum_rows_per_caption")]
    pub pointer: String,
    /// The rule that is broken, and what to do.
    #[schema(example = "`maximum_rows_per_caption` must be between 1 and 5; found 9.")]
    pub rule: String,
    /// Every value that may stand there, where only values of a list may.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<String>>, nullable = false)]
    pub allowed: Option<Vec<&'static str>>,
}

impl Violation {
    /// A violation of a rule that is no list of values.
    #[must_use]
    pub fn new(pointer: impl Into<String>, rule: impl Into<String>) -> Self {
        Self {
            pointer: pointer.into(),
            rule: rule.into(),
            allowed: None,
        }
    }
}

/// A longer pointer ends at an owner of what it points to, so that long names do not fill the answer.
const LONGEST_POINTER: usize = 500;

/// The JSON pointer of these steps.
#[must_use]
pub fn pointer_to(steps: &[&str]) -> String {
    let mut pointer = String::new();
    for step in steps {
        push_step(&mut pointer, step);
    }
    shortened(pointer)
}

/// The pointer, or its longest beginning that is short enough and points to an owner.
pub(super) fn shortened(mut pointer: String) -> String {
    while pointer.len() > LONGEST_POINTER {
        pointer.truncate(pointer.rfind('/').unwrap_or_default());
    }
    pointer
}

/// Appends one step to a JSON pointer.
pub(super) fn push_step(pointer: &mut String, step: &str) {
    pointer.push('/');
    for character in step.chars() {
        match character {
            '~' => pointer.push_str("~0"),
            '/' => pointer.push_str("~1"),
            other => pointer.push(other),
        }
    }
}
