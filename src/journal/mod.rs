//! The journal: what came from Gladia is kept before it is understood.
//!
//! A callback may be the only copy of a paid transcript that ever exists, so its body is what is kept, and everything
//! else is a view of it. One that arrives is taken by [`intake`]: it goes into the database, or into the [`spool`] where it
//! cannot be committed now. One path ([`carry_out`]) takes a body from wherever it comes, one that arrives, one that was
//! quarantined and is tried again, one that was spooled, or a result that was asked for ([`fetch`]), and commits it together
//! with what it changes. A [`body`] is read once, as it comes; what is served of it later is its [`result`].
//!
//! What a callback does, whatever it meets. Each is shown by the test named, in `tests/api`; the rules themselves are
//! [`decide`](crate::domain::completion::decide).
//!
//! | The callback comes | What it does | Test |
//! |---|---|---|
//! | before the create's answer | completes the job, and gives the attempt its Gladia id | `callbacks::a_callback_that_comes_before_the_creates_answer_completes_the_job` |
//! | after a cancel | gives the slot back; hash and outcome alone are kept | `cancel::a_job_that_is_canceled_at_work_gives_its_slot_back_and_its_result_is_discarded` |
//! | after a delete | the same | `cancel::a_job_that_is_deleted_at_work_is_settled_and_leaves_nothing_behind` |
//! | after the retention | the same | `retention::a_callback_after_the_retention_leaves_its_hash_alone` |
//! | a success after an error | completes the job | `callbacks::a_late_success_wins_over_an_error` |
//! | an error after a success | is kept beside it | `callbacks::an_error_after_a_success_changes_nothing` |
//! | twice at the same instant, on two replicas | completes the job once | `callbacks::two_at_the_same_instant_on_two_replicas_complete_the_job_once` |
//! | a second time, the same body | nothing | `callbacks::a_duplicate_changes_nothing` |
//! | of an older attempt, a success while the job waits | completes the job | `callback_states::a_success_of_an_attempt_that_was_given_up_completes_the_job_that_waits` |
//! | of an older attempt, a failure | is kept beside it; that attempt has failed | `callback_states::a_failure_of_an_attempt_that_was_given_up_changes_nothing_for_its_job` |
//! | of either attempt of a job that was sent again | the first success completes the job | `callback_states::the_first_success_of_any_attempt_completes_a_job_that_was_sent_again` |
//! | after its result was fetched | is kept beside it | `reconcile::a_callback_after_the_get_changes_nothing` |
//! | with another Gladia id than the attempt's | is quarantined | `callbacks::a_contradicting_id_is_kept_and_changes_nothing` |
//! | with the Gladia id of another attempt | is quarantined | `callback_states::a_gladia_job_that_another_attempt_has_is_kept_and_changes_nothing` |
//! | unreadable, or of an unknown event | is quarantined | `callbacks::what_cannot_be_read_is_kept_and_changes_nothing` |
//! | a success whose payload is no result | is quarantined | `callbacks::a_success_without_a_result_is_kept_and_the_real_one_completes_the_job` |
//! | and carrying it out fails | is quarantined | `callbacks::what_cannot_be_carried_out_is_kept_and_changes_nothing` |
//! | too large | is noted, and the result fetched | `large_callbacks::a_result_whose_callback_is_beyond_the_limit_is_fetched` |
//! | for an attempt that is not here | waits in the spool, or is asked to come again | `callback_states::a_callback_of_an_attempt_that_is_not_here_is_asked_to_come_again` |
//! | while Postgres is away | waits in the spool, or is asked to come again | `spool::callbacks_that_come_while_postgres_is_away_are_carried_out_when_it_is_back` |

/// How many callbacks that arrive are taken at once; with the limit on each body, the bound on what those take.
pub const CALLBACKS_AT_ONCE: usize = 16;

pub mod announce;
mod at_rest;
pub mod body;
pub mod carry_out;
pub mod fetch;
pub mod intake;
pub mod replay;
pub mod result;
pub mod spool;
