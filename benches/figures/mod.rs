//! One file a figure.

mod accept;
mod news;
mod read;

use crate::kit::{Scale, table::Row};

/// The names by which figures are run alone, in the order in which all are.
pub const NAMES: [&str; 3] = ["accept", "read", "news"];

/// Measures one.
pub async fn measure(name: &str, scale: Scale) -> anyhow::Result<Vec<Row>> {
    match name {
        "accept" => accept::measure(scale).await,
        "read" => read::measure(scale).await,
        "news" => news::measure(scale).await,
        _ => unreachable!("names are checked when they are read"),
    }
}
