//! The gateway's calls of its own public address (`gladia::canary`): they come the way that callbacks come.

use std::str::FromStr;

use axum::response::{IntoResponse, Response};
use uuid::Uuid;

use crate::http::state::AppState;

/// The answer to such a call; `None` where it is none. No database is needed, so that what is measured is the way alone.
pub fn answer(state: &AppState, nonce: &str, token: &str) -> Option<Response> {
    let nonce = Uuid::from_str(nonce).ok()?;
    let answer = state.callback_keys.answer_canary(nonce, token)?;
    Some(answer.into_response())
}
