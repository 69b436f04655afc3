//! A create's options: checked as class-validator would, and echoed with their defaults.

mod check;
mod echo;
mod values;

pub(super) use self::{check::check, echo::echo, values::MODELS};
