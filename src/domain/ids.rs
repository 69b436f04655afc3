//! One type for each kind of id, so that passing an attempt's id where a job's belongs does not compile.

use std::{fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
        $(#[$doc])*
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl From<Uuid> for $name {
            fn from(id: Uuid) -> Self {
                Self(id)
            }
        }

        impl From<$name> for Uuid {
            fn from(id: $name) -> Self {
                id.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self)
            }
        }
    };
}

id!(
    /// A transcription, from its acceptance on. The id that callers see.
    #[schema(as = TranscriptionId)]
    JobId
);
id!(
    /// One time that a job may have been sent to Gladia. Named by the callback URL, never shown to callers.
    AttemptId
);
id!(
    /// A callback as it was received.
    CallbackId
);
id!(
    /// A file that was forwarded to Gladia.
    UploadId
);
id!(
    /// Many requests that came in one call.
    BatchId
);
id!(
    /// Where a tenant wants its events sent.
    #[schema(as = WebhookEndpointId)]
    EndpointId
);
id!(
    /// What deliveries are signed with, not its value.
    SecretId
);
id!(
    /// An event on its way to one receiver.
    DeliveryId
);
id!(
    /// The deliveries that fail alone: those of an endpoint, whose id it shares, or a tenant's callbacks to one origin.
    LaneId
);
id!(
    /// A team whose jobs nobody else sees.
    TenantId
);
id!(
    /// An API key, not its secret.
    ApiKeyId
);

/// Where new ids come from. Passed in, so that tests can make them predictable.
#[derive(Clone)]
pub struct Ids(Arc<dyn Fn() -> Uuid + Send + Sync>);

impl Ids {
    /// Time-ordered ids (UUID version 7), which keep indexes dense.
    #[must_use]
    pub fn random() -> Self {
        Self(Arc::new(Uuid::now_v7))
    }

    /// Ids from any source.
    pub fn from_fn(source: impl Fn() -> Uuid + Send + Sync + 'static) -> Self {
        Self(Arc::new(source))
    }

    /// The next id, as any kind.
    #[must_use]
    pub fn next<T: From<Uuid>>(&self) -> T {
        (self.0)().into()
    }
}

impl fmt::Debug for Ids {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ids")
    }
}
