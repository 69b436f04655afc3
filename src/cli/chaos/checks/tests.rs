//! A verdict is worth something only if it can be bad.

mod told;

use std::{collections::HashMap, time::Duration};

use chrono::{DateTime, Utc};
use rand::{SeedableRng, rngs::StdRng};
use serde_json::{Value, json};

use super::*;
use crate::{
    cli::chaos::{
        facts::{Still, digest},
        load::{self, Accepted},
    },
    db::invariants::{AttemptFacts, DeliverySums, QuarantineFacts, SurplusFacts, Unsettled},
    domain::{event::EventId, ids::TenantId},
};

/// What Gladia makes of anything.
const RESULT: &str = r#"{"transcription":{}}"#;

/// Two orders, each with its job, its attempt, Gladia's job and its result, all as it should be, and told to everybody.
struct Run {
    facts: Facts,
    upstream: Vec<Value>,
    attempts: Vec<Uuid>,
}

impl Run {
    fn fine() -> Self {
        let mut rng = StdRng::seed_from_u64(0);
        let mut orders = load::plan(&mut rng, 2, 1, Duration::ZERO, false);
        for order in &mut orders {
            order.fails = false;
            order.callback = None;
        }
        orders[0].callback = Some(load::Ask::ConfigPut);
        let unsettled = Unsettled {
            jobs: 2,
            open_jobs: 0,
            open_attempts: 0,
            held_slots: 0,
            unnumbered_events: 0,
            pending_deliveries: 0,
        };
        let tenant_id = TenantId(Uuid::new_v4());
        let mut run = Self {
            facts: Facts {
                orders,
                accepted: Accepted::default(),
                results: HashMap::new(),
                unsettled,
                orphans: 0,
                jobs: Vec::new(),
                attempts: Vec::new(),
                quarantined: Vec::new(),
                surplus: Vec::new(),
                events: Vec::new(),
                last_event: EventId::ZERO,
                deliveries: DeliverySums::default(),
                undelivered: Vec::new(),
                told: Vec::new(),
                called: Vec::new(),
                ledger: ledger(&[], 2),
                spooled: Vec::new(),
                cap: 2,
                stills: Vec::new(),
                ends: Vec::new(),
            },
            upstream: Vec::new(),
            attempts: Vec::new(),
        };
        for _ in 0..2 {
            let job = Uuid::new_v4();
            run.facts.accepted.jobs.push(Some(job));
            let gladia_id = run.send(job);
            run.facts.jobs.push(JobFacts {
                id: job.into(),
                tenant_id,
                status: "done".into(),
                status_reason: None,
                error_type: None,
                gladia_id: Some(gladia_id.to_string()),
                keys: 1,
                endings_told: 1,
            });
            let result = digest(RESULT.as_bytes());
            run.facts.results.insert(job, Ok(result));
        }
        run.tell();
        run
    }

    /// Another attempt of a job, which reaches Gladia.
    fn send(&mut self, job: Uuid) -> Uuid {
        let (attempt, gladia_id) = (Uuid::new_v4(), Uuid::new_v4());
        self.facts.attempts.push(AttemptFacts {
            id: attempt.into(),
            job_id: job.into(),
            state: "done".into(),
            gladia_id: Some(gladia_id.to_string()),
            worker: "17-abcdef".into(),
            created_at: at(10),
            lease_until: at(20),
            finished: true,
            holds_slot: false,
        });
        self.attempts.push(attempt);
        self.upstream.push(json!({
            "id": gladia_id,
            "status": "done",
            "custom_metadata": { RESERVED: attempt },
            "result_sha256": digest(RESULT.as_bytes()),
            "created_at": at(12),
            "finished_at": at(72),
            "callbacks": [],
        }));
        gladia_id
    }

    fn job(&self, number: usize) -> Uuid {
        self.facts.jobs[number].id.0
    }

    fn judge(mut self) -> Verdict {
        let seen = self.facts.ledger.counts.max_in_flight_seen;
        self.facts.ledger = ledger(&self.upstream, seen);
        judge(&self.facts)
    }

    #[track_caller]
    fn assert_violates(self, words: &str) -> Verdict {
        let verdict = self.judge();
        assert!(
            verdict.violations.iter().any(|what| what.contains(words)),
            "{verdict:?}"
        );
        verdict
    }
}

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000 + seconds, 0).unwrap()
}

const RESERVED: &str = crate::domain::options::RESERVED_METADATA_KEY;

fn ledger(jobs: &[Value], max_in_flight_seen: u64) -> crate::cli::chaos::upstream::Ledger {
    let counts = json!({
        "creates_accepted": 2, "in_flight": 0, "max_in_flight_seen": max_in_flight_seen, "callbacks_sent": 2,
        "callbacks_lost": 0, "faults_applied": 0, "lists": 0, "gets": 0,
    });
    serde_json::from_value(json!({ "counts": counts, "jobs": jobs })).unwrap()
}

#[test]
fn a_run_in_which_everything_ended_well_holds() {
    let verdict = Run::fine().judge();
    assert!(
        verdict.holds() && verdict.lost.is_empty() && verdict.doubled.is_empty(),
        "{verdict:?}"
    );
}

#[test]
fn a_job_without_its_transcript_is_lost() {
    let mut run = Run::fine();
    run.facts.jobs[0].status = "processing".into();
    assert_eq!(run.assert_violates("it is processing").lost.len(), 1);

    let mut run = Run::fine();
    run.facts.jobs[0].status = "error".into();
    run.facts.jobs[0].error_type = Some("result_missing".into());
    assert_eq!(run.assert_violates("result_missing").lost.len(), 1);

    let mut run = Run::fine();
    let job = run.job(0);
    run.facts.results.insert(job, Ok("other".into()));
    assert_eq!(run.assert_violates("not what Gladia made").lost.len(), 1);

    let mut run = Run::fine();
    let job = run.job(0);
    run.facts.results.insert(job, Err("404".into()));
    assert_eq!(run.assert_violates("404").lost.len(), 1);

    let mut run = Run::fine();
    let other = run.facts.jobs[1].gladia_id.clone();
    run.facts.jobs[0].gladia_id = other;
    assert_eq!(run.assert_violates("not made for it").lost.len(), 1);

    let mut run = Run::fine();
    run.facts.jobs.remove(0);
    assert_eq!(run.assert_violates("not in the database").lost.len(), 1);
}

#[test]
fn a_failure_is_fine_only_where_gladia_failed() {
    let fail = |run: &mut Run| {
        run.facts.jobs[0].status = "error".into();
        run.facts.jobs[0].error_type = Some(FAILED.into());
        run.facts.orders[0].fails = true;
        run.tell();
    };
    let mut run = Run::fine();
    fail(&mut run);
    run.assert_violates("no job of Gladia's for it did");

    let mut run = Run::fine();
    fail(&mut run);
    run.upstream[0]["status"] = "error".into();
    assert!(run.judge().holds());
}

#[test]
fn a_job_that_gladia_has_twice_is_doubled_unless_that_is_on_record_and_explained() {
    let mut run = Run::fine();
    run.send(run.job(0));
    assert_eq!(run.assert_violates("doubled").doubled.len(), 1);

    let mut run = Run::fine();
    let job = run.job(0);
    let surplus = SurplusFacts {
        gladia_id: run.send(job).to_string(),
        job_id: job.into(),
    };
    run.facts.surplus.push(surplus.clone());
    run.facts.orders[0].hidden = true;
    let verdict = run.judge();
    assert!(
        verdict.holds() && verdict.notes[0].contains("surplus"),
        "{verdict:?}"
    );

    // On record, in a run in which only a process that stood still can be the reason: before Gladia accepted what it sent.
    for (pid, from, to, accepted_at, explains) in [
        (17, 15, 30, 30, true),
        (17, 0, 10, 12, true),
        (17, 0, 9, 12, false),
        (17, 21, 30, 30, false),
        (18, 10, 20, 20, false),
        (17, 15, 30, 14, false),
        (17, 15, 30, 29, false),
    ] {
        let mut run = Run::fine();
        let job = run.job(0);
        let surplus = SurplusFacts {
            gladia_id: run.send(job).to_string(),
            job_id: job.into(),
        };
        run.facts.surplus.push(surplus);
        run.upstream[0]["created_at"] = json!(at(accepted_at));
        run.facts.stills.push(Still {
            pid,
            from: at(from),
            to: at(to),
        });
        let verdict = run.judge();
        assert_eq!(verdict.holds(), explains, "{verdict:?}");
        assert_eq!(verdict.doubled.is_empty(), explains, "{verdict:?}");
    }
}

#[test]
fn surplus_that_is_none_is_a_violation() {
    let mut run = Run::fine();
    let surplus = SurplusFacts {
        gladia_id: run.facts.jobs[0].gladia_id.clone().unwrap(),
        job_id: run.facts.jobs[0].id,
    };
    run.facts.surplus.push(surplus);
    run.assert_violates("recorded as surplus, and is not");
}

#[test]
fn the_cap_holds_but_for_surplus() {
    let mut run = Run::fine();
    run.facts.ledger.counts.max_in_flight_seen = 3;
    assert_eq!(run.assert_violates("over the cap").over_cap, 1);

    // Three are in flight: two of them are the same job.
    let mut run = Run::fine();
    run.facts.ledger.counts.max_in_flight_seen = 3;
    let job = run.job(0);
    let surplus = SurplusFacts {
        gladia_id: run.send(job).to_string(),
        job_id: job.into(),
    };
    run.facts.surplus.push(surplus.clone());
    run.facts.orders[0].hidden = true;
    assert_eq!(run.judge().over_cap, 0);

    // The surplus does not explain that the others are too many.
    let mut run = Run::fine();
    run.facts.ledger.counts.max_in_flight_seen = 4;
    run.facts.cap = 1;
    for number in [0, 0, 1] {
        run.send(run.job(number));
    }
    run.facts.surplus.push(SurplusFacts {
        job_id: run.job(0).into(),
        ..surplus
    });
    assert_eq!(run.assert_violates("surplus aside").over_cap, 1);
}

#[test]
fn keys_and_attempts_lead_to_one_job_each() {
    let mut run = Run::fine();
    run.facts.accepted.jobs[0] = None;
    run.assert_violates("no caller was told of it");

    let mut run = Run::fine();
    run.facts.jobs[0].keys = 0;
    run.assert_violates("0 idempotency keys");

    let mut run = Run::fine();
    run.upstream[0]["custom_metadata"] = Value::Null;
    run.assert_violates("of no attempt");
}

#[test]
fn references_lead_somewhere() {
    let mut run = Run::fine();
    run.facts.orphans = 1;
    run.assert_violates("1 references lead nowhere");
}

#[test]
fn nothing_stays_open() {
    let mut run = Run::fine();
    run.facts.attempts[0].finished = false;
    run.facts.attempts[0].state = "accepted".into();
    run.assert_violates("is accepted");

    let mut run = Run::fine();
    run.facts.attempts[0].holds_slot = true;
    run.assert_violates("holds a slot");

    let mut run = Run::fine();
    run.facts.jobs[0].endings_told = 0;
    run.assert_violates("no event");

    let mut run = Run::fine();
    run.facts.spooled.push("spool/1.callback".into());
    run.assert_violates("kept on disk");

    let mut run = Run::fine();
    run.facts.ends.push("serve-1 ended by itself".into());
    run.assert_violates("serve-1");
}

#[test]
fn only_callbacks_that_were_cut_may_be_quarantined() {
    let quarantine = |run: &mut Run| {
        run.facts.quarantined.push(QuarantineFacts {
            attempt_id: run.attempts[0].into(),
            reason: Some("unreadable".into()),
        });
    };
    let mut run = Run::fine();
    quarantine(&mut run);
    run.assert_violates("was not cut");

    let mut run = Run::fine();
    quarantine(&mut run);
    run.upstream[0]["callbacks"] = json!([{ "note": "truncated by a fault" }]);
    assert!(run.judge().holds());
}
