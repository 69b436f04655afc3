//! The statements of the program.

use std::fs;

use serde_json::Value;

/// The statements with which `chaos` counts what is left once nothing is under way any more. The service has none of them.
const OF_CHAOS: &str = include_str!("../../src/db/invariants.rs");

pub struct Statement {
    pub text: String,
    pub parameters: usize,
}

impl Statement {
    pub fn new(text: &str, parameters: usize) -> Self {
        Self {
            text: text.to_owned(),
            parameters,
        }
    }

    fn is_of_chaos(&self) -> bool {
        OF_CHAOS.contains(&self.text)
    }

    fn reads_tables(&self) -> bool {
        let words = self.text.to_lowercase();
        let mut words = words.split_whitespace();
        words.any(|word| ["from", "into", "update"].contains(&word))
    }
}

/// All of the service that were checked against the tables when the program was compiled.
pub fn all() -> Vec<Statement> {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/.sqlx");
    let files = fs::read_dir(directory).unwrap();
    let statements = files.map(|file| {
        let checked: Value =
            serde_json::from_slice(&fs::read(file.unwrap().path()).unwrap()).unwrap();
        let parameters = checked["describe"]["parameters"]["Left"].as_array();
        Statement::new(
            checked["query"].as_str().unwrap(),
            parameters.map_or(0, Vec::len),
        )
    });
    let all: Vec<Statement> = statements
        .filter(|one| one.reads_tables() && !one.is_of_chaos())
        .collect();
    assert!(all.len() > 100);
    all
}
