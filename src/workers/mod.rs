//! What moves jobs along when nobody asks.
//!
//! A job leaves three rows behind: itself, an attempt, and the slot that the attempt holds. [`submit`] claims all three in
//! one commit, sends, and records what the answer proves ([together](submit::group_commit) with others of the same moment); the
//! callback, which `http` receives, finishes them. A process that dies in between leaves an attempt whose lease runs out: [`settle`],
//! in any replica, then says that it is unknown. It keeps its slot and is not sent again, since Gladia may have it; its
//! callback finishes it like any other, or [`look_up`] finds out whether Gladia has it. What Gladia accepted and does not
//! answer for in time, [`reconcile`] asks it for, up to the slot's deadline, at which the job ends. [`webhooks`] does so
//! earlier, where the account has webhooks.
//!
//! Of those two, [`reconcile`] asks about a job whose id at Gladia is known, by that id: what has become of it. [`look_up`] searches
//! where no id is known, in Gladia's list, by the id that the attempt has in its metadata: whether there is such a job at all. So
//! the one brings an end, and the other an id, from which on the job is the first one's matter.
//!
//! Everything that callers see of a job is an event of one log. [`sequence`] gives events their public numbers and makes the
//! deliveries of those that go out. [`deliver`] sends them; [`forget`] deletes both when they are old.
//!
//! What is told with the commit of a callback is handed on by [`announced`]. [`spool`] carries out the callbacks that came while
//! the database was away. [`retain`] erases what is old enough, [`erase`] has Gladia delete its copies, and [`public_url`] finds
//! out whether Gladia could call back.
//!
//! [`submit`], [`sequence`], [`deliver`] and [`spool`] are woken and also look on a jittered timer, through the same function, so
//! a lost wake-up costs a second and nothing else. The others look on a timer alone.

use std::time::Duration;

use rand::RngExt;

pub mod announced;
mod call_slots;
pub mod deliver;
pub mod erase;
pub mod forget;
pub mod look_up;
pub mod public_url;
pub mod reconcile;
pub mod retain;
pub mod sequence;
pub mod settle;
pub mod spool;
pub mod submit;
pub mod webhooks;

/// How long until the next look: about a second, not the same in all replicas.
fn sweep_interval() -> Duration {
    Duration::from_millis(rand::rng().random_range(700..=1000))
}

/// How long a worker rests after the database failed.
const ERROR_PAUSE: Duration = Duration::from_secs(1);

/// How long what a worker has claimed for a call stays claimed. Renewed while the call lasts; after a crash others wait for
/// no longer than this.
const HOLD: Duration = Duration::from_mins(1);

/// Does something that takes long, and renews its claim meanwhile.
async fn held<T, R>(work: impl Future<Output = T>, renew: impl Fn() -> R) -> T
where
    R: Future<Output = sqlx::Result<()>>,
{
    let mut work = std::pin::pin!(work);
    loop {
        tokio::select! {
            done = &mut work => return done,
            () = tokio::time::sleep(HOLD / 3) => {
                if let Err(error) = renew().await {
                    tracing::warn!(%error, "Could not renew a claim; another replica may ask Gladia for the same");
                }
            }
        }
    }
}
