//! The parameters of a query, taken one by one, and everything that is wrong with them told at once.

use url::form_urlencoded;

use crate::http::problem::Problem;

/// How many parameters are named at most when they break rules. More help nobody, and the longest query has room for tens of
/// thousands.
const MOST_ERRORS: usize = 50;

/// How much is told of a name, in characters.
const MOST_OF_NAME: usize = 100;

/// How often a parameter may be given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// Once.
    Once,
    /// Again and again.
    Repeatable,
}

/// The parameters that break rules: name and rule.
#[derive(Debug, Default)]
pub struct Broken(Vec<(String, String)>);

/// Reads a query. `take` is given the name and the value of each parameter; its error is the rule that is broken.
pub fn read(
    query: Option<&str>,
    mut take: impl FnMut(&str, &str) -> Result<Taken, String>,
) -> Broken {
    let mut seen: Vec<String> = Vec::new();
    let mut broken = Broken::default();
    for (name, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
        if broken.0.len() >= MOST_ERRORS {
            break;
        }
        match take(&name, &value) {
            Ok(Taken::Repeatable) => {}
            Ok(Taken::Once) if seen.iter().any(|known| *known == name) => {
                broken.add_once(&name, "must be given once");
            }
            Ok(Taken::Once) => seen.push(name.into_owned()),
            Err(rule) => {
                broken.add(&name, rule);
                seen.push(name.into_owned());
            }
        }
    }
    broken
}

/// The rule that a parameter breaks which there is not. `known` are the names that there are, for people.
#[must_use]
pub fn unknown(known: &str) -> String {
    format!("is not known here: use {known}")
}

impl Broken {
    /// One more.
    pub fn add(&mut self, name: &str, rule: impl Into<String>) {
        let name = name.chars().take(MOST_OF_NAME).collect();
        self.0.push((name, rule.into()));
    }

    /// One more, if it does not stand there yet.
    fn add_once(&mut self, name: &str, rule: &str) {
        if !self
            .0
            .iter()
            .any(|known| known.0 == name && known.1 == rule)
        {
            self.add(name, rule);
        }
    }

    /// Whether a parameter is one of them.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(broken, _)| broken == name)
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What was read, where nothing is broken.
    ///
    /// # Errors
    /// With every parameter that breaks a rule.
    pub fn or<T>(self, read: T) -> Result<T, Problem> {
        if self.is_empty() {
            Ok(read)
        } else {
            Err(self.into_problem())
        }
    }

    /// The problem of a query that breaks rules: all of them.
    #[must_use]
    pub fn into_problem(self) -> Problem {
        Problem::parameters(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn broken_in(query: &str) -> Vec<(String, String)> {
        let take = |name: &str, value: &str| match (name, value) {
            ("once", "good") => Ok(Taken::Once),
            ("often", "good") => Ok(Taken::Repeatable),
            ("once" | "often", _) => Err("must be good".to_owned()),
            _ => Err(unknown("once and often")),
        };
        read(Some(query), take).0
    }

    #[test]
    fn everything_that_is_wrong_is_told() {
        let told = broken_in("often=good&once=bad&often=bad&once=good&%61=1&once=good&often=good");
        let rules: Vec<_> = told
            .iter()
            .map(|(name, rule)| format!("{name} {rule}"))
            .collect();
        assert_eq!(
            rules,
            [
                "once must be good",
                "often must be good",
                "once must be given once",
                "a is not known here: use once and often"
            ]
        );
    }

    #[test]
    fn of_very_many_errors_some_are_told_and_of_a_long_name_its_beginning() {
        let names: Vec<String> = (0..10_000)
            .map(|nth| format!("{nth}{:0>200}", ""))
            .collect();
        let told = broken_in(&names.join("&"));
        assert_eq!(told.len(), 50);
        assert!(told.iter().all(|(name, _)| name.len() == 100));
    }
}
