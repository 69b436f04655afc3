//! What a look means that did not find an attempt.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::{LookError, LookUp, Looked, NEXT_AFTER_DECISION, count};
use crate::{
    crash_points::CrashPoint,
    db::attempts::look_ups::{self, UnknownAttempt},
    domain::settling::{
        Absence, Judgement, UnknownReason, WITHOUT_WITNESS, Witness, absences_apart, judge,
        may_be_sent_again,
    },
};

impl LookUp {
    /// Judges a look that did not find an attempt, and notes what it means.
    pub(super) async fn conclude(
        &self,
        started_at: DateTime<Utc>,
        attempt: &UnknownAttempt,
        witness: Witness,
        is_oldest: bool,
    ) -> Result<(), LookError> {
        // Looks come when any attempt is due, and the two absences that settle this one are apart. What was left to an operator
        // has had both, and rests for another reason.
        let is_resting = attempt.next_look_at.is_some_and(|at| at > started_at);
        if attempt.absences > 0 && is_resting && !attempt.awaits_decision {
            return Ok(());
        }
        let known = self.sightings.known(attempt.id);
        let since_send_until = started_at - attempt.send_until;
        let absence = Absence {
            since_send_until: since_send_until
                .to_std()
                .unwrap_or_default()
                .min(known.attempt.saturating_sub(self.create_may_take)),
            witness,
            is_oldest,
            absences: u32::try_from(attempt.absences).unwrap_or_default(),
            since_counted: known.counted,
        };
        let mut conn = self.pool.acquire().await?;
        let (outcome, counts) = match judge(&absence, self.settling_time) {
            Judgement::Wait(reason @ UnknownReason::Settling) => {
                let rest = absence.counts_in(self.settling_time);
                let noting = look_ups::note_absence(&mut conn, attempt, Some(reason), rest);
                (reason.as_str(), noting.await?)
            }
            Judgement::Wait(reason) => {
                // Not later than the instant from which it may count without a witness.
                let until_then = (self.settling_time * WITHOUT_WITNESS)
                    .checked_sub(absence.since_send_until)
                    .unwrap_or(Duration::MAX);
                let rest = self.rest(attempt, absence.since_send_until).min(until_then);
                let noting = look_ups::note_absence(&mut conn, attempt, Some(reason), rest);
                (reason.as_str(), noting.await?)
            }
            Judgement::Count => {
                let rest = absences_apart(self.settling_time);
                // Before it is written, so that it is long enough ago when the next look is due.
                self.sightings.note_counted(attempt.id);
                let noting = look_ups::note_absence(&mut conn, attempt, None, rest);
                (Looked::Absent.as_str(), noting.await?)
            }
            Judgement::NotSent
                if attempt.job_has_ended
                    || self.may_resend
                        && may_be_sent_again(
                            witness,
                            attempt.was_resent_blindly,
                            attempt.resends,
                        ) =>
            {
                let without_witness = witness != Witness::Seen;
                let is_settled =
                    look_ups::settle_as_not_sent(&mut conn, attempt, without_witness).await?;
                if is_settled {
                    CrashPoint::LookUpNotSent.reach();
                    tracing::warn!(attempt.id = %attempt.id, ?witness, "Attempt {} did not reach Gladia; its job is back in line", attempt.id);
                }
                (Looked::NotSent.as_str(), is_settled)
            }
            Judgement::NotSent => {
                let is_left =
                    look_ups::leave_to_operator(&mut conn, attempt, false, NEXT_AFTER_DECISION)
                        .await?;
                if is_left {
                    tracing::warn!(attempt.id = %attempt.id, attempt.resends, "Attempt {} was not found at Gladia; whether to send it again is left to an operator", attempt.id);
                }
                (UnknownReason::AwaitingDecision.as_str(), is_left)
            }
        };
        // Not where the attempt has moved, or was looked for otherwise, since this look began.
        if counts {
            count(outcome);
        }
        Ok(())
    }

    /// How long until the next look that may count: soon at first, since a witness may come with the next job, then less and
    /// less often, and in proportion to the time that a walk has to go back.
    pub(super) fn rest(&self, attempt: &UnknownAttempt, since_send_until: Duration) -> Duration {
        let doublings = u32::try_from(attempt.looks).unwrap_or_default().min(5);
        (self.settling_time / 4 * 2_u32.pow(doublings))
            .min(self.settling_time * 5)
            .max(since_send_until / 8)
    }
}
