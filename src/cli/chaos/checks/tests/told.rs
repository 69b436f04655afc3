//! Callers who are not told, or told wrong.

use axum::body::Bytes;
use serde_json::json;

use super::*;
use crate::{
    cli::chaos::consumers::told::{Call, Called, Consumer, Promise, Told, ToldEvent},
    db::invariants::{DeliveryFacts, EventFacts},
    domain::event::PublicEventType,
};

const WEBHOOK: usize = 0;
const WEBHOOK_OF_ENDINGS: usize = 1;
const STREAM: usize = 2;
const LIST: usize = 3;

impl Run {
    /// Tells everybody of the jobs as they are.
    pub(super) fn tell(&mut self) {
        let tenant_id = self.facts.jobs[0].tenant_id;
        self.facts.events = Vec::new();
        for job in &self.facts.jobs {
            let ending = format!("transcription.{}", job.status);
            for event_type in ["transcription.queued", "transcription.processing", &ending] {
                let number = i64::try_from(self.facts.events.len()).unwrap() + 1;
                self.facts.events.push(EventFacts {
                    number: Some(number),
                    tenant_id,
                    job_id: Some(job.id.0),
                    event_type: event_type.to_owned(),
                    occurred_at: at(number),
                });
            }
        }
        self.facts.last_event = EventId(self.facts.events.len().try_into().unwrap());
        let endings = &[PublicEventType::Done, PublicEventType::Error];
        let promises = [
            Promise::AtLeastOnce(None),
            Promise::AtLeastOnce(Some(endings)),
            Promise::Once,
            Promise::Once,
        ];
        let told = promises.into_iter().enumerate().map(|(number, promise)| {
            let covered = self.facts.events.iter();
            let covered = covered.filter(|event| promise.covers(&event.event_type));
            Told {
                consumer: Consumer {
                    name: format!("consumer {number}"),
                    tenant_id,
                    promise,
                },
                events: covered.map(told).collect(),
                wrong: Vec::new(),
                rounds: 1,
            }
        });
        self.facts.told = told.collect();
        let job = &self.facts.jobs[0];
        let ending = match job.status.as_str() {
            "done" => json!({
                "event": "transcription.success", "payload": serde_json::from_str::<Value>(RESULT).unwrap(),
            }),
            _ => json!({
                "event": "transcription.error", "error": { "code": 500, "message": "It failed." },
            }),
        };
        let mut body = json!({
            "id": job.id,
            "custom_metadata": self.facts.orders[0].custom_metadata(),
        });
        body.as_object_mut()
            .unwrap()
            .extend(ending.as_object().unwrap().clone());
        self.facts.called = vec![Called {
            tenant_id,
            calls: vec![Call {
                id: "cb_3".into(),
                method: "PUT".into(),
                body: body.to_string().into(),
                taken: true,
            }],
            wrong: Vec::new(),
        }];
    }

    fn events_of(&mut self, consumer: usize) -> &mut Vec<ToldEvent> {
        &mut self.facts.told[consumer].events
    }

    fn call(&mut self) -> &mut Call {
        &mut self.facts.called[0].calls[0]
    }

    fn change_call(&mut self, change: impl FnOnce(&mut Value)) {
        let mut body = serde_json::from_slice(&self.call().body).unwrap();
        change(&mut body);
        self.call().body = body.to_string().into();
    }
}

fn told(event: &EventFacts) -> ToldEvent {
    let id = EventId(event.number.unwrap());
    let body = json!({
        "id": id,
        "type": event.event_type,
        "occurred_at": event.occurred_at,
        "data": {
            "transcription_id": event.job_id,
            "status": event.event_type.rsplit('.').next(),
        },
    });
    ToldEvent {
        id,
        body: body.to_string().into(),
        taken: true,
    }
}

#[test]
fn numbers_have_neither_gaps_nor_doubles() {
    let mut run = Run::fine();
    run.facts.events[2].number = None;
    run.assert_violates("1 events have no number");

    let mut run = Run::fine();
    run.facts.events.remove(2);
    run.assert_violates("in the place of event 3 stands 4");

    let mut run = Run::fine();
    run.facts.events[2].number = Some(2);
    run.assert_violates("in the place of event 3 stands 2");

    let mut run = Run::fine();
    run.facts.events.pop();
    run.assert_violates("the last number that was given is 6, and the last event's is 5");
}

#[test]
fn the_events_of_a_job_end_as_it_did() {
    for (types, holds) in [
        (vec!["queued", "processing", "done"], true),
        (vec!["queued", "done"], true),
        (vec!["queued", "processing", "error", "done"], true),
        (vec!["queued", "processing"], false),
        (vec!["queued", "processing", "error"], false),
        (vec!["queued", "done", "processing"], false),
        (vec!["queued", "queued", "done"], false),
        (vec!["queued", "done", "done"], false),
        (vec!["processing", "done"], false),
        (vec![], false),
    ] {
        let mut run = Run::fine();
        let job = run.facts.jobs[0].id.0;
        let example = run.facts.events[0].clone();
        run.facts.events.retain(|event| event.job_id != Some(job));
        run.facts.events.extend(types.iter().map(|name| EventFacts {
            event_type: format!("transcription.{name}"),
            ..example.clone()
        }));
        let violations = run.judge().violations;
        let told = violations
            .iter()
            .any(|what| what.contains("its events are"));
        assert_eq!(told, !holds, "{types:?}: {violations:?}");
    }
}

#[test]
fn nobody_misses_an_event() {
    for consumer in [WEBHOOK, WEBHOOK_OF_ENDINGS, STREAM, LIST] {
        let mut run = Run::fine();
        run.events_of(consumer).pop();
        let verdict = run.assert_violates("was not told of 1 events: evt_6");
        assert_eq!((verdict.untold, verdict.retold), (1, 0));
    }
    // Whoever did not say that it has a webhook was not told.
    let mut run = Run::fine();
    run.events_of(WEBHOOK)[0].taken = false;
    assert_eq!(run.assert_violates("untold: consumer 0").untold, 1);
}

#[test]
fn webhooks_may_come_again_and_in_any_order_and_nothing_else_may() {
    for consumer in [WEBHOOK, WEBHOOK_OF_ENDINGS] {
        let mut run = Run::fine();
        let again = run.events_of(consumer)[0].clone();
        run.events_of(consumer).push(again);
        run.events_of(consumer).reverse();
        assert!(run.judge().holds());
    }
    for consumer in [STREAM, LIST] {
        let mut run = Run::fine();
        let again = run.events_of(consumer)[0].clone();
        run.events_of(consumer).push(again);
        assert_eq!(
            run.assert_violates("told of 1 events: evt_1 again").retold,
            1
        );

        let mut run = Run::fine();
        run.events_of(consumer).swap(0, 1);
        assert_eq!(
            run.assert_violates("told of 1 events: evt_1 again").retold,
            1
        );
    }
}

#[test]
fn nobody_is_told_of_what_is_not_for_it() {
    let mut run = Run::fine();
    let queued = run.events_of(WEBHOOK)[0].clone();
    run.events_of(WEBHOOK_OF_ENDINGS).push(queued);
    run.assert_violates("consumer 1 was told of 1 events: evt_1, which is not for it");

    let mut run = Run::fine();
    run.facts.told[STREAM].consumer.tenant_id = TenantId(Uuid::new_v4());
    run.assert_violates("consumer 2 was told of 6 events");

    let mut run = Run::fine();
    run.facts.told[LIST].wrong.push("400".into());
    run.assert_violates("consumer 3: 400");
}

#[test]
fn an_event_is_the_same_wherever_it_comes_and_says_what_the_log_says() {
    let mut run = Run::fine();
    let event = &mut run.events_of(STREAM)[0];
    event.body = [&event.body[..], b" "].concat().into();
    run.assert_violates("event evt_1 is not the same for consumer 0 and consumer 2");

    for (pointer, other) in [
        ("/id", json!("evt_9")),
        ("/type", json!("transcription.done")),
        ("/occurred_at", json!(at(77))),
        ("/data/status", json!("done")),
        ("/data/transcription_id", json!(Uuid::nil())),
    ] {
        let mut run = Run::fine();
        for told in &mut run.facts.told {
            for event in told.events.iter_mut().filter(|event| event.id.0 == 1) {
                let mut body: Value = serde_json::from_slice(&event.body).unwrap();
                *body.pointer_mut(pointer).unwrap() = other.clone();
                event.body = body.to_string().into();
            }
        }
        run.assert_violates("event evt_1 is not what consumer 0 was told");
    }
}

#[test]
fn deliveries_get_through_and_are_made_once() {
    let mut run = Run::fine();
    run.facts.undelivered.push(DeliveryFacts {
        id: Uuid::new_v4().into(),
        endpoint_id: None,
        event_number: 3,
        status: "dead".into(),
        dead_reason: Some("exhausted".into()),
        tries: 11,
    });
    run.assert_violates("of event 3 to a callback is dead (exhausted) after 11 tries");

    let mut run = Run::fine();
    run.facts.deliveries.doubled = 1;
    run.assert_violates("1 deliveries were made more than once");
}

#[test]
fn whoever_asked_for_a_callback_gets_it_as_asked() {
    let mut run = Run::fine();
    run.facts.called[0].calls.clear();
    assert_eq!(run.assert_violates("no callback says").untold, 1);

    let mut run = Run::fine();
    run.call().taken = false;
    assert_eq!(run.assert_violates("no callback says").untold, 1);

    let mut run = Run::fine();
    let again = run.call().clone();
    run.facts.called[0].calls.push(again);
    assert!(run.judge().holds());

    let mut run = Run::fine();
    run.call().method = "POST".into();
    run.assert_violates("POST instead of PUT");

    let mut run = Run::fine();
    run.call().id = "evt_3".into();
    run.assert_violates("its id is not a callback's");

    let mut run = Run::fine();
    run.facts.orders[0].callback = None;
    run.assert_violates("nobody there asked for it");

    let mut run = Run::fine();
    run.facts.called[0].tenant_id = TenantId(Uuid::new_v4());
    run.assert_violates("nobody there asked for it");

    let mut run = Run::fine();
    run.facts.called[0]
        .wrong
        .push("its signature is wrong".into());
    run.assert_violates("a callback: its signature is wrong");
}

#[test]
fn a_callback_has_gladias_shape_and_the_callers_metadata() {
    type Change = fn(&mut Value);
    let changes: [(Change, &str); 6] = [
        (
            |body| body["payload"] = json!({}),
            "its payload is not the result",
        ),
        (
            |body| body["custom_metadata"][RESERVED] = json!("x"),
            "its metadata is",
        ),
        (
            |body| body["custom_metadata"] = Value::Null,
            "its metadata is",
        ),
        (
            |body| body["status"] = json!("done"),
            "has not Gladia's shape",
        ),
        (
            |body| body["event"] = json!("transcription.done"),
            "it says transcription.done",
        ),
        (
            |body| body["error"] = json!({ "code": 500, "message": "" }),
            "it says transcription.success",
        ),
    ];
    for (change, words) in changes {
        let mut run = Run::fine();
        run.change_call(change);
        run.assert_violates(words);
    }
    let mut run = Run::fine();
    run.call().body = Bytes::from_static(b"{");
    run.assert_violates("has not Gladia's shape");
}
