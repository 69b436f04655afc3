//! What the model remembers: the gateway's rows, what its processes hold in memory, what Gladia has.

use gladia_gateway::domain::{attempt::AttemptState, job::JobStatus};

use crate::world::World;

/// How many jobs there are.
pub const JOBS: usize = 2;

/// Everything at one instant.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    /// The rows of `jobs`, in the order of the line.
    pub jobs: [Job; JOBS],
    /// The rows of `attempts` in the order of their claims, and all that belongs to each.
    pub attempts: Vec<Attempt>,
    /// What Gladia's list shows sooner or later, in the order in which it was accepted. What no look can ask for any more is
    /// left out.
    pub list: Vec<usize>,
    /// How many processes may still freeze in the window between the check and the send.
    pub freezes: u8,
    /// How many looks may still lie.
    pub lies: u8,
    /// How many jobs may still be canceled.
    pub cancels: u8,
    /// How many jobs may still be tried again.
    pub retries: u8,
    /// Something happened that must not: a move that `may_become` forbids, two open attempts of one job.
    pub broken: Option<&'static str>,
}

/// A row of `jobs`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Job {
    /// `None` until a caller asks for it.
    pub status: Option<JobStatus>,
    /// Its content must not be kept.
    pub discard: bool,
    /// Its caller had it tried again, and agreed that it may be billed twice.
    pub agreed: bool,
}

/// A row of `attempts`, its slot, the process that sends it, and the one job that Gladia may make of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each stands for a column or a fact that is there or not, in any combination"
)]
pub struct Attempt {
    /// Whose attempt it is.
    pub job: usize,
    /// The row's state.
    pub state: AttemptState,
    /// Whether the row has Gladia's id.
    pub id_known: bool,
    /// Whether it holds a slot.
    pub slot: bool,
    /// How often a look that counted did not find it.
    pub absences: u8,
    /// Ticks since the claim, up to where no rule looks at them any more.
    pub age: u8,
    /// The attempts (a bit each) for which this one is a witness once Gladia is known to have it.
    pub witness_for: u8,
    /// What the process that sends it is about to do.
    pub worker: Worker,
    /// Where its request is, and what Gladia made of it.
    pub upstream: Upstream,
    /// Ticks since Gladia accepted it, up to where the list has to show it.
    pub listed_for: u8,
    /// How many times Gladia may still deliver the callback.
    pub callbacks: u8,
    /// Whether a callback came.
    pub delivered: bool,
    /// It left after `send_until`, from a process that was frozen in the window: the first named exception.
    pub late: bool,
    /// How many looks lied about it: the second named exception.
    pub lies: u8,
}

/// The process that sends an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Worker {
    /// There is none: it has recorded the outcome, or it died.
    Gone,
    /// Has claimed, and is about to look at the deadline and send.
    Claimed,
    /// Has looked at the deadline, was in time, and stands still before the bytes leave.
    Frozen,
    /// Has sent, and waits for the answer.
    Waiting,
}

/// An attempt's request on its way, and Gladia's job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Upstream {
    /// Nothing left, or it was lost on the way.
    Nothing,
    /// It left so many ticks ago, and may arrive.
    OnItsWay(u8),
    /// Gladia refused it in its envelope, with 429.
    Refused,
    /// Gladia has it (and bills it), and is at work.
    Working,
    /// It ended with a result.
    Succeeded,
    /// It ended with an error.
    Failed,
}

impl Upstream {
    /// Whether Gladia accepted it.
    pub fn is_accepted(self) -> bool {
        matches!(self, Self::Working | Self::Succeeded | Self::Failed)
    }
}

impl Attempt {
    /// One that was claimed just now.
    pub fn claimed(job: usize, witness_for: u8) -> Self {
        Self {
            job,
            state: AttemptState::Submitting,
            id_known: false,
            slot: true,
            absences: 0,
            age: 0,
            witness_for,
            worker: Worker::Claimed,
            upstream: Upstream::Nothing,
            listed_for: 0,
            callbacks: 0,
            delivered: false,
            late: false,
            lies: 0,
        }
    }

    /// Whether it may still be looked for in the list.
    pub fn is_sought(&self) -> bool {
        matches!(self.state, AttemptState::Submitting | AttemptState::Unknown)
    }
}

impl State {
    /// Nobody has asked for anything.
    pub fn first(world: &World) -> Self {
        let job = Job {
            status: None,
            discard: false,
            agreed: false,
        };
        Self {
            jobs: [job; JOBS],
            attempts: Vec::new(),
            list: Vec::new(),
            freezes: world.freezes,
            lies: world.lies,
            cancels: world.cancels,
            retries: world.retries,
            broken: None,
        }
    }

    /// A job's attempts.
    pub fn attempts_of(&self, job: usize) -> impl Iterator<Item = &Attempt> {
        self.attempts
            .iter()
            .filter(move |attempt| attempt.job == job)
    }

    /// How many slots are held.
    pub fn slots_held(&self) -> usize {
        self.attempts.iter().filter(|attempt| attempt.slot).count()
    }

    /// Moves a job from one of the states that the statement names; any other stays. A move that the table of legal ones does
    /// not have breaks the model.
    pub fn move_job(&mut self, job: usize, from: &[JobStatus], to: JobStatus) {
        let Some(status) = self.jobs[job].status else {
            return;
        };
        if from.contains(&status) {
            if !status.may_become(to) {
                self.broken = Some("a move that may_become forbids");
            }
            self.jobs[job].status = Some(to);
        }
    }

    /// Forgets what nothing depends on any more, so that states that differ in it alone are one.
    pub fn tidy(&mut self) {
        let sought = self
            .attempts
            .iter()
            .enumerate()
            .filter(|(_, attempt)| attempt.is_sought())
            .fold(0_u8, |bits, (index, _)| bits | 1 << index);
        for attempt in &mut self.attempts {
            let can_testify = attempt.is_sought() || attempt.id_known;
            attempt.witness_for &= if can_testify { sought } else { 0 };
            if !attempt.is_sought() {
                attempt.absences = 0;
                if !matches!(attempt.worker, Worker::Claimed | Worker::Frozen) {
                    attempt.age = 0;
                }
                if attempt.witness_for == 0 {
                    attempt.listed_for = 0;
                }
            }
        }
        let attempts = &self.attempts;
        self.list.retain(|index| {
            let attempt = &attempts[*index];
            attempt.is_sought() || attempt.witness_for != 0
        });
    }
}
