//! Finding the delivery that a path names.

use std::str::FromStr;

use axum::{
    extract::{FromRequestParts, Path},
    http::request::Parts,
};

use crate::{
    domain::ids::DeliveryId,
    http::{
        problem::{Problem, ProblemType},
        state::AppState,
    },
};

/// The id in the path. What is no id of ours names nothing, like an id that nobody has.
pub struct DeliveryPath(pub DeliveryId);

impl FromRequestParts<AppState> for DeliveryPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Problem> {
        Path::<String>::from_request_parts(parts, state)
            .await
            .ok()
            .and_then(|Path(text)| DeliveryId::from_str(&text).ok())
            .map(Self)
            .ok_or_else(no_such_delivery)
    }
}

/// A delivery that the caller does not have.
pub fn no_such_delivery() -> Problem {
    Problem::new(
        ProblemType::NotFound,
        "There is no delivery with this id. GET /v1/deliveries shows those that there are.",
    )
}
