//! `GET /readyz`: whether a load balancer should send requests here.
//!
//! Ready means that callbacks can be kept: in the spool, or where there is none, or it cannot be written, in Postgres.
//! `?for=api` asks for what callers need, which is Postgres. One that takes no writes, as a standby, is as good as none. A gateway
//! that is about to end is not ready, though it still does all that it is asked for: whoever asks here is to send nothing more.

use std::{pin::pin, time::Duration};

use axum::{
    Extension,
    extract::{Query, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use tokio::{
    select,
    time::{Instant, timeout, timeout_at},
};

use super::Readings;
use crate::{
    db::{self, pool::Pool},
    http::{
        problem::{Problem, ProblemType},
        state::AppState,
    },
    journal::spool::Spool,
};

/// Whoever asks is answered within this time. What has not answered by then is taken for away.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);

/// How long the disk has to answer before the database is asked as well.
const HEAD_START: Duration = Duration::from_millis(250);

const NOT_BROUGHT_UP: &str = "the gateway is waiting for its database to be brought up\n";

const NO_ANSWER: &str = "the database does not answer\n";

/// Looks whether what is asked for can be done.
pub async fn get_readyz(
    State(state): State<AppState>,
    Extension(readings): Extension<Readings>,
    Query(query): Query<Vec<(String, String)>>,
) -> Response {
    let mut is_for_api = false;
    for (name, value) in &query {
        match (name.as_str(), value.as_str()) {
            ("for", "api") => is_for_api = true,
            ("for", "callbacks") => is_for_api = false,
            ("for", _) => {
                return Problem::new(
                    ProblemType::InvalidParameter,
                    "`for` must be `api` or `callbacks`; without it callbacks are meant.",
                )
                .into_response();
            }
            _ => {}
        }
    }
    if state.leaving.is_cancelled() {
        return (
            StatusCode::SERVICE_UNAVAILABLE,
            "this gateway is about to end\n",
        )
            .into_response();
    }
    // Before that it may turn out to be of no use, and whoever came before it is still there.
    if !state.start.is_decided() {
        return (StatusCode::SERVICE_UNAVAILABLE, NOT_BROUGHT_UP).into_response();
    }
    let spool = state.intake.spool().filter(|_| !is_for_api);
    let fault_of_database = find_fault_of_database(&state, &readings);
    let fault = match spool {
        Some(spool) => find_fault_of_both(spool, fault_of_database).await,
        None => fault_of_database.await,
    };
    match fault {
        None => "ok\n".into_response(),
        Some(fault) => (StatusCode::SERVICE_UNAVAILABLE, fault).into_response(),
    }
}

/// Why callbacks can be kept neither on the disk nor in the database, if so. The disk answers sooner than a database that does not.
/// One that does not either counts as one that cannot be written, and nobody waits for the one and then for the other.
async fn find_fault_of_both(
    spool: &Spool,
    fault_of_database: impl Future<Output = Option<&'static str>>,
) -> Option<&'static str> {
    let (mut is_writable, mut fault) = (pin!(spool.is_writable()), pin!(fault_of_database));
    match timeout(HEAD_START, &mut is_writable).await {
        Ok(true) => return None,
        Ok(false) => return fault.await,
        Err(_) => {}
    }
    select! {
        is_writable = &mut is_writable => if is_writable { None } else { fault.await },
        fault = &mut fault => if fault.is_none() || is_writable.await { None } else { fault },
    }
}

/// Why the database is of no use, if so. The time begins with this call: whoever comes while somebody else's question is not
/// answered waits for that one, and has what is left for its own.
fn find_fault_of_database(
    state: &AppState,
    readings: &Readings,
) -> impl Future<Output = Option<&'static str>> {
    let deadline = Instant::now() + ANSWER_TIMEOUT;
    async move {
        timeout_at(deadline, ask_database(state, readings))
            .await
            .unwrap_or(Some(NO_ANSWER))
    }
}

async fn ask_database(state: &AppState, readings: &Readings) -> Option<&'static str> {
    // Migrations may take long, and it answers all the while.
    if !state.start.is_up() {
        return Some(NOT_BROUGHT_UP);
    }
    let answered = readings.takes_writes.get(|| ping(state.pool.clone()));
    match answered.await {
        Some(true) => None,
        Some(false) => Some("the database takes no writes\n"),
        _ => Some(NO_ANSWER),
    }
}

/// Whether the database takes writes, where it answers.
async fn ping(pool: Pool) -> Option<bool> {
    let answered = timeout(ANSWER_TIMEOUT, db::ping(&pool)).await;
    answered.ok()?.ok()
}
