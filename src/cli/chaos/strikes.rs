//! Carries the schedule out.

use std::{sync::Arc, time::Duration};

use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};

use super::{
    faults::{Fault, Strike},
    stage::Stage,
};

/// Lets everything happen, each at its time, and waits until the last of it is over.
pub async fn carry_out(stage: &Arc<Stage>, strikes: &[Strike]) -> anyhow::Result<()> {
    let mut tasks = JoinSet::new();
    for (number, Strike { pause, fault }) in strikes.iter().cloned().enumerate() {
        sleep(pause).await;
        stage
            .progress
            .say(&format!("fault {}: {fault}", number + 1));
        let stage = Arc::clone(stage);
        tasks.spawn(async move { strike(&stage, number, fault).await });
        // Those that failed end the run at once.
        while let Some(struck) = tasks.try_join_next() {
            struck??;
        }
    }
    while let Some(struck) = tasks.join_next().await {
        struck??;
    }
    Ok(())
}

async fn strike(stage: &Stage, number: usize, fault: Fault) -> anyhow::Result<()> {
    match fault {
        Fault::Kill { replica, down } => {
            if !stage.replicas[replica].kill(down) {
                stage.progress.say(&format!(
                    "fault {}: serve-{} was down already",
                    number + 1,
                    replica + 1
                ));
            }
        }
        Fault::Freeze { replica, length } => {
            if !stage.replicas[replica].freeze(length).await {
                stage.progress.say(&format!(
                    "fault {}: serve-{} was down or frozen already",
                    number + 1,
                    replica + 1
                ));
            }
        }
        Fault::RestartPostgres { mode } => {
            let started = Instant::now();
            stage.database.restart(mode).await?;
            stage.progress.say(&format!(
                "fault {}: Postgres is back after {:.1?}",
                number + 1,
                started.elapsed()
            ));
        }
        Fault::LosePostgres { is_silent } => {
            let started = Instant::now();
            stage.database.fail_over(is_silent).await?;
            stage.progress.say(&format!(
                "fault {}: the standby has taken over and has one itself, after {:.1?}",
                number + 1,
                started.elapsed()
            ));
        }
        Fault::TakeConnections { length } => take_connections(stage, number, length).await,
        Fault::Upstream { fault, length } => {
            stage.upstream.add_fault(number, fault).await?;
            sleep(length).await;
            stage.upstream.remove_fault(number).await?;
        }
    }
    Ok(())
}

/// Holds every connection for a while; where Postgres restarts meanwhile, that ends it.
async fn take_connections(stage: &Stage, number: usize, length: Duration) {
    let taken = stage.database.take_connections().await;
    match taken {
        Ok(taken) => {
            stage.progress.say(&format!(
                "fault {}: holds {} connections",
                number + 1,
                taken.len()
            ));
            sleep(length).await;
        }
        Err(error) => stage.progress.say(&format!(
            "fault {}: took no connection: {error:#}",
            number + 1
        )),
    }
}
