//! `/v2/upload`: files for use in jobs.

pub(super) mod create;
