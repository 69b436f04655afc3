//! Starting: the addresses are served while the database is still to be brought up, which may take as long as a migration does.

use std::{sync::Arc, time::Duration};

use tokio_util::task::AbortOnDropHandle;

use super::{Gateway, prepare, workers};
use crate::{
    config::ServeSettings, db::pool::Pool, domain::ids::Ids, http::state::AppState,
    notify::sealing::Sealer,
};

/// How long between two looks for a database that was away at the start.
const START_PAUSE: Duration = Duration::from_secs(1);

/// The database on its way to where this binary needs it. Given up when it is dropped.
pub(super) struct BringingUp(AbortOnDropHandle<anyhow::Result<()>>);

impl BringingUp {
    /// Begins with it, beside whatever else a start takes.
    pub(super) fn begin(
        pool: &Pool,
        settings: &Arc<ServeSettings>,
        sealer: &Sealer,
        ids: &Ids,
    ) -> Self {
        let (pool, settings) = (pool.clone(), Arc::clone(settings));
        let (sealer, ids) = (sealer.clone(), ids.clone());
        Self(AbortOnDropHandle::new(tokio::spawn(async move {
            prepare::bring_up(&pool, &settings, &sealer, &ids).await
        })))
    }

    async fn end(self) -> anyhow::Result<()> {
        self.0.await?
    }
}

/// A gateway that listens. Until the database has been brought up callbacks go to the spool, and whatever else needs it waits, and is
/// refused.
pub(super) struct Starting {
    pub(super) gateway: Gateway,
    pub(super) settings: Arc<ServeSettings>,
    pub(super) state: AppState,
    pub(super) bringing_up: BringingUp,
}

impl Starting {
    /// Waits for the database, and then starts everything else.
    ///
    /// # Errors
    /// Where the database refuses, a setting does not fit what is in it, or it is away and nothing can be done without it.
    pub(super) async fn finish(self) -> anyhow::Result<()> {
        let Self {
            gateway,
            settings,
            state,
            bringing_up,
        } = self;
        match bringing_up.end().await {
            Ok(()) => gateway.begin(&settings, &state),
            // Callbacks can be kept, and come only once.
            Err(error) if state.intake.spool().is_some() && prepare::is_away(&error) => {
                tracing::warn!(
                    error = format!("{error:#}"),
                    "Starting without the database: callbacks are kept in CALLBACK_SPOOL_DIR, everything else is refused"
                );
                state.start.away();
                let starting = gateway.clone();
                gateway.spawn("start", starting.start_late(settings, state));
                Ok(())
            }
            Err(error) => Err(error),
        }
    }
}

impl Gateway {
    /// Starts what needs the database, which has been brought up.
    fn begin(&self, settings: &ServeSettings, state: &AppState) -> anyhow::Result<()> {
        state.intake.set_database_up();
        state.start.up();
        workers::spawn(self, settings, state)?;
        tracing::info!("Started: the database is up, and everything is served");
        Ok(())
    }

    /// Brings the database up once it is there, and then starts everything else.
    async fn start_late(self, settings: Arc<ServeSettings>, state: AppState) {
        let soft = self.shutdown.soft.clone();
        let brought_up = async {
            loop {
                match prepare::bring_up(&state.pool, &settings, &state.sealer, &state.ids).await {
                    Ok(()) => return true,
                    Err(error) if prepare::is_away(&error) => {
                        tracing::debug!(error = format!("{error:#}"), "The database is still away");
                    }
                    Err(error) => {
                        tracing::error!(
                            error = format!("{error:#}"),
                            "The database is there, and the gateway cannot work with it"
                        );
                        return false;
                    }
                }
                tokio::time::sleep(START_PAUSE).await;
            }
        };
        // To return before the end is to have crashed.
        if soft.run_until_cancelled(Box::pin(brought_up)).await != Some(true) {
            return;
        }
        tracing::info!("The database is there; starting everything else");
        if let Err(error) = self.begin(&settings, &state) {
            tracing::error!(error = format!("{error:#}"), "Could not start the workers");
            return;
        }
        soft.cancelled().await;
    }
}
