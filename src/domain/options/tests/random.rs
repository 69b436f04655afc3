//! Whatever the body is, it is answered, and as a JSON Schema library would judge it by the same schema.

use serde_json::{Map, Value, json};

use super::{everything, object};
use crate::domain::options::check::Checker;
use crate::domain::options::{
    CheckedOptions, OptionsPolicy, TranscriptionOptions, Warning, WarningCode, schema,
};

/// A small generator (splitmix64): a failing case is found again by its seed.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, count: usize) -> usize {
        usize::try_from(self.next() % count as u64).unwrap()
    }

    fn pick<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        choices[self.below(choices.len())]
    }

    /// A name: one of Gladia's, or close to one, or anything.
    fn name(&mut self) -> String {
        let known = [
            schema::known_names(),
            &[
                "value",
                "vocabulary",
                "languages",
                "type",
                "formats",
                "min_speakers",
                "prompts",
            ],
        ]
        .concat();
        match self.below(4) {
            0 => self
                .pick(&[
                    "",
                    "/",
                    "~",
                    "callback",
                    "language",
                    "sample_rate",
                    "é\u{0}",
                ])
                .to_owned(),
            1 => self.pick(&known)[1..].to_owned(),
            _ => self.pick(&known).to_owned(),
        }
    }

    fn json(&mut self, levels: usize) -> Value {
        match self.below(if levels == 0 { 9 } else { 13 }) {
            0 => Value::Null,
            1 => json!(true),
            2 => json!(false),
            3 => json!(self.below(7)),
            4 => json!(-1),
            5 => json!(f64::from(u8::try_from(self.below(60)).unwrap()) / 2.0),
            6 => json!(1e300),
            7 | 8 => {
                json!(self.pick(&[
                    "",
                    "en",
                    "wo",
                    "srt",
                    "general",
                    "GDPR",
                    "MASK",
                    "solaria-3",
                    "é"
                ]))
            }
            9 | 10 => (0..self.below(4)).map(|_| self.json(levels - 1)).collect(),
            _ => Value::Object(self.fields(levels - 1)),
        }
    }

    fn fields(&mut self, levels: usize) -> Map<String, Value> {
        (0..self.below(5))
            .map(|_| (self.name(), self.json(levels)))
            .collect()
    }

    /// A valid body in which a few values at random places are others.
    fn mutated(&mut self) -> Map<String, Value> {
        let mut body = everything();
        for _ in 0..self.below(4) {
            let mut place = &mut body;
            for _ in 0..=self.below(4) {
                let length = match &*place {
                    Value::Array(items) => items.len(),
                    Value::Object(fields) => fields.len(),
                    _ => 0,
                };
                if length == 0 {
                    break;
                }
                let index = self.below(length);
                place = match place {
                    Value::Array(items) => &mut items[index],
                    Value::Object(fields) => fields.values_mut().nth(index).unwrap(),
                    _ => unreachable!("only these have a length"),
                };
            }
            *place = self.json(3);
            if !body.is_object() {
                body = json!({});
            }
        }
        object(body)
    }
}

/// The flags that warnings say are switched on.
fn switched_on(warnings: &[Warning]) -> Vec<String> {
    let told = |warning: &&Warning| warning.code == WarningCode::SwitchedOn;
    let flag = |warning: &Warning| {
        let config = warning.pointer.strip_prefix('/').unwrap();
        config.strip_suffix("_config").unwrap().to_owned()
    };
    warnings.iter().filter(told).map(flag).collect()
}

/// What a body asks for: itself without nulls, and with the flags that were switched on.
fn asked_for(body: &Value, switched_on: &[String]) -> Value {
    let mut asked = plain(body);
    for flag in switched_on {
        let before = asked[flag].take();
        assert!(before.is_null(), "{flag} was given as {before}");
        asked[flag] = json!(true);
    }
    asked
}

/// The body with its numbers written in one way, and without nulls, which mean nothing outside of the metadata.
fn plain(body: &Value) -> Value {
    match body {
        Value::Number(number) => json!(number.as_f64()),
        Value::Array(items) => items.iter().map(plain).collect(),
        Value::Object(fields) => {
            let given = fields.iter().filter(|(_, value)| !value.is_null());
            let given = given.map(|(name, value)| match name.as_str() {
                "custom_metadata" => (name.clone(), value.clone()),
                _ => (name.clone(), plain(value)),
            });
            Value::Object(given.collect())
        }
        other => other.clone(),
    }
}

#[test]
fn any_body_is_answered_and_as_the_published_schema_says() {
    let mut published = schema::document();
    // The gateway adds its own fields, so the schema itself leaves the top open.
    published["additionalProperties"] = json!(false);
    let judge = jsonschema::validator_for(&published).unwrap();

    let (mut accepted, mut refused) = (0, 0);
    for seed in 0..4000 {
        let mut random = Random(seed);
        let body = if seed % 2 == 0 {
            random.fields(4)
        } else {
            random.mutated()
        };
        let value = Value::Object(body.clone());

        let mut checker = Checker::new(&[]);
        checker.options(&body);
        let by_schema = checker.finish().err().unwrap_or_default();
        // An integer's format is not part of a JSON schema's judgement.
        if !by_schema
            .iter()
            .any(|violation| violation.rule.contains("2147483647"))
        {
            assert_eq!(
                by_schema.is_empty(),
                judge.is_valid(&value),
                "seed {seed}: {value} {by_schema:?}"
            );
        }
        for violation in &by_schema {
            assert!(violation.pointer.is_empty() || violation.pointer.starts_with('/'));
        }

        let policy = OptionsPolicy {
            accepts_code_switching_without_languages: seed % 3 == 0,
        };
        match TranscriptionOptions::parse(body, &["audio_url"], policy) {
            Ok(CheckedOptions { options, warnings }) => {
                accepted += 1;
                let sent = options.to_upstream();
                let switched_on = switched_on(&warnings);
                assert_eq!(
                    asked_for(&value, &switched_on),
                    plain(&Value::Object(sent.clone())),
                    "seed {seed}"
                );
                let again = TranscriptionOptions::parse(sent, &[], policy).unwrap();
                assert_eq!(again.options, options, "seed {seed}");
                // The second time, nothing is left to switch on; all else is told again, and beside it that what was
                // switched on is discontinued.
                let is_told_again = |warning: &Warning| {
                    warning.code != WarningCode::Discontinued
                        || !switched_on.contains(&warning.pointer[1..].to_owned())
                };
                let rest: Vec<Warning> = warnings
                    .into_iter()
                    .filter(|warning| warning.code != WarningCode::SwitchedOn)
                    .collect();
                let again: Vec<Warning> =
                    again.warnings.into_iter().filter(is_told_again).collect();
                assert_eq!(again, rest, "seed {seed}");
            }
            Err(violations) => {
                refused += 1;
                assert!(
                    violations
                        .iter()
                        .all(|violation| !violation.rule.contains("cannot be read"))
                );
            }
        }
    }
    assert!(
        accepted > 500 && refused > 500,
        "accepted {accepted}, refused {refused}"
    );
}
