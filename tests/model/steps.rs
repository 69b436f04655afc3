//! Every step that may come next, and the properties.

use stateright::{Model, Property};

use gladia_gateway::domain::{attempt::AttemptState, job::JobStatus};

use crate::{
    gateway::{self, Answer},
    gladia, look, properties,
    state::{JOBS, State, Upstream, Worker},
    world::{List, WitnessRule, World},
};

/// One step of somebody. Attempts are named by their place in the order of claims.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// A caller asks for a job.
    Ask(usize),
    /// A caller cancels one.
    Cancel(usize),
    /// A caller has one tried again after an error, and agrees to a second bill where that is asked for.
    Retry(usize),
    /// A process claims the head of the line.
    Claim,
    /// It looks at the deadline and sends.
    Send(usize),
    /// It looks at the deadline, and stands still before it sends.
    Freeze(usize),
    /// It goes on, and sends.
    Thaw(usize),
    /// It dies.
    Crash(usize),
    /// It records what it knows.
    Record(usize, Answer),
    /// Gladia takes a request.
    Accept(usize),
    /// Gladia refuses one for now.
    Refuse(usize),
    /// A job of Gladia's ends, well or not.
    Finish(usize, bool),
    /// Its callback comes.
    Callback(usize),
    /// Its callback will not come (again).
    LoseCallback(usize),
    /// The gateway asks Gladia for an accepted attempt.
    Get(usize),
    /// A lease runs out.
    ExpireLease(usize),
    /// A slot's deadline passes.
    ExpireSlot(usize),
    /// A look for an attempt: how much of the list is shown to it, and to the question for its witness.
    Look(usize, usize, usize),
    /// A look does not show what it has to.
    Lie(usize),
    /// Time passes.
    Tick,
}

impl Model for World {
    type State = State;
    type Action = Step;

    fn init_states(&self) -> Vec<State> {
        vec![State::first(self)]
    }

    fn actions(&self, state: &State, steps: &mut Vec<Step>) {
        for job in 0..JOBS {
            match state.jobs[job].status {
                // Jobs are alike, so the first to be asked for is the first.
                None if job == 0 || state.jobs[job - 1].status.is_some() => {
                    steps.push(Step::Ask(job));
                }
                Some(status) if state.cancels > 0 && !status.is_terminal() => {
                    steps.push(Step::Cancel(job));
                }
                Some(JobStatus::Error)
                    if state.retries > 0 && !gateway::is_exhausted(state, self, job) =>
                {
                    steps.push(Step::Retry(job));
                }
                _ => {}
            }
        }
        if gateway::can_claim(state, self) {
            steps.push(Step::Claim);
        }
        for index in 0..state.attempts.len() {
            self.steps_of_worker(state, index, steps);
            self.steps_of_gladia(state, index, steps);
            self.steps_of_sweeps(state, index, steps);
        }
        steps.push(Step::Tick);
    }

    fn next_state(&self, before: &State, step: Step) -> Option<State> {
        let mut state = before.clone();
        self.carry_out(&mut state, &step);
        state.tidy();
        (state != *before).then_some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        properties::all(self)
    }
}

impl World {
    fn steps_of_worker(&self, state: &State, index: usize, steps: &mut Vec<Step>) {
        let attempt = &state.attempts[index];
        match attempt.worker {
            Worker::Gone => {}
            Worker::Claimed => {
                if gateway::passes_check(self.rules, attempt) {
                    steps.push(Step::Send(index));
                    if state.freezes > 0 {
                        steps.push(Step::Freeze(index));
                    }
                } else {
                    steps.push(Step::Record(index, Answer::NotSent));
                }
                steps.push(Step::Crash(index));
            }
            Worker::Frozen => steps.extend([Step::Thaw(index), Step::Crash(index)]),
            Worker::Waiting => {
                match attempt.upstream {
                    Upstream::Working | Upstream::Succeeded | Upstream::Failed => {
                        steps.push(Step::Record(index, Answer::Accepted));
                    }
                    Upstream::Refused => steps.push(Step::Record(index, Answer::Busy)),
                    Upstream::Nothing | Upstream::OnItsWay(_) => {}
                }
                steps.extend([Step::Record(index, Answer::Nothing), Step::Crash(index)]);
            }
        }
    }

    fn steps_of_gladia(&self, state: &State, index: usize, steps: &mut Vec<Step>) {
        let attempt = &state.attempts[index];
        match attempt.upstream {
            Upstream::OnItsWay(_) => {
                steps.push(Step::Accept(index));
                if self.upstream_refuses && attempt.worker == Worker::Waiting {
                    steps.push(Step::Refuse(index));
                }
            }
            Upstream::Working => {
                steps.push(Step::Finish(index, true));
                if self.upstream_fails {
                    steps.push(Step::Finish(index, false));
                }
            }
            Upstream::Nothing | Upstream::Refused | Upstream::Succeeded | Upstream::Failed => {}
        }
        if attempt.callbacks > 0 {
            steps.extend([Step::Callback(index), Step::LoseCallback(index)]);
        }
    }

    fn steps_of_sweeps(&self, state: &State, index: usize, steps: &mut Vec<Step>) {
        let attempt = &state.attempts[index];
        match attempt.state {
            AttemptState::Submitting => steps.push(Step::ExpireLease(index)),
            AttemptState::Accepted => {
                if self.keeps_results
                    && matches!(attempt.upstream, Upstream::Succeeded | Upstream::Failed)
                {
                    steps.push(Step::Get(index));
                }
                steps.push(Step::ExpireSlot(index));
            }
            AttemptState::Unknown => {
                if self.list != List::Unused {
                    self.looks(state, index, steps);
                }
                steps.push(Step::ExpireSlot(index));
            }
            _ => {}
        }
    }

    fn looks(&self, state: &State, index: usize, steps: &mut Vec<Step>) {
        let (least, most) = (
            gladia::must_show(state, self),
            gladia::may_show(state, self),
        );
        for shown in least..=most {
            let to_witness = match self.rules.witness {
                WitnessRule::AskedForApart => least..=most,
                WitnessRule::AskedForBefore => shown..=most,
                // A walk shows the same to both. One by one, the witness is asked for first, and answers do not go back.
                _ => least..=shown,
            };
            steps.extend(to_witness.map(|to_witness| Step::Look(index, shown, to_witness)));
        }
        if state.lies > 0 {
            steps.push(Step::Lie(index));
        }
    }

    fn carry_out(&self, state: &mut State, step: &Step) {
        match *step {
            Step::Ask(job) => gateway::ask(state, job),
            Step::Cancel(job) => {
                state.cancels -= 1;
                gateway::cancel(state, job);
            }
            Step::Retry(job) => {
                state.retries -= 1;
                gateway::retry(state, job);
            }
            Step::Claim => gateway::claim(state, self),
            Step::Send(index) => gladia::send(state, index),
            Step::Freeze(index) => {
                state.freezes -= 1;
                state.attempts[index].worker = Worker::Frozen;
            }
            Step::Thaw(index) => gladia::send_after_freeze(state, index),
            Step::Crash(index) => state.attempts[index].worker = Worker::Gone,
            Step::Record(index, answer) => gateway::record(state, self, index, answer),
            Step::Accept(index) => gladia::accept(state, self, index),
            Step::Refuse(index) => state.attempts[index].upstream = Upstream::Refused,
            Step::Finish(index, succeeded) => gladia::finish(state, self, index, succeeded),
            Step::Callback(index) => {
                let attempt = &mut state.attempts[index];
                attempt.callbacks -= 1;
                attempt.delivered = true;
                let succeeded = attempt.upstream == Upstream::Succeeded;
                gateway::complete(state, self, index, succeeded);
            }
            Step::LoseCallback(index) => state.attempts[index].callbacks = 0,
            Step::Get(index) => {
                let succeeded = state.attempts[index].upstream == Upstream::Succeeded;
                gateway::complete(state, self, index, succeeded);
            }
            Step::ExpireLease(index) => gateway::expire_lease(state, index),
            Step::ExpireSlot(index) => gateway::expire_slot(state, self, index),
            Step::Look(index, shown, shown_to_witness) => {
                look::look(state, self, index, shown, shown_to_witness);
            }
            Step::Lie(index) => look::lie(state, self, index),
            Step::Tick => gladia::tick(state, self),
        }
    }
}
