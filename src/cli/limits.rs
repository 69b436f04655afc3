//! `limits`: how much is sent to Gladia at once. One row of the database says so for all replicas.

use std::process::ExitCode;

use chrono::SecondsFormat;
use clap::{Args, Subcommand};
use sqlx::Connection;

use super::{connect::connect, output};
use crate::{
    config::{DatabaseSettings, cap},
    db::{
        attempts::in_flight::{self, MOST_COUNTED, TenantLoad},
        dispatch::{self, Dispatch},
    },
};

/// What to do with limits.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Show the cap, how many transcriptions are in flight, whether sending is paused, and whose transcriptions are in flight
    /// and in line.
    Show(DatabaseSettings),
    /// Change a limit, for all replicas and without a restart.
    #[command(subcommand)]
    Set(SetCommand),
}

/// A limit to change.
#[derive(Subcommand, Debug)]
pub enum SetCommand {
    /// How many transcriptions may be in flight at Gladia (0 to 10000).
    ///
    /// A lower number takes nothing back: nothing new is sent until enough of what is in flight has ended. With 0 nothing is sent
    /// at all, whatever is accepted, until there is another number.
    MaxInFlight(MaxInFlightArgs),
}

/// The new cap.
#[derive(Args, Debug)]
pub struct MaxInFlightArgs {
    /// The new cap.
    #[arg(value_parser = cap())]
    jobs: i32,
    #[command(flatten)]
    database: DatabaseSettings,
}

/// Runs the subcommand.
///
/// # Errors
/// Where the database does not answer.
pub async fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Show(database) => show(&database).await?,
        Command::Set(SetCommand::MaxInFlight(args)) => set_max_in_flight(args).await?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn show(database: &DatabaseSettings) -> anyhow::Result<()> {
    let mut conn = connect(database).await?;
    let found = dispatch::find(&mut conn).await?;
    let tenants = in_flight::list_tenants(&mut conn).await?;
    conn.close().await?;
    output::text(&render(found.as_ref()))?;
    if !tenants.is_empty() {
        let rows: Vec<_> = tenants.into_iter().map(row).collect();
        output::line("")?;
        output::table(["TENANT", "IN FLIGHT", "QUEUED", "OLDEST QUEUED"], &rows)?;
    }
    Ok(())
}

fn row(tenant: TenantLoad) -> [String; 4] {
    let queued = if tenant.queued > MOST_COUNTED {
        format!("over {MOST_COUNTED}")
    } else {
        tenant.queued.to_string()
    };
    let oldest_at = tenant
        .oldest_queued_at
        .map(|at| at.to_rfc3339_opts(SecondsFormat::Secs, true));
    [
        tenant.tenant,
        tenant.in_flight.to_string(),
        queued,
        oldest_at.unwrap_or_else(|| "-".to_owned()),
    ]
}

async fn set_max_in_flight(args: MaxInFlightArgs) -> anyhow::Result<()> {
    let mut conn = connect(&args.database).await?;
    let mut tx = conn.begin().await?;
    dispatch::set_max_in_flight(&mut tx, args.jobs).await?;
    let found = dispatch::find(&mut tx).await?;
    tx.commit().await?;
    output::text(&render(found.as_ref()))?;
    Ok(())
}

fn render(dispatch: Option<&Dispatch>) -> String {
    let Some(dispatch) = dispatch else {
        return "max in flight  not set: the first `serve` takes it from MAX_IN_FLIGHT\n"
            .to_owned();
    };
    let paused = match dispatch.paused_until {
        None => "no".to_owned(),
        Some(until) => format!(
            "until {} ({})",
            until.to_rfc3339_opts(SecondsFormat::Secs, true),
            dispatch
                .pause_reason
                .as_deref()
                .unwrap_or("no reason given")
        ),
    };
    format!(
        "max in flight  {}\nin flight      {}\npaused         {paused}\n",
        dispatch.max_in_flight, dispatch.in_flight
    )
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;

    #[test]
    fn a_line_that_is_not_counted_to_its_end_says_so() {
        let load = TenantLoad {
            tenant: "acme".to_owned(),
            in_flight: 3,
            queued: MOST_COUNTED + 1,
            oldest_queued_at: DateTime::from_timestamp(1_800_000_000, 0),
        };
        assert_eq!(
            row(load),
            ["acme", "3", "over 10000", "2027-01-15T08:00:00Z"]
        );
    }

    #[test]
    fn a_pause_is_shown_with_its_end_and_reason() {
        let mut found = Dispatch {
            max_in_flight: 25,
            in_flight: 3,
            paused_until: None,
            pause_reason: None,
        };
        let shown = "max in flight  25\nin flight      3\npaused         no\n";
        assert_eq!(render(Some(&found)), shown);
        found.paused_until = DateTime::from_timestamp(1_800_000_000, 0);
        found.pause_reason = Some("gladia_refuses_the_key".to_owned());
        let paused = "paused         until 2027-01-15T08:00:00Z (gladia_refuses_the_key)\n";
        assert!(render(Some(&found)).ends_with(paused));
        assert!(render(None).contains("MAX_IN_FLIGHT"));
    }
}
