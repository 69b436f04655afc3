//! One file a figure.

mod news;

use crate::kit::{Scale, table::Row};

/// The names by which figures are run alone, in the order in which all are.
pub const NAMES: [&str; 1] = ["news"];

/// Measures one.
pub async fn measure(name: &str, scale: Scale) -> anyhow::Result<Vec<Row>> {
    match name {
        "news" => news::measure(scale).await,
        _ => unreachable!("names are checked when they are read"),
    }
}
