//! The commands of the binary, one file each.

#[cfg(feature = "dev-tools")]
pub mod simulate;
