//! The second create, which Gladia's own SDKs send by themselves: it makes no second job.
//!
//! Every create holds a key that is made of itself, in the table of the callers' idempotency keys, so it is known on every
//! replica and after a crash. While it is held, the same create waits. Once its job is committed, the same create gets the
//! same answer until it is known that the first one was answered ([`judge`]). What is known of that is noted behind the
//! answer, from what its connection tells.

use std::time::Duration;

use axum::{
    http::{HeaderMap, StatusCode},
    response::Response,
};
use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use tokio::{
    sync::watch,
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use crate::{
    db::{
        self,
        idempotency::{
            Reservation,
            repeats::{self, Row, Told},
            reserve,
        },
        pool::in_time,
    },
    domain::{
        access::Caller,
        idempotency::{Fingerprint, IdempotencyKey},
        ids::JobId,
        repeats::{LONGEST_WINDOW, Verdict, comes_again_by_itself, judge},
    },
    http::{
        idempotency::HeldKey,
        request_scope::request_id::after_panic,
        server::answer_fate::{Fate, FateWatch},
        state::AppState,
        v2::error::V2Error,
    },
};

/// What Gladia's clients call themselves.
const CLIENT_HEADER: &str = "x-gladia-version";

/// How long a create may take to be committed. After a crash, the same one waits for no longer than this.
const LEASE: Duration = Duration::from_secs(10);

/// How long the second waits for the first. Longer than a lease, so that a dead one is outlived.
const PATIENCE: Duration = Duration::from_secs(15);

/// How long the second waits for word that the first was answered, which makes it one of its own.
const SETTLING: Duration = Duration::from_secs(2);

/// How much longer than it may wait, and than the first may count from its commit on, what is known of the first can lie ahead of
/// when the second came: statements take their time. What lies further ahead was noted by a clock that has gone back since.
const LEEWAY: Duration = Duration::from_mins(1);

/// How far ahead that can be: the first may be of a process that was set to the most.
const FURTHEST: Duration = LONGEST_WINDOW
    .saturating_add(PATIENCE)
    .saturating_add(LEEWAY);

/// How often it looks.
const LOOK_INTERVAL: Duration = Duration::from_millis(25);

/// How long after the answer the note stays: those that came before it, and those that may come by themselves, look for it.
const KEPT_AFTER_ANSWER: Duration = Duration::from_secs(5);

/// How often an answer's fate is tried to be noted.
const TRIES: u32 = 5;

/// A create's own key.
pub struct CreateKey {
    row: Row,
    fingerprint: Fingerprint,
    comes_again_by_itself: bool,
}

/// What a look at a create's key has found.
enum Look {
    /// The key is its own now.
    Held,
    /// It is the second of the one that made this job.
    Second(JobId),
    /// That is not known yet.
    Undecided,
}

/// What a create is.
pub enum Claimed {
    /// One of its own: it holds its key until its job is committed.
    New(HeldKey, Fingerprint, Note),
    /// The second of the one that made this job.
    Second(JobId),
}

impl CreateKey {
    /// The key of a request. `None` where every create makes a job.
    pub fn of(state: &AppState, caller: Caller, headers: &HeaderMap, body: &[u8]) -> Option<Self> {
        if state.rules.create_repeat_window.is_zero() {
            return None;
        }
        let client = headers
            .get(CLIENT_HEADER)
            .map(axum::http::HeaderValue::as_bytes)
            .unwrap_or_default();
        let (key, fingerprint) = IdempotencyKey::of_create(caller.api_key_id, client, body);
        Some(Self {
            row: Row {
                tenant_id: caller.tenant_id,
                key,
                holder: state.ids.next(),
            },
            fingerprint,
            comes_again_by_itself: comes_again_by_itself(client),
        })
    }

    /// Holds the key, or finds that there is nothing to make. In a task of its own: a caller who hangs up meanwhile does not keep
    /// the key from being given back.
    ///
    /// # Errors
    /// 503 where the same create does not end.
    pub async fn claim(self, state: &AppState) -> Result<Claimed, V2Error> {
        let state = state.clone();
        let gone = CancellationToken::new();
        let _caller = gone.clone().drop_guard();
        let claiming = async move { self.claim_here(&state, &gone).await };
        let claimed = tokio::spawn(claiming.in_current_span()).await;
        claimed.unwrap_or_else(|_| Err(after_panic().into()))
    }

    /// Waits no longer than until the caller is gone. Outside of its request, so it says whose the connections are.
    async fn claim_here(
        self,
        state: &AppState,
        gone: &CancellationToken,
    ) -> Result<Claimed, V2Error> {
        let row = &self.row;
        let by = Some(row.tenant_id);
        let began = Instant::now();
        let mut conn = state.callers.acquire(by).await?;
        // It came before it got a connection, for which it may have waited until after the first was answered.
        let arrived_at = in_time(db::clock::now(&mut conn)).await? - began.elapsed();
        conn.put_back();
        let mut was_under_way = false;
        while began.elapsed() < PATIENCE {
            // No connection is held while it waits.
            let conn = state.callers.acquire(by).await?;
            let looking = conn.put_back_after(async |conn| {
                self.look(conn, arrived_at, began, &mut was_under_way).await
            });
            match looking.await? {
                Look::Held => return Ok(self.hold(state)),
                Look::Second(first) => return Ok(Claimed::Second(first)),
                Look::Undecided => {}
            }
            if gone
                .run_until_cancelled(sleep(LOOK_INTERVAL))
                .await
                .is_none()
            {
                break;
            }
        }
        Err(still_under_way())
    }

    /// Takes the key, or looks at the create that has it.
    async fn look(
        &self,
        conn: &mut PgConnection,
        arrived_at: DateTime<Utc>,
        began: Instant,
        was_under_way: &mut bool,
    ) -> sqlx::Result<Look> {
        let row = &self.row;
        let reserving = reserve(conn, row.tenant_id, &row.key, row.holder, LEASE);
        let reserved = in_time(reserving).await?;
        if reserved == Reservation::Reserved {
            return Ok(Look::Held);
        }
        *was_under_way |= matches!(reserved, Reservation::InProgress { .. });
        let finding = repeats::find(conn, row.tenant_id, &row.key);
        let Some(first) = in_time(finding).await? else {
            return Ok(Look::Undecided);
        };
        let second = Look::Second(first.job_id);
        // Whatever became of it since, it was under way when this one came.
        if *was_under_way {
            return Ok(second);
        }
        let by_itself = self.comes_again_by_itself;
        Ok(match judge(first.first, arrived_at, by_itself, FURTHEST) {
            Verdict::Second => second,
            Verdict::SecondUnlessAnswered if began.elapsed() >= SETTLING => second,
            Verdict::SecondUnlessAnswered => Look::Undecided,
            Verdict::New => {
                let old = Row {
                    holder: first.holder,
                    ..row.clone()
                };
                let taking = repeats::take_over(conn, &old, row.holder, LEASE);
                if in_time(taking).await? {
                    Look::Held
                } else {
                    Look::Undecided
                }
            }
        })
    }

    fn hold(self, state: &AppState) -> Claimed {
        let Row {
            tenant_id,
            key,
            holder,
        } = self.row.clone();
        let window = state.rules.create_repeat_window;
        let held = HeldKey::reserved(state, tenant_id, key, holder, window);
        let note = Note {
            row: self.row,
            window,
            state: state.clone(),
        };
        Claimed::New(held, self.fingerprint, note)
    }
}

fn still_under_way() -> V2Error {
    V2Error::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "The same request is still under way. Repeat it in a moment.",
    )
}

/// Where the fate of a create's answer is noted.
pub struct Note {
    row: Row,
    window: Duration,
    state: AppState,
}

impl Note {
    /// Waits for what the same create makes that has taken this one's key over, and so is its second or its first.
    ///
    /// # Errors
    /// 503 where that one does not end.
    pub async fn made_by_another(&self, state: &AppState) -> Result<JobId, V2Error> {
        let began = Instant::now();
        while began.elapsed() < PATIENCE {
            let looking = state.with_conn(async |conn| {
                in_time(repeats::find(conn, self.row.tenant_id, &self.row.key)).await
            });
            if let Some(other) = looking.await? {
                return Ok(other.job_id);
            }
            sleep(LOOK_INTERVAL).await;
        }
        Err(still_under_way())
    }

    /// Sends the answer under observation, right after the commit. Where its connection cannot be observed, it counts as unanswered.
    pub fn follow(
        self,
        state: &AppState,
        fate_watch: Option<FateWatch>,
        answer: Response,
    ) -> Response {
        let Some(fate_watch) = fate_watch else {
            return answer;
        };
        let (answer, fate) = fate_watch.follow(answer);
        state.tasks.spawn(self.observe(fate, Instant::now()));
        answer
    }

    /// Notes what becomes of the answer as it is told, and forgets the create once it counts no more.
    async fn observe(self, mut fate: watch::Receiver<Fate>, committed_at: Instant) {
        let counts_no_more = Instant::now() + self.window;
        let mut is_lost = true;
        let told = async {
            while fate.changed().await.is_ok() {
                let now = *fate.borrow_and_update();
                is_lost = matches!(now, Fate::UnderWay | Fate::Lost);
                self.write(now, committed_at).await;
                if matches!(now, Fate::Received(_) | Fate::Lost) {
                    return;
                }
            }
        };
        let _ = timeout(self.window, told).await;
        let kept_until = if is_lost {
            counts_no_more
        } else {
            counts_no_more.min(Instant::now() + KEPT_AFTER_ANSWER)
        };
        // A process that ends leaves the row as it is; it counts no longer than it says.
        let kept = tokio::time::sleep_until(kept_until);
        if self
            .state
            .stopping
            .run_until_cancelled(kept)
            .await
            .is_some()
            && let Ok(conn) = self.state.callers.whole().acquire().await
        {
            let forgetting = async |conn: &mut PgConnection| repeats::forget(conn, &self.row).await;
            let _ = in_time(conn.put_back_after(forgetting)).await;
        }
    }

    async fn write(&self, fate: Fate, committed_at: Instant) {
        let told = |left_at: Instant, is_received| Told {
            counts_for: self.window,
            left_after: left_at - committed_at,
            is_received,
        };
        for tried in 1..=TRIES {
            let written = async {
                let conn = self.state.callers.whole().acquire().await?;
                let writing = conn.put_back_after(async |conn| match fate {
                    Fate::UnderWay => Ok(()),
                    Fate::Left(at) => repeats::answered(conn, &self.row, told(at, false)).await,
                    Fate::Received(at) => repeats::answered(conn, &self.row, told(at, true)).await,
                    Fate::Lost => repeats::lost(conn, &self.row).await,
                });
                writing.await
            };
            match in_time(written).await {
                Ok(()) => return,
                Err(error) => tracing::debug!(%error, "Could not note the fate of an answer"),
            }
            sleep(LOOK_INTERVAL * tried).await;
        }
    }
}
