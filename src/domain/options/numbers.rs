//! Whole numbers, however JSON writes them.
//!
//! JSON has one kind of number, so `3.0` is as whole as `3` to a JSON schema; serde's integers refuse it. Numbers that
//! need not be whole are kept as [`serde_json::Number`], so that a caller's `1` goes out as `1` and not as `1.0`.

use serde::de::Error;
use serde::{Deserialize, Deserializer};
use serde_json::Number;

/// The whole number that `number` is, if it is one and is small enough for a count.
#[must_use]
pub fn as_whole(number: &Number) -> Option<u32> {
    if let Some(count) = number.as_u64() {
        return u32::try_from(count).ok();
    }
    let float = number.as_f64()?;
    if float.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(&float) {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "whole and within the range, as just checked"
        )]
        return Some(float as u32);
    }
    None
}

/// Reads an optional whole number.
pub(super) fn whole<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u32>, D::Error> {
    let number = Option::<Number>::deserialize(deserializer)?;
    number
        .map(|number| {
            as_whole(&number).ok_or_else(|| Error::custom(format!("{number} is not a count")))
        })
        .transpose()
}
