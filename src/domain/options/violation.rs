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
