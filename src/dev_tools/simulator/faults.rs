//! Faults on demand: what goes wrong, with which operation, how often.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

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
    /// A text that the URL or the body must contain.
    #[serde(rename = "match", skip_serializing_if = "Option::is_none")]
    pattern: Option<String>,
}

/// A fault as it is written: all kinds in one flat object, so that a misspelt field is noticed.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields {
    operation: Operation,
    kind: String,
    status: Option<u16>,
    body: Option<String>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    milliseconds: Option<u64>,
    times: Option<u32>,
    #[serde(rename = "match")]
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

/// The faults that are switched on.
#[derive(Debug, Default)]
pub(super) struct Faults(Vec<Fault>);

impl Faults {
    /// Puts these in the place of all others.
    pub(super) fn replace(&mut self, faults: Vec<Fault>) {
        self.0 = faults;
    }

    /// Those that still have something to do.
    pub(super) fn list(&self) -> &[Fault] {
        &self.0
    }

    /// Takes what now goes wrong with an operation: every delay, and the first of anything else.
    pub(super) fn take(&mut self, operation: Operation, texts: &[&str]) -> Vec<Effect> {
        let mut taken = Vec::new();
        let mut decided = false;
        for fault in &mut self.0 {
            let delays = matches!(fault.effect, Effect::Delay { .. });
            if (decided && !delays) || !fault.concerns(operation, texts) {
                continue;
            }
            if let Some(times) = &mut fault.times {
                *times = times.saturating_sub(1);
            }
            decided |= !delays;
            taken.push(fault.effect.clone());
        }
        self.0.retain(|fault| fault.times != Some(0));
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

impl TryFrom<Fields> for Fault {
    type Error = String;

    fn try_from(fields: Fields) -> Result<Self, String> {
        let callback = fields.operation == Operation::Callback;
        let kind = fields.kind;
        let fits = match kind.as_str() {
            "status" | "status_after" | "drop_before" | "drop_after" => !callback,
            "lose" | "duplicate" => callback,
            "delay" => true,
            _ => {
                return Err(format!(
                    "there is no fault of kind {kind}: it is status, status_after, drop_before, drop_after or delay, \
                     and for callbacks lose, duplicate or delay"
                ));
            }
        };
        if !fits {
            let only = if callback { "requests" } else { "callbacks" };
            return Err(format!("a fault of kind {kind} is for {only} only"));
        }
        if fields.times == Some(0) {
            return Err("times must be at least 1".to_owned());
        }
        let answer = || {
            let status = fields
                .status
                .filter(|status| (200..=599).contains(status))
                .ok_or_else(|| format!("a fault of kind {kind} needs a status from 200 to 599"))?;
            Ok::<_, String>(Answer {
                status,
                body: fields.body.clone(),
                headers: fields.headers.clone(),
            })
        };
        let effect = match kind.as_str() {
            "status" => Effect::Status(answer()?),
            "status_after" => Effect::StatusAfter(answer()?),
            "drop_before" => Effect::DropBefore,
            "drop_after" => Effect::DropAfter,
            "lose" => Effect::Lose,
            "duplicate" => Effect::Duplicate,
            _ => Effect::Delay {
                milliseconds: fields
                    .milliseconds
                    .ok_or("a fault of kind delay needs milliseconds")?,
            },
        };
        Ok(Self {
            operation: fields.operation,
            effect,
            times: fields.times,
            pattern: fields.pattern,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(json: &str) -> Faults {
        let mut faults = Faults::default();
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
    fn a_fault_that_cannot_happen_is_refused() {
        for json in [
            r#"{"operation": "create", "kind": "lose"}"#,
            r#"{"operation": "callback", "kind": "drop_after"}"#,
            r#"{"operation": "nap", "kind": "delay", "milliseconds": 1}"#,
            r#"{"operation": "create", "kind": "status"}"#,
            r#"{"operation": "create", "kind": "status", "status": 99}"#,
            r#"{"operation": "create", "kind": "drop_after", "tims": 1}"#,
            r#"{"operation": "create", "kind": "drop_after", "times": 0}"#,
        ] {
            assert!(serde_json::from_str::<Fault>(json).is_err(), "{json}");
        }
    }
}
