//! Starting what moves jobs along when nobody asks.

use rand::distr::{Alphanumeric, SampleString};
use tokio::sync::watch;

use super::Gateway;
use crate::{
    config::{CompletionMode, PublicUrlCheck, ResendUnknown, ServeSettings},
    domain::expected::Pace,
    feed::{Follower, Handover},
    gladia::canary::Canary,
    http::state::AppState,
    shutdown::Shutdown,
    workers::{
        announced,
        deliver::{self, Deliverer},
        erase::Eraser,
        forget::Forgetter,
        look_up::{LookUp, Sightings},
        public_url::PublicUrlWatch,
        reconcile::{self, Reconciler},
        retain::Retention,
        sequence::Sequencer,
        settle,
        spool::SpoolDrain,
        submit::{self, Submitter, group_commit::AnswerGroupCommit},
        webhooks::{self, WebhookHandler},
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
        ..
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
        process_now: settings.process_now,
        may_claim: watch_public_url(gateway, settings, state)?,
        answer_group_commit: AnswerGroupCommit::new(pool.clone(), tracker.clone()),
    });
    gateway.spawn("submit", submitter.run(tracker.clone(), soft.clone(), hard));
    gateway.spawn(
        "settle",
        settle::run(
            pool.clone(),
            wakeups.clone(),
            settings.settling.settling_time,
            settings.gladia.gladia_zero_data_retention,
            settings.process_now,
            soft.clone(),
        ),
    );
    // With zero data retention there is no list to look at.
    if !settings.gladia.gladia_zero_data_retention {
        let look_up = LookUp {
            pool: pool.clone(),
            gladia: state.gladia.clone(),
            wakeups: wakeups.clone(),
            worker: worker.clone(),
            settling_time: settings.settling.settling_time,
            create_may_take: settings.dispatch.send_window + settings.gladia.gladia_create_timeout,
            sightings: Sightings::new(settings.settling.monotonic_now),
            may_resend: settings.settling.resend_unknown == ResendUnknown::Settled,
        };
        gateway.spawn("look_up", look_up.run(soft.clone()));
        let reconciler = reconciler(settings, state);
        let run = reconciler.run(tracker.clone(), soft.clone());
        gateway.spawn("reconcile", run);
    }
    tell(gateway, state, worker);
    let eraser = Eraser {
        pool: pool.clone(),
        gladia: state.gladia.clone(),
        wakeups: wakeups.clone(),
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
            process_now: settings.process_now,
        };
        gateway.spawn("retain", retention.run(soft.clone()));
    }
    let forgetter = Forgetter {
        pool: pool.clone(),
        keeps_for: settings.retention.event_retention,
        process_now: settings.process_now,
    };
    gateway.spawn("forget", forgetter.run(soft.clone()));
    let handler = WebhookHandler::new(webhooks::Parts {
        pool: pool.clone(),
        gladia: state.gladia.clone(),
        wakeups: wakeups.clone(),
        ids: state.ids.clone(),
        zero_data_retention: settings.gladia.gladia_zero_data_retention,
    });
    gateway.spawn("webhooks", handler.run(tracker, soft.clone()));
    if let Some(spool) = state.intake.spool() {
        let drain = SpoolDrain::new(state.intake.clone(), spool.clone());
        gateway.spawn("spool", drain.run(soft.clone()));
    }
    let (gatherer, sender, receiver) = (wakeups.clone(), wakeups.clone(), wakeups);
    let gathering_stop = soft.clone();
    gateway.spawn("wakeups.gather", async move {
        gatherer.gather_queued(gathering_stop).await;
    });
    let (sending_pool, sending_stop) = (pool.clone(), soft.clone());
    gateway.spawn("wakeups.send", async move {
        sender.send_to_others(sending_pool, sending_stop).await;
    });
    gateway.spawn("wakeups.receive", async move {
        receiver.receive_from_others(pool, soft).await;
    });
    Ok(())
}

/// Starts telling others of what happens.
fn tell(gateway: &Gateway, state: &AppState, worker: String) {
    let Shutdown {
        soft,
        hard,
        tracker,
        ..
    } = gateway.shutdown.clone();
    let deliverer = Deliverer::new(deliver::Parts {
        pool: state.pool.clone(),
        notifier: state.notifier.clone(),
        sealer: state.sealer.clone(),
        wakeups: state.wakeups.clone(),
        ids: state.ids.clone(),
        links: state.links.clone(),
        worker,
    });
    let (claimer, recorder) = deliverer.claimer(tracker, hard);
    let (handover, handed_over) = Handover::new(state.feed.clone());
    let hand_on = {
        let (wakeups, handover) = (state.wakeups.clone(), handover.clone());
        let claimer = claimer.clone();
        move |announced, since| announced::hand_on(announced, since, &wakeups, &handover, &claimer)
    };
    let lessee = deliverer.lessee(hand_on, soft.clone());
    state.intake.announcer().lease_to(lessee);
    let sequencer = Sequencer {
        pool: state.pool.clone(),
        wakeups: state.wakeups.clone(),
        ids: state.ids.clone(),
        claimer: claimer.clone(),
        handover,
    };
    gateway.spawn("sequence", sequencer.run(soft.clone()));
    gateway.spawn("record", recorder);
    gateway.spawn("deliver", deliverer.run(claimer, soft.clone()));
    let follower = Follower {
        pool: state.pool.clone(),
        wakeups: state.wakeups.clone(),
        handed_over,
        links: state.links.clone(),
    };
    gateway.spawn("feed", follower.run(soft.clone()));
}

/// Starts looking whether the public address leads back, where callbacks come and the settings want that. What comes says
/// whether jobs may be claimed: before the first look that succeeds, only where a failure is of no consequence.
fn watch_public_url(
    gateway: &Gateway,
    settings: &ServeSettings,
    state: &AppState,
) -> anyhow::Result<watch::Receiver<bool>> {
    if let Some(doubt) = settings.doubt_of_public_url() {
        tracing::warn!(
            "The host of PUBLIC_URL {doubt}: Gladia may refuse every transcription because of it. Nothing is sent then, and jobs stay \
             queued, until it is a full public name"
        );
    }
    let check = settings.callbacks.public_url_check;
    let is_called_back = settings.completion.completion == CompletionMode::Callback;
    let public_url = settings
        .addresses
        .public_url
        .clone()
        .filter(|_| is_called_back && check != PublicUrlCheck::Off);
    let Some(public_url) = public_url else {
        return Ok(watch::channel(true).1);
    };
    let pauses = check == PublicUrlCheck::Pause;
    let (sender, receiver) = watch::channel(!pauses);
    let watch = PublicUrlWatch {
        canary: Canary::new(public_url, state.callback_keys.clone())?,
        ids: state.ids.clone(),
        may_claim: pauses.then_some(sender),
    };
    gateway.spawn("public_url", watch.run(gateway.shutdown.soft.clone()));
    Ok(receiver)
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
        process_now: settings.process_now,
    })
}

/// A name for this process in the rows that it writes.
fn worker_name() -> String {
    let random = Alphanumeric.sample_string(&mut rand::rng(), 6);
    format!("{}-{random}", std::process::id())
}
