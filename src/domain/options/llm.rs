//! Questions to a language model about the transcript.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What a language model is asked about the transcript.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AudioToLlmConfig {
    /// The prompts, at least one. Each is answered on its own, and may fail on its own.
    #[schema(min_items = 1)]
    pub prompts: Vec<String>,
    /// The model that answers, by its `OpenRouter` name. Gladia's default is `openai/gpt-5.4-nano`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1)]
    pub model: Option<String>,
}
