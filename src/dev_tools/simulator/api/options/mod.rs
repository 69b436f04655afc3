//! A create's options: checked as class-validator would, and echoed with their defaults.

mod echo;

pub(super) use self::echo::echo;
pub(super) use crate::domain::gladia_rules::{MODELS, check};
