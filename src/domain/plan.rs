//! What a Gladia account's plan allows.

use std::{str::FromStr, time::Duration};

/// A plan of Gladia's, with its limits (Gladia's documentation, "Concurrency and rate limits" and "Supported files").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Plan {
    /// Without payment.
    Free,
    /// Pay as you go.
    #[default]
    Paid,
    /// By agreement.
    Enterprise,
}

impl FromStr for Plan {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        [Self::Free, Self::Paid, Self::Enterprise]
            .into_iter()
            .find(|plan| plan.as_str() == text)
            .ok_or("must be free, paid or enterprise")
    }
}

const MINUTE: u64 = 60;

impl Plan {
    /// The name in settings and messages.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Free => "free",
            Self::Paid => "paid",
            Self::Enterprise => "enterprise",
        }
    }

    /// How many transcriptions Gladia works on at once. An enterprise has its own agreement and sets its own number; until
    /// then it gets what every paid plan has.
    #[must_use]
    pub fn max_in_flight(self) -> i32 {
        match self {
            Self::Free => 3,
            Self::Paid | Self::Enterprise => 25,
        }
    }

    /// The longest audio that Gladia transcribes.
    #[must_use]
    pub fn longest_audio(self) -> Duration {
        match self {
            Self::Free | Self::Paid => Duration::from_secs(135 * MINUTE),
            Self::Enterprise => Duration::from_secs(255 * MINUTE),
        }
    }

    /// The longest video behind a `YouTube` link that Gladia transcribes.
    #[must_use]
    pub fn longest_youtube_video(self) -> Duration {
        match self {
            Self::Free | Self::Paid => Duration::from_secs(120 * MINUTE),
            Self::Enterprise => Duration::from_secs(255 * MINUTE),
        }
    }
}
