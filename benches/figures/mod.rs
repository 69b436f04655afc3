//! One file a figure.

mod footprint;
mod news;
mod overload;
mod waiting;

use crate::kit::{Scale, table::Row};

/// The names by which figures are run alone, in the order in which all are.
pub const NAMES: [&str; 4] = ["news", "waiting", "footprint", "overload"];

/// Measures one.
pub async fn measure(name: &str, scale: Scale) -> anyhow::Result<Vec<Row>> {
    match name {
        "news" => news::measure(scale).await,
        "waiting" => waiting::measure(scale).await,
        "footprint" => footprint::measure(scale).await,
        "overload" => overload::measure(scale).await,
        _ => unreachable!("names are checked when they are read"),
    }
}
