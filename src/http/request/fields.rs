//! The fields of a JSON object, taken one by one, and everything that is wrong with them told at once.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::{
    domain::options::{Violation, pointer_to},
    http::problem::Problem,
};

/// More wrong names than this help nobody, and a hostile body could have millions.
const MOST_WRONG_NAMES: usize = 50;

/// The fields that nobody has taken yet, and what was wrong with those that somebody has.
#[derive(Debug)]
pub struct Fields<V = Value> {
    rest: BTreeMap<String, V>,
    violations: Vec<Violation>,
}

impl Fields {
    /// The fields of a body, where null says no more than leaving a field out.
    #[must_use]
    pub fn without_nulls(mut body: Map<String, Value>) -> Self {
        body.retain(|_, value| !value.is_null());
        Self::of(body)
    }
}

impl<V> Fields<V> {
    /// The fields of a body.
    pub fn of(body: impl IntoIterator<Item = (String, V)>) -> Self {
        Self {
            rest: body.into_iter().collect(),
            violations: Vec::new(),
        }
    }

    /// Takes a field, if it is there and keeps its rules.
    pub fn take<T>(
        &mut self,
        name: &str,
        parse: impl FnOnce(V) -> Result<T, Vec<Violation>>,
    ) -> Option<T> {
        let parsed = parse(self.rest.remove(name)?);
        parsed
            .map_err(|violations| {
                self.violations
                    .extend(violations.into_iter().map(|violation| Violation {
                        pointer: format!("/{name}{}", violation.pointer),
                        ..violation
                    }));
            })
            .ok()
    }

    /// Ends the reading where a field that must be there is not, unless something else is wrong with it.
    #[must_use]
    pub fn lacks(mut self, name: &str, rule: &str, known: &str) -> Problem {
        let pointer = format!("/{name}");
        if !self.violations.iter().any(|one| one.pointer == pointer) {
            self.violations.push(Violation::new(pointer, rule));
        }
        Problem::violations("", self.into_violations(known))
    }

    /// Ends the reading. `known` are the names that there are, for people.
    ///
    /// # Errors
    /// Where a field broke a rule, or has a name that means nothing here.
    pub fn finish(self, known: &str) -> Result<(), Problem> {
        let violations = self.into_violations(known);
        if violations.is_empty() {
            Ok(())
        } else {
            Err(Problem::violations("", violations))
        }
    }

    fn into_violations(self, known: &str) -> Vec<Violation> {
        let wrong = self.rest.into_keys().take(MOST_WRONG_NAMES).map(|name| {
            let name: String = name.chars().take(100).collect();
            Violation::new(
                pointer_to(&[&name]),
                format!("is not known here: use {known}"),
            )
        });
        let mut violations = self.violations;
        violations.extend(wrong);
        violations
    }
}

/// One broken rule of a field itself.
#[must_use]
pub fn broken(rule: impl Into<String>) -> Vec<Violation> {
    vec![Violation::new("", rule)]
}
