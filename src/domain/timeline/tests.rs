use super::*;

fn second(at: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_795_000_000 + at, 0).unwrap()
}

fn attempt(number: i32, state: AttemptState) -> RecordedAttempt {
    RecordedAttempt {
        number,
        state,
        http_status: None,
        is_at_gladia: false,
        settled_by: None,
        absent_since: None,
    }
}

fn history(events: &[(EventType, i64)], attempts: Vec<RecordedAttempt>) -> History {
    let at = |(event, at): &(EventType, i64)| (*event, second(*at));
    History {
        status_reason: None,
        error_type: None,
        events: events.iter().map(at).collect(),
        attempts,
        callbacks: Vec::new(),
        surplus: Vec::new(),
        now: second(100),
    }
}

/// Code, attempt and reason of each step.
fn told(timeline: &Timeline) -> Vec<(StepCode, Option<i32>, Option<StepReason>)> {
    let steps = timeline.steps.iter();
    steps
        .map(|step| (step.step, step.attempt, step.reason))
        .collect()
}

#[test]
fn each_move_has_its_attempt_and_its_reason() {
    let busy = RecordedAttempt {
        http_status: Some(429),
        ..attempt(1, AttemptState::NotSent)
    };
    let looked_up = RecordedAttempt {
        settled_by: Some(StepReason::LookUp),
        absent_since: Some(second(7)),
        ..attempt(2, AttemptState::NotSent)
    };
    let timeline = Timeline::of(&history(
        &[
            (EventType::Queued, 0),
            (EventType::Submitting, 1),
            (EventType::Requeued, 2),
            (EventType::Submitting, 5),
            (EventType::Unknown, 6),
            (EventType::Requeued, 8),
            (EventType::Submitting, 9),
            (EventType::Processing, 10),
        ],
        vec![busy, looked_up, attempt(3, AttemptState::Accepted)],
    ));
    assert_eq!(
        told(&timeline),
        [
            (StepCode::Accepted, None, None),
            (StepCode::Submitting, Some(1), None),
            (StepCode::NotSent, Some(1), Some(StepReason::GladiaBusy)),
            (StepCode::Submitting, Some(2), None),
            (StepCode::OutcomeUnknown, Some(2), None),
            (StepCode::NotFoundAtGladia, Some(2), None),
            (StepCode::NotSent, Some(2), Some(StepReason::LookUp)),
            (StepCode::Submitting, Some(3), None),
            (StepCode::Processing, Some(3), None),
        ]
    );
    assert_eq!(timeline.since, second(10));
    assert_eq!(
        (timeline.queued, timeline.processing),
        (TimeDelta::seconds(10), TimeDelta::seconds(90))
    );
}

#[test]
fn a_job_that_was_tried_again_tells_both_ends() {
    let mut history = history(
        &[
            (EventType::Queued, 0),
            (EventType::Submitting, 1),
            (EventType::Processing, 2),
            (EventType::Error, 12),
            (EventType::Retried, 20),
            (EventType::Submitting, 21),
            (EventType::Error, 22),
        ],
        vec![
            attempt(1, AttemptState::Expired),
            attempt(2, AttemptState::Refused),
        ],
    );
    history.error_type = Some(JobErrorType::GladiaRefused);
    let timeline = Timeline::of(&history);
    let told = told(&timeline);
    assert_eq!(
        told[3],
        (StepCode::Error, Some(1), Some(StepReason::ResultMissing))
    );
    assert_eq!(told[4], (StepCode::Retried, None, None));
    assert_eq!(
        told[6],
        (StepCode::Error, Some(2), Some(StepReason::GladiaRefused))
    );
    // What it waited while it had failed counts for neither.
    assert_eq!(
        (timeline.queued, timeline.processing),
        (TimeDelta::seconds(4), TimeDelta::seconds(10))
    );
}

#[test]
fn what_came_back_names_the_attempt_that_completed_it() {
    let taken_up = RecordedAttempt {
        is_at_gladia: true,
        settled_by: Some(StepReason::Callback),
        ..attempt(1, AttemptState::Done)
    };
    let mut history = history(
        &[
            (EventType::Queued, 0),
            (EventType::Submitting, 1),
            (EventType::Requeued, 2),
            (EventType::Processing, 3),
            (EventType::Done, 4),
        ],
        vec![taken_up],
    );
    history.callbacks = vec![RecordedCallback {
        attempt: 1,
        at: second(4),
        was_fetched: false,
        outcome: Some(StepReason::Completed),
    }];
    assert_eq!(
        told(&Timeline::of(&history))[3..],
        [
            (StepCode::Processing, Some(1), Some(StepReason::Callback)),
            (
                StepCode::CallbackReceived,
                Some(1),
                Some(StepReason::Completed)
            ),
            (StepCode::Done, Some(1), None),
        ]
    );
}

#[test]
fn times_never_run_backwards_although_a_clock_was_set_back() {
    let mut history = history(
        &[
            (EventType::Queued, 10),
            (EventType::Submitting, 4),
            (EventType::Processing, 12),
        ],
        vec![attempt(1, AttemptState::Accepted)],
    );
    history.callbacks = vec![RecordedCallback {
        attempt: 1,
        at: second(1),
        was_fetched: false,
        outcome: Some(StepReason::Quarantined),
    }];
    history.now = second(11);
    let timeline = Timeline::of(&history);
    assert!(timeline.steps.is_sorted_by_key(|step| step.at));
    let codes: Vec<StepCode> = timeline.steps.iter().map(|step| step.step).collect();
    let own: Vec<StepCode> = codes
        .into_iter()
        .filter(|code| *code != StepCode::CallbackReceived)
        .collect();
    assert_eq!(
        own,
        [
            StepCode::Accepted,
            StepCode::Submitting,
            StepCode::Processing
        ]
    );
    assert!(timeline.processing >= TimeDelta::zero());
}

#[test]
fn a_job_with_very_many_attempts_tells_its_beginning_and_its_latest_steps() {
    let mut events = vec![(EventType::Queued, 0)];
    let mut attempts = Vec::new();
    for number in 1..=600 {
        events.push((EventType::Submitting, i64::from(number)));
        events.push((EventType::Requeued, i64::from(number)));
        attempts.push(attempt(number, AttemptState::NotSent));
    }
    let timeline = Timeline::of(&history(&events, attempts));
    assert_eq!(timeline.steps.len(), MOST_STEPS);
    assert_eq!(timeline.steps_left_out, 201);
    assert_eq!(timeline.steps[0].step, StepCode::Accepted);
    assert_eq!(timeline.steps[MOST_STEPS - 1].attempt, Some(600));
}

#[test]
fn reasons_are_told_under_the_names_that_the_tables_have() {
    for reason in StepReason::ALL {
        assert_eq!(reason.as_str().parse::<StepReason>().unwrap(), reason);
        assert_eq!(serde_json::to_value(reason).unwrap(), reason.as_str());
    }
}

#[test]
fn attempts_whose_moves_are_gone_from_the_log_come_first() {
    let timeline = Timeline::of(&history(
        &[
            (EventType::Queued, 0),
            (EventType::Retried, 50),
            (EventType::Submitting, 51),
            (EventType::Processing, 52),
        ],
        vec![
            attempt(1, AttemptState::Error),
            attempt(2, AttemptState::Accepted),
        ],
    ));
    assert_eq!(
        told(&timeline),
        [
            (StepCode::Accepted, None, None),
            (StepCode::Retried, None, None),
            (StepCode::Submitting, Some(2), None),
            (StepCode::Processing, Some(2), None),
        ]
    );
}
