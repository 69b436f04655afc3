//! Starting what moves jobs along when nobody asks.

use rand::distr::{Alphanumeric, SampleString};

use super::Gateway;
use crate::{
    config::{CompletionMode, ResendUnknown, ServeSettings},
    domain::expected::Pace,
    http::state::AppState,
    shutdown::Shutdown,
    workers::{
        look_up::LookUp,
        reconcile::{self, Reconciler},
        settle,
        submit::{self, Submitter},
        webhooks::{self, WebhookHandler},
    },
};

/// Starts every worker that the settings ask for.
pub(super) fn spawn(gateway: &Gateway, settings: &ServeSettings, state: &AppState) {
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
        callback_base: settings.callback_base().cloned(),
        wakeups: wakeups.clone(),
        ids: state.ids.clone(),
        worker: worker.clone(),
        send_window: settings.dispatch.send_window,
    });
    gateway.spawn(
        "submit",
        submitter.run(tracker.clone(), soft.clone(), hard.clone()),
    );
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
        let reconciler = reconciler(settings, state);
        let run = reconciler.run(tracker.clone(), soft.clone(), hard.clone());
        gateway.spawn("reconcile", run);
    }
    let handler = WebhookHandler::new(webhooks::Parts {
        pool: pool.clone(),
        gladia: state.gladia.clone(),
        wakeups: wakeups.clone(),
        ids: state.ids.clone(),
        asks: !settings.gladia.gladia_zero_data_retention,
    });
    gateway.spawn("webhooks", handler.run(tracker, soft.clone(), hard));
    let (sender, receiver) = (wakeups.clone(), wakeups);
    let (sending_pool, sending_stop) = (pool.clone(), soft.clone());
    gateway.spawn("wakeups.send", async move {
        sender.send_to_others(sending_pool, sending_stop).await;
    });
    gateway.spawn("wakeups.receive", async move {
        receiver.receive_from_others(pool, soft).await;
    });
}

fn reconciler(settings: &ServeSettings, state: &AppState) -> Reconciler {
    let pace = match settings.completion.completion {
        CompletionMode::Callback => Pace::Overdue,
        CompletionMode::Poll => Pace::Poll,
    };
    let set = settings
        .completion
        .reconcile_after
        .filter(|_| pace == Pace::Overdue);
    Reconciler::new(reconcile::Parts {
        pool: state.pool.clone(),
        gladia: state.gladia.clone(),
        wakeups: state.wakeups.clone(),
        ids: state.ids.clone(),
        pace,
        first_look_after: pace.first_look_after().or(set),
    })
}

/// A name for this process in the rows that it writes.
fn worker_name() -> String {
    let random = Alphanumeric.sample_string(&mut rand::rng(), 6);
    format!("{}-{random}", std::process::id())
}
