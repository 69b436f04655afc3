//! How words are written in the transcript, whatever the model wrote.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Spellings to use in the transcript.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CustomSpellingConfig {
    /// For each wanted spelling, the variants that it replaces: `{"SQL": ["Sequel"]}`.
    pub spelling_dictionary: BTreeMap<String, Vec<String>>,
}
