//! What is answered where a path names nothing.

use crate::{
    domain::ids::{AttemptId, CallbackId},
    http::{
        problem::{Problem, ProblemType},
        request::id_path::InPath,
    },
};

impl InPath for AttemptId {
    fn names_nothing() -> Problem {
        Problem::new(ProblemType::NotFound, "There is no attempt with this id.")
    }
}

impl InPath for CallbackId {
    fn names_nothing() -> Problem {
        Problem::new(
            ProblemType::NotFound,
            "There is no callback with this id. GET /v1/admin/callbacks shows those that there are.",
        )
    }
}
