//! Finding the delivery that a path names.

use crate::{
    domain::ids::DeliveryId,
    http::{
        problem::{Problem, ProblemType},
        request::id_path::InPath,
    },
};

impl InPath for DeliveryId {
    fn names_nothing() -> Problem {
        no_such_delivery()
    }
}

/// A delivery that the caller does not have.
pub fn no_such_delivery() -> Problem {
    Problem::new(
        ProblemType::NotFound,
        "There is no delivery with this id. GET /v1/deliveries shows those that there are.",
    )
}
