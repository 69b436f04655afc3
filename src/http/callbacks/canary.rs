//! The gateway's calls of its own public address (`gladia::canary`): they come the way that callbacks come.

use std::{str::FromStr, time::Duration};

use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use futures_util::StreamExt;
use tokio::time::timeout;
use uuid::Uuid;

use crate::{
    gladia::canary::LARGE_BYTES,
    http::{
        problem::{Problem, ProblemType},
        state::AppState,
    },
};

/// How large one is at most.
pub const MOST_BYTES: u64 = LARGE_BYTES as u64;

/// The answer to such a call; `None` where it is none. No database is needed, so that what is measured is the way alone.
pub fn answer(state: &AppState, nonce: &str, token: &str) -> Option<Response> {
    let nonce = Uuid::from_str(nonce).ok()?;
    let answer = state.callback_keys.answer_canary(nonce, token)?;
    Some(answer.into_response())
}

/// Answers once the body has come: whether large ones come is a part of the question.
pub async fn after(body: Body, answer: Response, patience: Duration) -> Response {
    let mut pieces = body.into_data_stream();
    let came = async {
        while let Some(piece) = pieces.next().await {
            piece?;
        }
        Ok::<_, axum::Error>(())
    };
    match timeout(patience, came).await {
        Ok(Ok(())) => answer,
        _ => Problem::new(
            ProblemType::RequestTimeout,
            "The body of this call did not come whole.",
        )
        .into_response(),
    }
}
