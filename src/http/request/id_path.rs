//! The id in a path.

use std::str::FromStr;

use axum::{
    extract::{FromRequestParts, Path},
    http::request::Parts,
};

use crate::http::{problem::Problem, state::AppState};

/// An id that paths name things by.
pub trait InPath: FromStr {
    /// What is answered where nothing has such an id.
    fn names_nothing() -> Problem;
}

/// The id in the path. What is no id of ours names nothing, like an id that nobody has.
pub struct IdPath<Id>(pub Id);

impl<Id: InPath> FromRequestParts<AppState> for IdPath<Id> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Problem> {
        Path::<String>::from_request_parts(parts, state)
            .await
            .ok()
            .and_then(|Path(text)| text.parse().ok())
            .map(Self)
            .ok_or_else(Id::names_nothing)
    }
}
