//! `chaos`: evidence that no paid transcript is lost, no job billed twice, and every caller told.
//!
//! A run sets a stage ([`stage`]): a Postgres with fsync, the simulator, three replicas behind a load balancer
//! ([`balancer`]), each process in its own right ([`processes`], [`replicas`], [`upstream`]). Callers submit jobs, and
//! repeat each until it is accepted ([`load`]), and are told of them by webhooks, callbacks, streams and the change list
//! ([`consumers`]). Meanwhile a schedule that follows from the seed ([`faults`]) is carried out ([`strikes`]): processes
//! are killed and frozen, Postgres ([`database`]) restarts, runs out of connections and, where it has a standby, is lost;
//! Gladia drops what it accepted and loses what it should say. Then everything gets time to settle ([`settle`]), what callers
//! get and what the tables and the simulator's ledger say is collected ([`facts`]), and judged ([`checks`]).

mod balancer;
mod checks;
mod consumers;
mod database;
mod facts;
mod faults;
mod load;
mod processes;
mod progress;
mod replicas;
mod settle;
mod stage;
mod strikes;
mod upstream;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, bail, ensure};
use clap::{ArgAction, Args, ValueEnum};
use rand::{SeedableRng, rngs::StdRng};
use tokio::time::timeout;
use uuid::Uuid;

use self::{
    checks::Verdict,
    consumers::{Consumers, Setting},
    facts::{Facts, Witnessed},
    faults::{Kind, Strike},
    load::{Callers, Order},
    progress::Progress,
    stage::{REPLICAS, Stage},
};
use super::output;
use crate::shutdown::Shutdown;

/// Every so many-th order is repeated once more when everything has ended.
const REPEATED_LATE: usize = 10;

/// How long callers wait for their answers after the last fault.
const ANSWERS_TIMEOUT: Duration = Duration::from_mins(3);

/// How many faults happen at least, unless it is said how many.
const MIN_FAULTS: usize = 60;

/// About how many jobs end from one fault to the next.
const JOBS_PER_FAULT: usize = 12;

/// What goes wrong, and with how many jobs.
#[derive(Args, Debug, Clone)]
pub struct ChaosArgs {
    /// What decides which faults happen, to what, and when; random unless given. It is shown, to repeat a run
    #[arg(long)]
    seed: Option<u64>,

    /// How many jobs are submitted
    #[arg(long, default_value_t = 2000)]
    jobs: usize,

    /// How many faults happen; unless given, so many that something goes wrong for as long as there are jobs to do
    #[arg(long)]
    faults: Option<usize>,

    /// Faults of these kinds alone
    #[arg(long, value_enum, value_delimiter = ',', value_name = "KINDS")]
    only: Vec<Kind>,

    /// Give Postgres a synchronous standby, and let it take over now and then, because Postgres is lost, with a word or without
    #[arg(long, action = ArgAction::SetTrue)]
    standby: bool,

    /// Let Gladia's lists lag for longer than the settling time and conceal jobs: whatever is doubled must be detected
    #[arg(long, action = ArgAction::SetTrue)]
    list_lag_beyond_settling: bool,

    /// Keep the logs though everything holds
    #[arg(long, action = ArgAction::SetTrue)]
    keep_logs: bool,

    /// How many seconds may pass after the last fault in which no job ends, before those that are left count as lost
    #[arg(long, default_value_t = 300, value_name = "SECONDS")]
    patience_seconds: u64,
}

/// Everything that follows from the seed.
struct Plan {
    seed: u64,
    orders: Vec<Order>,
    strikes: Vec<Strike>,
    has_standby: bool,
    lying_lists: bool,
    patience: Duration,
}

impl Plan {
    fn of(args: &ChaosArgs) -> Self {
        let seed = args
            .seed
            .unwrap_or_else(|| u64::from(rand::random::<u32>()));
        let mut rng = StdRng::seed_from_u64(seed);
        let mut kinds = args.only.clone();
        if kinds.is_empty() {
            kinds = Kind::value_variants().to_vec();
            kinds.retain(|kind| args.standby || *kind != Kind::Failover);
        }
        let faults = args
            .faults
            .unwrap_or((args.jobs / JOBS_PER_FAULT).max(MIN_FAULTS));
        let strikes = faults::plan(&mut rng, faults, &kinds, REPLICAS);
        let orders = load::plan(
            &mut rng,
            args.jobs,
            stage::TENANTS.len(),
            faults::length(&strikes),
            args.list_lag_beyond_settling,
        );
        Self {
            seed,
            orders,
            strikes,
            has_standby: args.standby,
            lying_lists: args.list_lag_beyond_settling,
            patience: Duration::from_secs(args.patience_seconds),
        }
    }
}

/// Runs it. The last line on stdout says how many jobs were lost and doubled, and how many events were not told, or told
/// again where they must not be.
///
/// # Errors
/// Where something that is not under test does not work, or it is interrupted.
pub async fn run(args: ChaosArgs, shutdown: Shutdown) -> anyhow::Result<ExitCode> {
    ensure!(
        args.standby || !args.only.contains(&Kind::Failover),
        "--only failover needs --standby: there is nobody to take over"
    );
    let plan = Plan::of(&args);
    let progress = Progress::start();
    let logs = Logs::create()?;
    progress.say(&format!(
        "seed {}: {} jobs, {} faults; logs in {}",
        plan.seed,
        plan.orders.len(),
        plan.strikes.len(),
        logs.path.display()
    ));
    let judged = tokio::select! {
        judged = play(&plan, &logs.path, progress) => judged,
        () = shutdown.soft.cancelled() => Err(anyhow::anyhow!("interrupted")),
    };
    let judged =
        judged.with_context(|| format!("seed {}; logs in {}", plan.seed, logs.path.display()));
    let verdict = judged?;
    for note in &verdict.notes {
        progress.say(note);
    }
    for violation in &verdict.violations {
        progress.say(&format!("VIOLATED: {violation}"));
    }
    let holds = verdict.holds();
    if holds && !args.keep_logs {
        logs.remove()?;
    } else if !holds {
        progress.say(&format!(
            "{} violations with seed {}; logs in {}",
            verdict.violations.len(),
            plan.seed,
            logs.path.display()
        ));
    }
    output::line(&format!(
        "chaos: seed={} jobs={} faults={} lost={} doubled={} over_cap={} untold={} retold={}",
        plan.seed,
        plan.orders.len(),
        plan.strikes.len(),
        verdict.lost.len(),
        verdict.doubled.len(),
        verdict.over_cap,
        verdict.untold,
        verdict.retold
    ))?;
    Ok(if holds {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Plays everything, and judges it.
async fn play(plan: &Plan, directory: &Path, progress: Progress) -> anyhow::Result<Verdict> {
    let (stage, tenants) = Stage::set(directory, plan, progress).await?;
    let stage = Arc::new(stage);
    let standby = if plan.has_standby {
        ", its standby"
    } else {
        ""
    };
    progress.say(&format!(
        "Postgres{standby}, the simulator and {REPLICAS} replicas are started"
    ));
    let setting = Setting {
        tenants: &tenants,
        addresses: &stage.addresses,
        clock: stage.clock,
        seed: plan.seed,
        over: faults::length(&plan.strikes),
    };
    let consumers = Consumers::start(&setting).await;
    let consumers = consumers.context("nobody can be told")?;
    let callers = Callers::new(
        tenants.into_iter().map(|tenant| tenant.key).collect(),
        consumers.callback_urls(),
        stage.addresses.clone(),
        plan.orders.len(),
    )?;
    let played = act(plan, &stage, &callers, consumers).await;
    let saved = stage.database.save_log().await;
    let facts = played?;
    saved?;
    match Arc::into_inner(stage) {
        Some(stage) => stage.strike_down().await?,
        None => bail!("a part of the run has not ended"),
    }
    progress.say(&facts.ledger.counts.to_string());
    Ok(checks::judge(&facts))
}

/// Submits, lets everything go wrong, waits for the end, and collects what came of it.
async fn act(
    plan: &Plan,
    stage: &Arc<Stage>,
    callers: &Callers,
    consumers: Consumers,
) -> anyhow::Result<Facts> {
    let progress = stage.progress;
    if plan.lying_lists {
        for (number, fault) in faults::lying_lists().into_iter().enumerate() {
            progress.say(&format!("from the first job to the last: {fault}"));
            stage
                .upstream
                .add_fault(plan.strikes.len() + number, fault)
                .await?;
        }
    }
    let mut submitted = tokio::spawn({
        let (callers, orders) = (callers.clone(), plan.orders.clone());
        async move { callers.submit_all(&orders).await }
    });
    strikes::carry_out(stage, &plan.strikes).await?;
    progress.say(&format!(
        "the last fault is over; {} of {} orders have their answer",
        callers.answered(),
        plan.orders.len()
    ));
    if !plan.lying_lists {
        stage.upstream.clear_faults().await?;
    }
    if let Ok(submitted) = timeout(ANSWERS_TIMEOUT, &mut submitted).await {
        submitted?;
    } else {
        submitted.abort();
        progress.say(&format!(
            "callers have waited {ANSWERS_TIMEOUT:?} for their answers, and give up"
        ));
    }
    stage.upstream.clear_faults().await?;
    progress.say(&format!(
        "{} orders have their answer; waiting for the end of their jobs",
        callers.answered()
    ));
    if !settle::settled(stage, &consumers, plan.patience).await? {
        progress.say(&format!(
            "nothing ended for {:?}, and something is left",
            plan.patience
        ));
    }
    let repeated = async {
        for order in plan.orders.iter().step_by(REPEATED_LATE) {
            callers.submit(order, order.number).await;
        }
    };
    timeout(ANSWERS_TIMEOUT, repeated)
        .await
        .context("orders that were answered before are not answered any more")?;
    let results = facts::fetch_results(stage, callers, &plan.orders).await?;
    let ends = stage.end_replicas().await;
    let accepted = callers.accepted();
    progress.say(&format!(
        "the replicas are stopped; {} requests were made, {} results fetched",
        accepted.requests,
        results.len()
    ));
    let witnessed = Witnessed {
        orders: plan.orders.clone(),
        accepted,
        results,
        ends,
    };
    facts::collect(stage, witnessed, consumers).await
}

/// The directory of the logs. Stays where it is unless it is removed.
struct Logs {
    path: PathBuf,
}

impl Logs {
    fn create() -> anyhow::Result<Self> {
        let path = std::env::temp_dir().join(format!(
            "gladia-gateway-chaos-{}-{}",
            std::process::id(),
            Uuid::new_v4().simple()
        ));
        std::fs::create_dir(&path)
            .with_context(|| format!("no directory for logs can be made: {}", path.display()))?;
        Ok(Self { path })
    }

    fn remove(self) -> anyhow::Result<()> {
        std::fs::remove_dir_all(&self.path)
            .with_context(|| format!("removing {} failed", self.path.display()))
    }
}
