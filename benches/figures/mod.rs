//! One file a figure.

mod callback;
mod news;
mod upload;

use crate::kit::{Scale, table::Row};

/// The names by which figures are run alone, in the order in which all are.
pub const NAMES: [&str; 3] = ["callback", "upload", "news"];

/// Measures one.
pub async fn measure(name: &str, scale: Scale) -> anyhow::Result<Vec<Row>> {
    match name {
        "callback" => callback::measure(scale).await,
        "upload" => upload::measure(scale).await,
        "news" => news::measure(scale).await,
        _ => unreachable!("names are checked when they are read"),
    }
}
