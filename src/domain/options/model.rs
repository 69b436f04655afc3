//! Which of Gladia's speech models transcribes.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The speech model that transcribes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub enum Model {
    /// Gladia's default: every language of the list, and code switching.
    #[serde(rename = "solaria-1")]
    Solaria1,
    /// Pre-recorded audio in English, French, German, Spanish or Italian, without code switching.
    #[serde(rename = "solaria-3")]
    Solaria3,
    /// The model that Gladia's own clients offer beside the two above.
    #[serde(rename = "solaria-fusion")]
    SolariaFusion,
}
