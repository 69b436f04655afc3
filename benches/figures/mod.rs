//! One file a figure.

mod accept;
mod callback;
mod dispatch;
mod footprint;
mod news;
mod overload;
mod read;
mod replicas;
mod told;
mod upload;
mod waiting;
mod whole;

use crate::kit::{Scale, table::Row};

/// The names by which figures are run alone, in the order in which all are.
pub const NAMES: [&str; 12] = [
    "accept",
    "callback",
    "read",
    "dispatch",
    "upload",
    "whole",
    "told",
    "news",
    "waiting",
    "footprint",
    "overload",
    "replicas",
];

/// Measures one.
pub async fn measure(name: &str, scale: Scale) -> anyhow::Result<Vec<Row>> {
    match name {
        "accept" => accept::measure(scale).await,
        "callback" => callback::measure(scale).await,
        "read" => read::measure(scale).await,
        "dispatch" => dispatch::measure(scale).await,
        "upload" => upload::measure(scale).await,
        "whole" => whole::measure(scale).await,
        "told" => told::measure(scale).await,
        "news" => news::measure(scale).await,
        "waiting" => waiting::measure(scale).await,
        "footprint" => footprint::measure(scale).await,
        "overload" => overload::measure(scale).await,
        "replicas" => replicas::measure(scale).await,
        _ => unreachable!("names are checked when they are read"),
    }
}
