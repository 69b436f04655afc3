//! What the gateway costs, each figure held against a floor: the least program that could serve the same (`floors/`).
//!
//! Gateway and floor run as processes of their own on one Postgres with fsync, in blocks by turns: A B A B. Machines are
//! noisy, so only the ratios of one run mean anything: a pair is a block of one and a block of the other, and what is
//! printed is the median of the pairs' ratios with the least and the greatest. CPU per operation is what the kernel counted
//! for a process in its blocks.
//!
//! `figures/` has a file a figure, `floors/` the programs that they are held against, `kit/` what they share.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark prints, and what it cannot unwrap ends it"
)]

mod figures;
mod floors;
mod kit;

use clap::Parser;

use self::kit::{Scale, machine, table};

/// Measures what the gateway costs.
#[derive(Parser)]
struct Arguments {
    /// Which figures. Without one, all.
    #[arg(value_parser = figures::NAMES)]
    figures: Vec<String>,
    /// A few minutes for everything, and less certain.
    #[arg(long)]
    quick: bool,
    /// What cargo adds.
    #[arg(long, hide = true)]
    bench: bool,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    if let Ok(name) = std::env::var(floors::NAME) {
        return floors::serve(&name).await;
    }
    let arguments = Arguments::parse();
    let scale = Scale {
        is_quick: arguments.quick,
    };
    let mut names: Vec<&str> = arguments.figures.iter().map(String::as_str).collect();
    if names.is_empty() {
        names = figures::NAMES.to_vec();
    }
    println!("{}", machine::describe()?);
    let mut all = Vec::new();
    for name in names {
        eprintln!("==> {name}");
        let rows = figures::measure(name, scale).await?;
        for row in &rows {
            eprintln!("{row}");
        }
        all.extend(rows);
    }
    println!("\n{}", table::print(&all));
    Ok(())
}
