//! Starting what moves jobs along when nobody asks.

use rand::distr::{Alphanumeric, SampleString};
use tokio::sync::watch;

use super::Gateway;
use crate::{
    config::{PublicUrlCheck, ResendUnknown, ServeSettings},
    gladia::canary::Canary,
    http::state::AppState,
    shutdown::Shutdown,
    workers::{
        erase::Eraser,
        look_up::LookUp,
        public_url::PublicUrlWatch,
        retain::Retention,
        settle,
        submit::{self, Submitter},
    },
};

/// Starts every worker that the settings ask for.
pub(super) fn spawn(
    gateway: &Gateway,
    settings: &ServeSettings,
    state: &AppState,
) -> anyhow::Result<()> {
    let (pool, wakeups) = (state.pool.clone(), state.wakeups.clone());
    let Shutdown {
        soft,
        hard,
        tracker,
    } = gateway.shutdown.clone();
    let worker = worker_name();
    let submitter = Submitter::new(submit::Parts {
        pool: pool.clone(),
        gladia: state.gladia.clone(),
        callback_keys: state.callback_keys.clone(),
        public_url: settings.addresses.public_url.clone(),
        wakeups: wakeups.clone(),
        ids: state.ids.clone(),
        worker: worker.clone(),
        send_window: settings.dispatch.send_window,
        may_claim: watch_public_url(gateway, settings, state)?,
    });
    gateway.spawn("submit", submitter.run(tracker, soft.clone(), hard));
    gateway.spawn(
        "settle",
        settle::run(
            pool.clone(),
            wakeups.clone(),
            settings.gladia.gladia_zero_data_retention,
            soft.clone(),
        ),
    );
    // With zero data retention there is no list to look at.
    if !settings.gladia.gladia_zero_data_retention {
        let look_up = LookUp {
            pool: pool.clone(),
            gladia: state.gladia.clone(),
            wakeups: wakeups.clone(),
            worker,
            settling_time: settings.settling.settling_time,
            resends: settings.settling.resend_unknown == ResendUnknown::Settled,
        };
        gateway.spawn("look_up", look_up.run(soft.clone()));
    }
    let eraser = Eraser {
        pool: pool.clone(),
        gladia: state.gladia.clone(),
        zero_data_retention: settings.gladia.gladia_zero_data_retention,
        retention_deletes: settings.retention.retention_deletes_at_gladia,
    };
    gateway.spawn("erase", eraser.run(soft.clone()));
    if let Some(keeps_for) = settings.retention.retention {
        let retention = Retention {
            pool: pool.clone(),
            keeps_for,
            deletes_at_gladia: settings.retention.retention_deletes_at_gladia
                && !settings.gladia.gladia_zero_data_retention,
        };
        gateway.spawn("retain", retention.run(soft.clone()));
    }
    let (sender, receiver) = (wakeups.clone(), wakeups);
    let (sending_pool, sending_stop) = (pool.clone(), soft.clone());
    gateway.spawn("wakeups.send", async move {
        sender.send_to_others(sending_pool, sending_stop).await;
    });
    gateway.spawn("wakeups.receive", async move {
        receiver.receive_from_others(pool, soft).await;
    });
    Ok(())
}

/// Starts looking whether the public address leads back, where the settings want that. What comes says whether jobs may be
/// claimed: before the first look that succeeds, only where a failure is of no consequence.
fn watch_public_url(
    gateway: &Gateway,
    settings: &ServeSettings,
    state: &AppState,
) -> anyhow::Result<watch::Receiver<bool>> {
    let check = settings.callbacks.public_url_check;
    let pauses = check == PublicUrlCheck::Pause;
    let (sender, receiver) = watch::channel(!pauses);
    if check != PublicUrlCheck::Off {
        let public_url = settings.addresses.public_url.clone();
        let watch = PublicUrlWatch {
            canary: Canary::new(public_url, state.callback_keys.clone())?,
            ids: state.ids.clone(),
            may_claim: pauses.then_some(sender),
        };
        gateway.spawn("public_url", watch.run(gateway.shutdown.soft.clone()));
    }
    Ok(receiver)
}

/// A name for this process in the rows that it writes.
fn worker_name() -> String {
    let random = Alphanumeric.sample_string(&mut rand::rng(), 6);
    format!("{}-{random}", std::process::id())
}
