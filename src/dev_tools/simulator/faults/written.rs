//! A fault as it is written, and what is wrong with it.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{Answer, Effect, Encoding, Fault, Operation};

/// All kinds in one flat object, so that a misspelt field is noticed.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Fields {
    operation: Operation,
    kind: String,
    status: Option<u16>,
    body: Option<String>,
    headers: Option<BTreeMap<String, String>>,
    milliseconds: Option<u64>,
    job: Option<String>,
    encoding: Option<Encoding>,
    times: Option<u32>,
    probability: Option<f64>,
    #[serde(rename = "match")]
    pattern: Option<String>,
}

impl TryFrom<Fields> for Fault {
    type Error = String;

    fn try_from(fields: Fields) -> Result<Self, String> {
        fields.check_kind()?;
        fields.check_fields()?;
        Ok(Self {
            effect: fields.effect()?,
            operation: fields.operation,
            times: fields.times,
            probability: fields.probability,
            pattern: fields.pattern,
        })
    }
}

impl Fields {
    /// Whether there is such a kind, for this operation.
    fn check_kind(&self) -> Result<(), String> {
        let kind = &self.kind;
        let callback = self.operation == Operation::Callback;
        let (fits, only) = match kind.as_str() {
            "status" | "status_after" | "drop_before" | "drop_after" => (!callback, "requests"),
            "lose" | "duplicate" | "truncate" | "break" => (callback, "callbacks"),
            "omit" | "short_page" | "ignore_metadata" => {
                (self.operation == Operation::List, "lists")
            }
            "lag" => (
                matches!(self.operation, Operation::List | Operation::Get),
                "lists and gets",
            ),
            "delay" => return Ok(()),
            _ => {
                return Err(format!(
                    "there is no fault of kind {kind}: it is status, status_after, drop_before, drop_after or delay, for \
                     callbacks lose, duplicate, truncate, break or delay, for lists also lag, omit, short_page or ignore_metadata, \
                     and for gets also lag"
                ));
            }
        };
        if fits {
            Ok(())
        } else {
            Err(format!("a fault of kind {kind} is for {only} only"))
        }
    }

    /// Whether every field means something for the kind, and can be.
    fn check_fields(&self) -> Result<(), String> {
        let kind = self.kind.as_str();
        let answers = matches!(kind, "status" | "status_after");
        for (name, given, meant) in [
            ("status", self.status.is_some(), answers),
            ("body", self.body.is_some(), answers),
            ("headers", self.headers.is_some(), answers),
            (
                "milliseconds",
                self.milliseconds.is_some(),
                matches!(kind, "delay" | "lag"),
            ),
            (
                "job",
                self.job.is_some(),
                matches!(kind, "omit" | "short_page"),
            ),
            (
                "encoding",
                self.encoding.is_some(),
                kind == "ignore_metadata",
            ),
        ] {
            if given && !meant {
                return Err(format!("a fault of kind {kind} takes no {name}"));
            }
        }
        if self.times == Some(0) {
            return Err("times must be at least 1".to_owned());
        }
        if self
            .probability
            .is_some_and(|share| !(share > 0.0 && share <= 1.0))
        {
            return Err("probability must be above 0 and at most 1".to_owned());
        }
        Ok(())
    }

    fn effect(&self) -> Result<Effect, String> {
        Ok(match self.kind.as_str() {
            "status" => Effect::Status(self.answer()?),
            "status_after" => Effect::StatusAfter(self.answer()?),
            "drop_before" => Effect::DropBefore,
            "drop_after" => Effect::DropAfter,
            "lose" => Effect::Lose,
            "duplicate" => Effect::Duplicate,
            "truncate" => Effect::Truncate,
            "break" => Effect::Break,
            "lag" => Effect::Lag {
                milliseconds: self.milliseconds()?,
            },
            "omit" => Effect::Omit {
                job: self.job.clone(),
            },
            "short_page" => Effect::ShortPage {
                job: self.job.clone(),
            },
            "ignore_metadata" => Effect::IgnoreMetadata {
                encoding: self.encoding,
            },
            _ => Effect::Delay {
                milliseconds: self.milliseconds()?,
            },
        })
    }

    fn answer(&self) -> Result<Answer, String> {
        let status = self
            .status
            .filter(|status| (200..=599).contains(status))
            .ok_or_else(|| {
                format!(
                    "a fault of kind {} needs a status from 200 to 599",
                    self.kind
                )
            })?;
        Ok(Answer {
            status,
            body: self.body.clone(),
            headers: self.headers.clone().unwrap_or_default(),
        })
    }

    fn milliseconds(&self) -> Result<u64, String> {
        self.milliseconds
            .ok_or_else(|| format!("a fault of kind {} needs milliseconds", self.kind))
    }
}
