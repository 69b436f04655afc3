//! Options that Gladia marks as alpha.

use serde_json::{Map, Value};

use super::check::Checker;
use super::warning::WarningCode;

const ALPHA: &[&str] = &["punctuation_enhanced"];

/// Warns of each alpha option that is switched on.
pub(super) fn check(body: &Map<String, Value>, checker: &mut Checker) {
    for name in ALPHA {
        if body.get(*name) == Some(&Value::Bool(true)) {
            checker.warn_at(
                &[name],
                WarningCode::Alpha,
                format!("Gladia marks `{name}` as alpha: it may change or go. Do not rely on it."),
            );
        }
    }
}
