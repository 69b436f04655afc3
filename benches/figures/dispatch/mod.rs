//! How fast jobs are taken from a line and sent, by how long the line is and what lies in it.
//!
//! Each line has a database and a gateway of its own, with prepared rows as callers' requests would have left them. Gladia
//! answers at once, in this process. The cap is the size of a block: the gateway claims and sends so many jobs as fast as it
//! can and stops, since every slot is held; what callbacks would do is then done by one statement, and as many jobs join the
//! line. So what is measured is the claim, the create and its record, and no callback. Blocks of all lines take turns, and
//! each is held against the block of the line of a thousand in the same round.
//!
//! Autovacuum is off, so that what is dead stays: a line with dead rows has them in every block, and one with a snapshot
//! held open keeps all that its own blocks leave. Buffers are those of the gateway's own statement, by EXPLAIN, and held
//! against those of the same line after a vacuum; a few of them are shared by chance.

mod counter;
mod fill;
mod line;

use std::iter;

use futures_util::future::try_join_all;

use self::{
    fill::Burden,
    line::{Block, Line},
};
use crate::kit::{
    PAIRS, Scale, start_postgres,
    table::{Goal, Row},
};

/// The line that others are held against.
const SHORT: i32 = 1_000;

/// How many rows are dead where some are.
const DEAD: i32 = 200_000;

/// Measures it for one tenant, then for many.
pub async fn measure(scale: Scale) -> anyhow::Result<Vec<Row>> {
    let postgres = start_postgres().await?;
    let block = scale.of(800, 200);
    let lengths: &[(i32, &str)] = scale.of(
        &[(100_000, "100,000"), (2_000_000, "2 million")],
        &[(100_000, "100,000")],
    );
    let mut rows = Vec::new();
    for (tenants, of) in [(1, "1 tenant"), (1000, "1,000 tenants")] {
        // Of whom more waits after they are served, too.
        let short_jobs = SHORT.max(3 * tenants);
        let mut others: Vec<(i32, String, Burden)> = lengths
            .iter()
            .map(|(jobs, name)| (*jobs, (*name).to_owned(), Burden::Nothing))
            .collect();
        if tenants == 1 {
            let dead = Burden::DeadRows(DEAD);
            others.push((SHORT, "200,000 dead".to_owned(), dead));
            others.push((SHORT, "a snapshot open".to_owned(), Burden::Snapshot));
        }
        let names: Vec<String> = (0..=others.len())
            .map(|nth| format!("line_{tenants}_{nth}"))
            .collect();
        let burdens = iter::once((short_jobs, Burden::Nothing))
            .chain(others.iter().map(|(jobs, _, burden)| (*jobs, *burden)));
        let starting = burdens.zip(&names).map(|((jobs, burden), name)| {
            Line::start(&postgres, name, (jobs, tenants, block), burden)
        });
        let mut lines = try_join_all(starting).await?;
        let short = lines.remove(0);
        let mut compared: Vec<[Row; 2]> = others
            .iter()
            .map(|(jobs, name, burden)| {
                // The goal is about the longest line that is measured.
                let goal =
                    *burden == Burden::Nothing && Some(*jobs) == lengths.last().map(|last| last.0);
                ["claims", "creates"].map(|what| {
                    let row = Row::new(format!("dispatch, {what}, {name}, {of}"), "/s");
                    if goal {
                        row.goal(Goal::AtLeast(0.9))
                    } else {
                        row
                    }
                })
            })
            .collect();
        let mut alone = Row::new(format!("dispatch, claims, {short_jobs}, {of}"), "/s");

        // Statements settle on their plans, pages are read and hints are set. And each tenant is served once, as long lines are
        // those of tenants that are.
        for _ in 0..=tenants / block {
            short.block().await?;
            for line in &lines {
                line.block().await?;
            }
        }
        for _ in 0..PAIRS {
            let floor = short.block().await?;
            alone.add_alone(floor.claims_per_second);
            alone.add_cpu(floor.gateway_cpu_ms, None, Some(floor.postgres_cpu_ms));
            for (rows, line) in compared.iter_mut().zip(&lines) {
                compare(rows, &line.block().await?, &floor);
            }
        }
        rows.push(alone);
        rows.extend(compared.into_iter().flatten());
        for ((_, _, burden), line) in others.iter().zip(&lines) {
            if matches!(burden, Burden::DeadRows(_)) {
                // Of the same table, so that what differs is what is dead.
                let dead = line.buffers_of_claim().await?;
                line.vacuum().await?;
                let mut row = Row::new("dispatch, buffers a claim, 200,000 dead", "");
                row.add(dead, line.buffers_of_claim().await?);
                rows.push(row.goal(Goal::AtMost(1.05)));
            }
        }
    }
    postgres.stop().await?;
    Ok(rows)
}

fn compare([claims, creates]: &mut [Row; 2], figure: &Block, floor: &Block) {
    claims.add(figure.claims_per_second, floor.claims_per_second);
    claims.add_cpu(figure.gateway_cpu_ms, None, Some(figure.postgres_cpu_ms));
    creates.add(figure.creates_per_second, floor.creates_per_second);
}
