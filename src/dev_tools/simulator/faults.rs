//! Faults on demand: what goes wrong, with which operation, how often.

mod written;

use std::collections::BTreeMap;

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use serde::{Deserialize, Serialize};

use self::written::Fields;

/// What a request is about, or that a callback is being sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Operation {
    Create,
    Upload,
    Get,
    Delete,
    File,
    List,
    Callback,
    /// Every request, but no callback.
    Any,
}

/// Something that goes wrong until it has happened `times` times, or until it is switched off.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(try_from = "Fields")]
pub(super) struct Fault {
    operation: Operation,
    #[serde(flatten)]
    effect: Effect,
    /// How often it still happens; without it, until it is removed.
    #[serde(skip_serializing_if = "Option::is_none")]
    times: Option<u32>,
    /// The share of what it concerns that it happens to; without it, to all.
    #[serde(skip_serializing_if = "Option::is_none")]
    probability: Option<f64>,
    /// A text that the URL or the body must contain.
    #[serde(rename = "match", skip_serializing_if = "Option::is_none")]
    pattern: Option<String>,
}

/// What goes wrong.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(super) enum Effect {
    /// Refused with this status.
    Status(Answer),
    /// Accepted, and then answered with this status.
    StatusAfter(Answer),
    /// Held back for a while.
    Delay { milliseconds: u64 },
    /// The connection breaks before anything is accepted.
    DropBefore,
    /// The connection breaks after the request has taken effect.
    DropAfter,
    /// A callback is never sent.
    Lose,
    /// A callback is sent twice.
    Duplicate,
    /// Half of a callback is sent as if it were all.
    Truncate,
    /// The connection breaks in the middle of a callback.
    Break,
    /// Jobs that were accepted less than this ago are not listed; one that ended less than this ago is still at work where it is
    /// asked for by its id.
    Lag { milliseconds: u64 },
    /// Jobs whose audio URL or metadata contain the text are not listed; without a text, none is.
    Omit {
        #[serde(skip_serializing_if = "Option::is_none")]
        job: Option<String>,
    },
    /// The same, but the page keeps the place of what is left out, and so is short or empty though another one follows.
    ShortPage {
        #[serde(skip_serializing_if = "Option::is_none")]
        job: Option<String>,
    },
    /// The filter by metadata changes nothing where it is written this way; without a way, in both.
    IgnoreMetadata {
        #[serde(skip_serializing_if = "Option::is_none")]
        encoding: Option<Encoding>,
    },
}

impl Effect {
    /// Whether others of its kind may come with it: those that only slow down or hide something.
    fn goes_with_others(&self) -> bool {
        matches!(
            self,
            Self::Delay { .. }
                | Self::Lag { .. }
                | Self::Omit { .. }
                | Self::ShortPage { .. }
                | Self::IgnoreMetadata { .. }
        )
    }
}

/// How a filter by metadata is written in a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Encoding {
    /// `custom_metadata={"key":"value"}`
    Json,
    /// `custom_metadata[key]=value`
    Brackets,
}

/// An answer that is given instead of the real one.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Answer {
    pub(super) status: u16,
    /// Sent as it is; without it, Gladia's error envelope.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) body: Option<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) headers: BTreeMap<String, String>,
}

/// The faults that are switched on, and the dice for those that happen now and then.
#[derive(Debug)]
pub(super) struct Faults {
    list: Vec<Fault>,
    dice: StdRng,
}

impl Faults {
    /// None. The same seed throws the same dice, in the order in which faults are taken.
    pub(super) fn none(seed: u64) -> Self {
        Self {
            list: Vec::new(),
            dice: StdRng::seed_from_u64(seed),
        }
    }

    /// Puts these in the place of all others.
    pub(super) fn replace(&mut self, faults: Vec<Fault>) {
        self.list = faults;
    }

    /// Those that still have something to do.
    pub(super) fn list(&self) -> &[Fault] {
        &self.list
    }

    /// Takes what now goes wrong with an operation: every delay and everything that is hidden, and the first of anything
    /// else.
    pub(super) fn take(&mut self, operation: Operation, texts: &[&str]) -> Vec<Effect> {
        let mut taken = Vec::new();
        let mut settled = false;
        for fault in &mut self.list {
            let decides = !fault.effect.goes_with_others();
            if (settled && decides) || !fault.concerns(operation, texts) {
                continue;
            }
            if let Some(share) = fault.probability
                && !self.dice.random_bool(share)
            {
                continue;
            }
            if let Some(times) = &mut fault.times {
                *times = times.saturating_sub(1);
            }
            settled |= decides;
            taken.push(fault.effect.clone());
        }
        self.list.retain(|fault| fault.times != Some(0));
        taken
    }
}

impl Fault {
    fn concerns(&self, operation: Operation, texts: &[&str]) -> bool {
        let same = self.operation == operation
            || (self.operation == Operation::Any && operation != Operation::Callback);
        same && self
            .pattern
            .as_ref()
            .is_none_or(|pattern| texts.iter().any(|text| text.contains(pattern)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(json: &str) -> Faults {
        let mut faults = Faults::none(7);
        faults.replace(serde_json::from_str(json).unwrap());
        faults
    }

    #[test]
    fn a_fault_happens_as_often_as_it_says_and_is_gone() {
        let mut faults =
            faults(r#"[{"operation": "create", "kind": "status", "status": 503, "times": 2}]"#);
        assert_eq!(faults.take(Operation::Get, &[]).len(), 0);
        assert_eq!(faults.take(Operation::Create, &[]).len(), 1);
        assert_eq!(faults.take(Operation::Create, &[]).len(), 1);
        assert_eq!(faults.take(Operation::Create, &[]).len(), 0);
        assert!(faults.list().is_empty());
    }

    #[test]
    fn a_fault_with_a_pattern_waits_for_its_text() {
        let mut faults =
            faults(r#"[{"operation": "any", "kind": "drop_after", "match": "needle"}]"#);
        assert_eq!(faults.take(Operation::Create, &["/v2", "hay"]).len(), 0);
        assert_eq!(
            faults.take(Operation::Create, &["/v2", "a needle"]),
            [Effect::DropAfter]
        );
        assert_eq!(faults.take(Operation::Callback, &["needle"]).len(), 0);
    }

    #[test]
    fn a_share_of_the_requests_is_met_and_the_same_seed_meets_the_same() {
        let json = r#"[{"operation": "create", "kind": "drop_before", "probability": 0.25, "times": 100}]"#;
        let met = |seed| {
            let mut faults = Faults::none(seed);
            faults.replace(serde_json::from_str(json).unwrap());
            let mut meets = || !faults.take(Operation::Create, &[]).is_empty();
            (0..200).map(|_| meets()).collect::<Vec<bool>>()
        };
        let first = met(7);
        assert_eq!(first, met(7));
        assert_ne!(first, met(8));
        let count = first.iter().filter(|met| **met).count();
        assert!((30..=70).contains(&count), "{count}");
    }

    #[test]
    fn times_counts_only_what_happened() {
        let mut faults = faults(
            r#"[{"operation": "create", "kind": "drop_before", "probability": 0.1, "times": 3}]"#,
        );
        let mut met = 0;
        for _ in 0..1000 {
            met += faults.take(Operation::Create, &[]).len();
        }
        assert_eq!(met, 3);
        assert!(faults.list().is_empty());
    }

    #[test]
    fn what_lists_hide_adds_up_and_leaves_room_for_a_refusal() {
        let mut faults = faults(
            r#"[
                {"operation": "list", "kind": "omit", "job": "a"},
                {"operation": "list", "kind": "status", "status": 500},
                {"operation": "list", "kind": "omit", "job": "b"},
                {"operation": "list", "kind": "lag", "milliseconds": 5}
            ]"#,
        );
        assert_eq!(faults.take(Operation::List, &[]).len(), 4);
    }

    #[test]
    fn a_fault_that_cannot_happen_is_refused() {
        for json in [
            r#"{"operation": "create", "kind": "lose"}"#,
            r#"{"operation": "callback", "kind": "drop_after"}"#,
            r#"{"operation": "nap", "kind": "delay", "milliseconds": 1}"#,
            r#"{"operation": "create", "kind": "status"}"#,
            r#"{"operation": "create", "kind": "status", "status": 99}"#,
            r#"{"operation": "create", "kind": "drop_after", "tims": 1}"#,
            r#"{"operation": "create", "kind": "drop_after", "times": 0}"#,
            r#"{"operation": "create", "kind": "drop_after", "probability": 0}"#,
            r#"{"operation": "create", "kind": "drop_after", "probability": 1.1}"#,
            r#"{"operation": "create", "kind": "lag", "milliseconds": 1}"#,
            r#"{"operation": "any", "kind": "omit"}"#,
            r#"{"operation": "list", "kind": "lag"}"#,
            r#"{"operation": "list", "kind": "truncate"}"#,
            r#"{"operation": "callback", "kind": "omit"}"#,
            r#"{"operation": "get", "kind": "omit"}"#,
            r#"{"operation": "get", "kind": "short_page"}"#,
            r#"{"operation": "list", "kind": "ignore_metadata", "encoding": "yaml"}"#,
        ] {
            assert!(serde_json::from_str::<Fault>(json).is_err(), "{json}");
        }
    }

    #[test]
    fn a_field_of_another_kind_is_named_in_the_refusal() {
        for (json, field) in [
            (
                r#"{"operation": "list", "kind": "lag", "milliseconds": 1, "job": "a"}"#,
                "job",
            ),
            (
                r#"{"operation": "list", "kind": "omit", "encoding": "json"}"#,
                "encoding",
            ),
            (
                r#"{"operation": "create", "kind": "drop_after", "milliseconds": 1}"#,
                "milliseconds",
            ),
            (
                r#"{"operation": "callback", "kind": "truncate", "status": 500}"#,
                "status",
            ),
        ] {
            let error = serde_json::from_str::<Fault>(json).unwrap_err().to_string();
            assert!(error.contains(&format!("takes no {field}")), "{error}");
        }
    }
}
