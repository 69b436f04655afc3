//! Checks a request's options against their generated schema, and finds everything that is wrong. What other files find
//! beyond the schema is collected here too.
//!
//! A JSON Schema library would report `oneOf` failures and `additionalProperties` in the schema's terms; callers need
//! theirs: what was found, the nearest known name, what to do. The schemas use a dozen keywords, and a test makes sure
//! that they use no other than those that are read here.

use serde_json::{Map, Number, Value};

use super::violation::{Violation, pointer_to, push_step, shortened};
use super::warning::{Warning, WarningCode};
use super::{found, schema, unknown};

/// More violations than this help nobody, and a hostile body could have millions.
pub const MOST_VIOLATIONS: usize = 50;

/// Collects violations and warnings while walking a request.
pub(super) struct Checker<'a> {
    also_known: &'a [&'a str],
    pointer: String,
    violations: Vec<Violation>,
    warnings: Vec<Warning>,
}

impl<'a> Checker<'a> {
    pub(super) fn new(also_known: &'a [&'a str]) -> Self {
        Self {
            also_known,
            pointer: String::new(),
            violations: Vec::new(),
            warnings: Vec::new(),
        }
    }

    /// The warnings, if nothing is wrong.
    pub(super) fn finish(self) -> Result<Vec<Warning>, Vec<Violation>> {
        if self.violations.is_empty() {
            Ok(self.warnings)
        } else {
            Err(self.violations)
        }
    }

    /// Checks the options themselves.
    pub(super) fn options(&mut self, body: &Map<String, Value>) {
        self.object(schema::options(), body);
    }

    /// Records a violation at the steps given, from the top of the body.
    pub(super) fn report_at(&mut self, steps: &[&str], rule: String) {
        self.record(Violation::new(pointer_to(steps), rule));
    }

    /// The same, where only some values of a longer list may stand.
    pub(super) fn report_value_at(
        &mut self,
        steps: &[&str],
        rule: String,
        allowed: &[&'static str],
    ) {
        self.record(Violation {
            allowed: Some(allowed.to_vec()),
            ..Violation::new(pointer_to(steps), rule)
        });
    }

    /// Records a warning at the steps given, from the top of the body.
    pub(super) fn warn_at(
        &mut self,
        steps: &[&str],
        code: WarningCode,
        message: impl Into<String>,
    ) {
        self.warnings.push(Warning::at(steps, code, message));
    }

    /// Records a violation at the pointer.
    fn report(&mut self, rule: String) {
        self.report_value(rule, None);
    }

    /// Records a violation at the pointer, with the values that may stand there, if they are listed.
    fn report_value(&mut self, rule: String, allowed: Option<Vec<&'static str>>) {
        let pointer = shortened(self.pointer.clone());
        self.record(Violation {
            pointer,
            rule,
            allowed,
        });
    }

    fn record(&mut self, violation: Violation) {
        if !self.is_full() {
            self.violations.push(violation);
        }
    }

    fn is_full(&self) -> bool {
        self.violations.len() >= MOST_VIOLATIONS
    }

    /// Does `work` one step further down.
    fn at(&mut self, step: &str, work: impl FnOnce(&mut Self)) {
        let length = self.pointer.len();
        push_step(&mut self.pointer, step);
        work(self);
        self.pointer.truncate(length);
    }

    fn value(&mut self, declared: &'static Value, value: &Value) {
        let branches = schema::branches(declared);
        let Some(schema) = branches.iter().find(|branch| admits(branch, value)) else {
            let subject = self.subject();
            let expected = expected(&branches);
            let found = found::describe(value);
            let rule = format!("`{subject}` must be {expected}; found {found}.");
            let allowed = branches.iter().find_map(|branch| listed(branch));
            return self.report_value(rule, allowed);
        };
        match value {
            Value::Null | Value::Bool(_) => {}
            Value::Number(number) => self.number(schema, number),
            Value::String(text) => self.string(schema, text),
            Value::Array(items) => self.array(schema, items),
            Value::Object(fields) => self.object(schema, fields),
        }
    }

    fn number(&mut self, schema: &'static Value, found: &Number) {
        let Some(number) = found.as_f64() else {
            return;
        };
        let limit = |keyword| schema.get(keyword).and_then(Value::as_f64);
        let counts = schema.get("format").and_then(Value::as_str) == Some("int32");
        let bound = match (limit("minimum"), limit("maximum")) {
            (Some(least), Some(most)) if number < least || number > most => {
                format!("between {least} and {most}")
            }
            (Some(least), None) if number < least => format!("at least {least}"),
            (None, Some(most)) if number > most => format!("at most {most}"),
            (_, None) if counts && number > f64::from(i32::MAX) => format!("at most {}", i32::MAX),
            _ => return,
        };
        let subject = self.subject();
        self.report(format!("`{subject}` must be {bound}; found {found}."));
    }

    fn string(&mut self, schema: &'static Value, text: &str) {
        if let Some(allowed) = listed(schema).filter(|allowed| !allowed.contains(&text)) {
            let subject = self.subject();
            let found = found::describe(&Value::from(text));
            let rule = unknown::value(&subject, text, &found, &allowed);
            self.report_value(rule, Some(allowed));
        }
        if let Some(least) = schema.get("minLength").and_then(Value::as_u64)
            && (text.chars().count() as u64) < least
        {
            let subject = self.subject();
            self.report(format!(
                "`{subject}` must not be empty: give it a value or leave it out."
            ));
        }
    }

    fn array(&mut self, schema: &'static Value, items: &[Value]) {
        if let Some(least) = schema.get("minItems").and_then(Value::as_u64)
            && (items.len() as u64) < least
        {
            let subject = self.subject();
            let count = items.len();
            self.report(format!(
                "`{subject}` must have at least {least} item; found {count}."
            ));
        }
        let Some(declared) = schema.get("items") else {
            return;
        };
        for (index, item) in items.iter().enumerate() {
            if self.is_full() {
                return;
            }
            self.at(&index.to_string(), |checker| checker.value(declared, item));
        }
    }

    fn object(&mut self, schema: &'static Value, fields: &Map<String, Value>) {
        let required: Vec<&'static str> = strings(schema, "required").collect();
        for name in &required {
            if !fields.contains_key(*name) {
                let owner = self.subject();
                self.at(name, |checker| {
                    checker.report(format!("`{owner}` needs `{name}`: add it."));
                });
            }
        }
        let properties = schema::properties(schema);
        let others = schema.get("additionalProperties");
        // The options' own schema leaves the top open, for the gateway's fields; by now those are gone.
        let closed =
            others == Some(&Value::Bool(false)) || (others.is_none() && properties.is_some());
        for (name, value) in fields {
            if self.is_full() {
                return;
            }
            let declared = properties.and_then(|properties| properties.get(name.as_str()));
            match (declared, others) {
                // An optional field that is null is a field that was not given.
                (Some(_), _) if value.is_null() && !required.contains(&name.as_str()) => {}
                (Some(declared), _) => self.at(name, |checker| checker.value(declared, value)),
                (None, Some(declared)) if declared.is_object() => {
                    self.at(name, |checker| checker.value(declared, value));
                }
                _ if closed => self.unknown(name, schema),
                _ => {}
            }
        }
    }

    fn unknown(&mut self, name: &str, schema: &'static Value) {
        let rule = if self.pointer.is_empty() {
            unknown::option(name, self.also_known)
        } else {
            let known: Vec<&'static str> = schema::properties(schema)
                .map(|properties| properties.keys().map(String::as_str).collect())
                .unwrap_or_default();
            unknown::field(name, &self.subject(), &known)
        };
        self.at(name, |checker| checker.report(rule));
    }

    /// What messages call the value at the pointer: its name, or its array's name and its index.
    fn subject(&self) -> String {
        let mut steps = self.pointer.rsplit('/');
        let last = steps.next().unwrap_or_default();
        let step = |step: &str| found::name(&step.replace("~1", "/").replace("~0", "~"));
        match steps.next() {
            Some(array) if !array.is_empty() && last.bytes().all(|byte| byte.is_ascii_digit()) => {
                format!("{}[{last}]", step(array))
            }
            _ => step(last),
        }
    }
}

/// The JSON types that a schema admits; none means any.
fn types(schema: &'static Value) -> impl Iterator<Item = &'static str> {
    let alone = schema.get("type").and_then(Value::as_str);
    alone.into_iter().chain(strings(schema, "type"))
}

/// The strings of the array under `key`, if there is one.
fn strings(schema: &'static Value, key: &str) -> impl Iterator<Item = &'static str> {
    let array = schema.get(key).and_then(Value::as_array);
    array.into_iter().flatten().filter_map(Value::as_str)
}

/// The values that a schema lists, if it lists them.
fn listed(schema: &'static Value) -> Option<Vec<&'static str>> {
    schema.get("enum")?;
    Some(strings(schema, "enum").collect())
}

/// Whether `value` is of a type that `schema` admits. No two branches of a `oneOf` here share a type.
fn admits(schema: &'static Value, value: &Value) -> bool {
    let mut types = types(schema).peekable();
    types.peek().is_none()
        || types.any(|name| match value {
            Value::Null => name == "null",
            Value::Bool(_) => name == "boolean",
            Value::String(_) => name == "string",
            Value::Array(_) => name == "array",
            Value::Object(_) => name == "object",
            Value::Number(number) => match name {
                "number" => true,
                "integer" => number.as_f64().is_some_and(|float| float.fract() == 0.0),
                _ => false,
            },
        })
}

/// The types that a value may have, in words.
fn expected(branches: &[&'static Value]) -> String {
    let words: Vec<&str> = branches
        .iter()
        .flat_map(|branch| types(branch))
        .filter_map(|name| match name {
            "boolean" => Some("true or false"),
            "string" => Some("a string"),
            "array" => Some("an array"),
            "object" => Some("an object"),
            "number" => Some("a number"),
            "integer" => Some("a whole number"),
            _ => None,
        })
        .collect();
    words.join(", or ")
}
