//! A model of submitting at most once and of losing no result, walked through to its last state.
//!
//! The rules that decide are the shipped ones: [`judge`] says what a look means that did not find an attempt, [`decide`]
//! what a callback changes, and every move of a job is held against [`JobStatus::may_become`]. Around them the model has
//! what the database, the processes, the network and Gladia do, one step at a time and in every order.
//!
//! **What is modelled.** Two jobs that callers ask for at any time and may cancel or, after an error, have tried
//! again; attempts with state, slot, lease, `send_until` and counted absences; a process for each attempt that claims,
//! looks at the deadline, sends, and records what came back, slowly, late or never, since it may die before each of
//! these steps; one that freezes between the look at the deadline and the send. A request that is lost or arrives
//! late, also when nobody waits for it any more; Gladia taking it, refusing it with 429, or taking it without an
//! answer (a 5xx, a timeout and a reset are the same to the gateway); its job ending well or not; a callback that is
//! lost, late, doubled, or before the create's answer; the GET for an accepted attempt. Looks at a list that shows
//! everything that was accepted up to some instant, another one at each look since replicas lag differently, but not
//! further back than a bound: walks through it, and looks that ask for the witness and then for the attempt, where the
//! second answer shows no less than the first. And looks that lie.
//!
//! **What is left out.** Statements are atomic and written down here a second time, so a mistake in SQL is not found.
//! Pauses, fairness and the notes on surplus are missing: each only takes steps away, or comes after. So are other
//! refusals (they end a job at once), decisions by operators and the wait for one (after a job was sent again without a witness), account webhooks, contradicting ids, and attempts that are
//! found after they were settled. A look is for one attempt and atomic; pages that move under it are a lie, and what
//! happens between its two questions comes before both: an earlier answer to the first shows less, and proves no more.
//!
//! **Bounds.** Two jobs, two attempts each; where a job would be sent a third time the check ends. A cap of one or
//! two, and as many freezes, lies, cancels and retries as a [`World`] says; one that is tried again keeps its place in
//! the line. Time is in ticks ([`world`]): a request leaves in the tick of its claim and arrives in that or the next,
//! the settling time is a tick, and the list lags for two, which is longer. The hours until a slot's deadline are not
//! counted: it passes once Gladia is silent for good.
//!
//! **How to read a counterexample.** A check that fails prints the steps from the first state on; numbers are jobs in
//! `Ask`, `Cancel` and `Retry` and otherwise attempts, in the order of their claims. `Look(0, 1, 0)` looks for attempt
//! 0 where the list shows its first entry, and had shown none when the witness was asked for. To see what a rule is for,
//! it is taken away ([`Rules`]), and the shortest way to a second bill is printed
//! (`cargo test --test model -- --nocapture`).
//!
//! [`judge`]: gladia_gateway::domain::settling::judge
//! [`decide`]: gladia_gateway::domain::completion::decide
//! [`JobStatus::may_become`]: gladia_gateway::domain::job::JobStatus::may_become

#![expect(
    clippy::print_stdout,
    reason = "what was walked through, and what breaks, is what these tests are read for"
)]

#[path = "model/check.rs"]
mod check;
#[path = "model/gateway.rs"]
mod gateway;
#[path = "model/gladia.rs"]
mod gladia;
#[path = "model/look.rs"]
mod look;
#[path = "model/properties.rs"]
mod properties;
#[path = "model/state.rs"]
mod state;
#[path = "model/steps.rs"]
mod steps;
#[path = "model/world.rs"]
mod world;

use std::time::Duration;

use gladia_gateway::domain::settling::{Absence, Judgement, Witness, judge};

use check::{breaks, holds};
use properties::{ONCE, ONE_DOUBLED};
use world::{List, Rules, SETTLING, WITHOUT_WITNESS, WitnessRule, World};

/// One slot, so that there is room for more that goes wrong.
const NARROW: World = World {
    cap: 1,
    ..World::PLAIN
};

/// The plain world under other rules.
const fn under(rules: Rules) -> World {
    World {
        rules,
        ..World::PLAIN
    }
}

#[test]
fn no_job_reaches_gladia_twice_and_no_result_is_lost() {
    holds(World::PLAIN);
}

#[test]
fn a_process_frozen_in_the_named_window_is_an_exception_that_loses_no_delivered_result() {
    holds(World {
        freezes: 1,
        ..NARROW
    });
}

#[test]
fn one_look_that_lies_doubles_nothing_and_no_error_of_a_doubled_job_overwrites_its_success() {
    holds(World {
        lies: 2,
        upstream_fails: true,
        ..NARROW
    });
}

#[test]
fn failures_refusals_and_doubled_callbacks_leak_no_slot() {
    holds(World {
        callbacks: 2,
        upstream_fails: true,
        upstream_refuses: true,
        ..NARROW
    });
}

#[test]
fn a_canceled_job_stays_canceled_and_gives_its_slot_back() {
    holds(World {
        cancels: 1,
        upstream_fails: true,
        ..NARROW
    });
}

#[test]
fn a_job_that_failed_at_gladia_is_tried_again_without_being_billed_twice() {
    holds(World {
        retries: 1,
        upstream_fails: true,
        ..NARROW
    });
}

/// Where nothing can be asked for, an attempt that was given up may have succeeded.
#[test]
fn a_job_that_was_given_up_is_billed_twice_by_its_callers_word_alone_and_a_late_success_completes_it()
 {
    holds(World {
        list: List::Unused,
        keeps_results: false,
        retries: 1,
        upstream_fails: true,
        ..NARROW
    });
}

#[test]
fn where_nobody_looks_even_a_frozen_process_doubles_nothing() {
    holds(World {
        list: List::Unused,
        keeps_results: false,
        freezes: 1,
        upstream_refuses: true,
        ..NARROW
    });
}

/// With one slot, which the unknown attempt holds, no witness can come.
#[test]
fn a_list_may_lag_behind_for_ten_settling_times() {
    holds(World {
        list: List::Lags(SETTLING * WITHOUT_WITNESS),
        ..NARROW
    });
}

#[test]
fn a_list_that_lags_for_longer_than_ten_settling_times_gets_a_job_billed_twice() {
    let longer = World {
        list: List::Lags(SETTLING * WITHOUT_WITNESS + 1),
        ..NARROW
    };
    breaks(ONCE, longer);
}

#[test]
fn without_the_settling_time_a_job_is_billed_twice() {
    breaks(
        ONCE,
        under(Rules {
            absences_settle: false,
            witnesses_settle: false,
            ..Rules::ALL
        }),
    );
}

/// The settling time of the absence alone is not enough: the request may arrive after the witness, and the list may end
/// between the two.
#[test]
fn with_a_witness_that_was_claimed_before_the_settling_time_was_up_a_job_is_billed_twice() {
    breaks(
        ONCE,
        under(Rules {
            witnesses_settle: false,
            ..Rules::ALL
        }),
    );
}

/// A late answer does not make a late job: it may have been accepted before the one that is looked for.
#[test]
fn with_a_witness_that_was_answered_later_but_claimed_earlier_a_job_is_billed_twice() {
    breaks(
        ONCE,
        under(Rules {
            witness: WitnessRule::Answered,
            ..Rules::ALL
        }),
    );
}

/// The list may catch up between the two questions.
#[test]
fn with_a_witness_that_is_asked_for_after_the_attempt_a_job_is_billed_twice() {
    breaks(
        ONCE,
        under(Rules {
            witness: WitnessRule::AskedForBefore,
            ..Rules::ALL
        }),
    );
}

/// The replica that shows the witness says nothing of the one that did not show the attempt.
#[test]
fn with_a_witness_asked_for_apart_from_the_attempt_a_job_is_billed_twice() {
    breaks(
        ONCE,
        under(Rules {
            witness: WitnessRule::AskedForApart,
            ..Rules::ALL
        }),
    );
}

#[test]
fn without_a_witness_a_job_is_billed_twice() {
    breaks(
        ONCE,
        under(Rules {
            witness: WitnessRule::NotNeeded,
            ..Rules::ALL
        }),
    );
}

#[test]
fn without_the_look_at_the_deadline_before_the_send_a_job_is_billed_twice() {
    breaks(
        ONCE,
        under(Rules {
            check_before_send: false,
            ..Rules::ALL
        }),
    );
}

/// While looks tell the truth once is enough. It is for the one that does not that they have to be two.
#[test]
fn with_one_absence_instead_of_two_a_single_lie_gets_a_job_billed_twice() {
    let once = under(Rules {
        twice: false,
        ..Rules::ALL
    });
    breaks(ONCE, World { lies: 1, ..once });
}

/// That only the oldest counts without a witness keeps the harm to one job as long as its second create is answered. Where
/// that is unknown too, it is no witness, and the next one would follow: so the gateway leaves the first one to an operator, and
/// counts no other without a witness until then.
#[test]
fn a_list_that_never_shows_anything_may_double_more_than_one_job_if_nothing_is_answered_either() {
    let blind = World {
        list: List::Blind,
        callbacks: 0,
        keeps_results: false,
        ..World::PLAIN
    };
    breaks(ONE_DOUBLED, blind);
}

/// The ages of the model end where the rule without a witness begins to hold.
#[test]
fn the_model_and_the_shipped_rules_agree_on_ten_settling_times() {
    let settling_time = Duration::from_mins(1);
    let judged = |since_send_until| {
        let absence = Absence {
            since_send_until,
            witness: Witness::CannotCome,
            is_oldest: true,
            absences: 1,
            since_counted: settling_time,
        };
        judge(&absence, settling_time)
    };
    let limit = settling_time * u32::from(WITHOUT_WITNESS);
    assert_eq!(judged(limit), Judgement::NotSent);
    assert!(matches!(
        judged(limit.saturating_sub(Duration::from_secs(1))),
        Judgement::Wait(_)
    ));
}
