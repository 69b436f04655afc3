//! A document that is complete.

use serde::{Serialize, Serializer};
use serde_json::Value;

use super::{examples, later, names, refusals, shape, streams, v3_0};

/// How the document begins and goes on; objects inside are in the order of the alphabet.
const ORDER: [&str; 9] = [
    "openapi",
    "info",
    "servers",
    "security",
    "tags",
    "paths",
    "webhooks",
    "x-webhooks",
    "components",
];

/// A version of `OpenAPI`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// The one that the document is written in.
    V3_1,
    /// For programs that read no newer one.
    V3_0,
}

/// A document.
#[derive(Debug, Clone, PartialEq)]
pub struct Document(Value);

impl Document {
    /// What handlers say, with what they have in common.
    ///
    /// # Panics
    /// Never: a document is JSON.
    pub(super) fn complete(said: &utoipa::openapi::OpenApi) -> Self {
        let mut document = serde_json::to_value(said).expect("a document is JSON");
        names::add(&mut document);
        shape::mend(&mut document);
        later::allow(&mut document);
        refusals::add(&mut document);
        examples::add(&mut document);
        streams::add(&mut document);
        Self(document)
    }

    /// The newest document in another version.
    #[must_use]
    pub fn in_version(&self, version: Version) -> Self {
        match version {
            Version::V3_1 => self.clone(),
            Version::V3_0 => Self(v3_0::derive(self.0.clone())),
        }
    }

    /// As it is committed, without a line end.
    ///
    /// # Panics
    /// Never: what is held is JSON.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).expect("a JSON value can be written")
    }
}

impl Serialize for Document {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(ORDER.iter().filter_map(|key| Some((key, self.0.get(key)?))))
    }
}
