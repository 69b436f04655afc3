//! A process dies at each named step of submitting, of taking a callback and of telling of it; another one carries on.

use futures_util::StreamExt;
use gladia_gateway::crash_points::CrashPoint;

use crate::support::{
    TestApp, eventually,
    process::Process,
    receiver::{Received, Receiver},
};

/// What `abort` ends a process with.
const SIGABRT: i32 = 6;

/// Points that are tried at the same time.
const AT_ONCE: usize = 3;

/// Past every lease, and past the time after which an attempt that Gladia does not have counts as not sent.
const LEASE_AND_SETTLING: i32 = 3;

/// What is left behind, and what another replica makes of it.
struct Expected {
    /// Where processes die, one after the other, before another one carries on.
    deaths: &'static [CrashPoint],
    /// The attempt when the last of them has died.
    left: &'static [&'static str],
    /// The attempts in the end.
    attempts: &'static [&'static str],
}

/// In the end the job is done, and Gladia has accepted it once, wherever a process died.
fn expected(point: CrashPoint) -> Expected {
    use CrashPoint::{
        CallbackKept, CallbackQuarantined, CallbackReceived, CallbackVerified, DeliverClaimed,
        DeliverSent, LookUpNotSent, SettleLeaseExpired, SubmitAnswered, SubmitBeforeClaim,
        SubmitBodyYielded, SubmitClaimed, SubmitRecorded,
    };
    let (deaths, left, attempts): (&[CrashPoint], &[&str], &[&str]) = match point {
        SubmitBeforeClaim => (&[SubmitBeforeClaim], &[], &["done"]),
        // Nothing had left, but nobody can know: it is looked for before it is sent again.
        SubmitClaimed => (&[SubmitClaimed], &["submitting"], &["not_sent", "done"]),
        SubmitBodyYielded => (&[SubmitBodyYielded], &["submitting"], &["not_sent", "done"]),
        SettleLeaseExpired => (
            &[SubmitClaimed, SettleLeaseExpired],
            &["unknown"],
            &["not_sent", "done"],
        ),
        LookUpNotSent => (
            &[SubmitClaimed, LookUpNotSent],
            &["not_sent"],
            &["not_sent", "done"],
        ),
        // Gladia has it, so it is never sent again.
        SubmitAnswered => (&[SubmitAnswered], &["submitting"], &["done"]),
        SubmitRecorded => (&[SubmitRecorded], &["accepted"], &["done"]),
        CallbackVerified => (&[CallbackVerified], &["accepted"], &["done"]),
        CallbackReceived => (&[CallbackReceived], &["accepted"], &["done"]),
        CallbackQuarantined => (&[CallbackQuarantined], &["accepted"], &["done"]),
        CallbackKept => (&[CallbackKept], &["done"], &["done"]),
        DeliverClaimed => (&[DeliverClaimed], &["done"], &["done"]),
        DeliverSent => (&[DeliverSent], &["done"], &["done"]),
    };
    Expected {
        deaths,
        left,
        attempts,
    }
}

/// Settings under which leases and looks take no longer than they must.
async fn start() -> TestApp {
    TestApp::builder()
        .set("SETTLING_SECONDS", 1)
        .set("SEND_WINDOW_SECONDS", 1)
        .set("GLADIA_CREATE_TIMEOUT_SECONDS", 3)
        .simulator(|simulator| {
            // "lengthy" audio takes a second, and callbacks come again for long enough.
            simulator.speed = 20.0;
            simulator.callback_attempts = 9;
        })
        .start()
        .await
}

/// Starts a process that dies at a point.
fn doomed(app: &TestApp, point: CrashPoint) -> Process {
    Process::serve(app, &[("GATEWAY_CRASH_AT", point.name())])
}

async fn states(app: &TestApp, id: &str) -> Vec<String> {
    let attempts = app.attempts(id).await;
    attempts.into_iter().map(|attempt| attempt.state).collect()
}

/// The job waits in line while no gateway runs; then one process after the other takes it and dies.
async fn die_while_submitting(point: CrashPoint) {
    let expected = expected(point);
    let mut app = start().await;
    app.pause_dispatch().await;
    let id = app.acme.start("spoken.mp3").await;
    assert!(app.replicas[0].stop(crate::support::builder::DRAIN).await);
    app.resume_dispatch().await;
    app.point_front_at_replicas();

    let mut minutes = 0;
    for death in expected.deaths {
        let signal = doomed(&app, *death).ended_by().await;
        assert_eq!(signal, Some(SIGABRT), "{}", death.name());
        minutes += LEASE_AND_SETTLING;
        app.set_clock_ahead(&format!("{minutes} minutes")).await;
    }
    let name = point.name();
    assert_eq!(states(&app, &id).await, expected.left, "{name}");

    app.add_replica(&[]).await;
    app.acme = app.acme.at(&app.replicas[1].base);
    is_done_once(app, &id, point).await;
}

/// The gateway that sent the job goes on; the process that gets its callback dies.
async fn die_while_taking_a_callback(point: CrashPoint) {
    let expected = expected(point);
    let app = start().await;
    let quarantines = point == CrashPoint::CallbackQuarantined;
    if quarantines {
        app.execute("ALTER TABLE jobs ADD CONSTRAINT a_mistake_of_ours CHECK (status <> 'done')")
            .await;
    }
    app.front.set_targets(Vec::new());
    let id = app.acme.start("lengthy.mp3").await;
    app.wait_for_attempt(&id, "accepted").await;

    let mut process = doomed(&app, point);
    app.front.set_targets(vec![process.address().await]);
    let name = point.name();
    assert_eq!(process.ended_by().await, Some(SIGABRT), "{name}");
    assert_eq!(states(&app, &id).await, expected.left, "{name}");
    let kept: &[&str] = match point {
        CrashPoint::CallbackKept => &["completed"],
        CrashPoint::CallbackQuarantined => &["quarantined"],
        _ => &[],
    };
    assert_eq!(app.callback_outcomes(&id).await, kept, "{name}");
    assert_eq!(app.upstream.count("callbacks_delivered").await, 0, "{name}");
    if point == CrashPoint::CallbackKept {
        // Whoever asks gets the result, whatever Gladia believes.
        assert_eq!(app.acme.job(&id).await["status"], "done");
    }

    if quarantines {
        app.execute("ALTER TABLE jobs DROP CONSTRAINT a_mistake_of_ours")
            .await;
    }
    app.point_front_at_replicas();
    app.upstream.wait_for("callbacks_delivered", 1).await;
    assert_eq!(app.callback_outcomes(&id).await, ["completed"], "{name}");
    is_done_once(app, &id, point).await;
}

/// The process that gets the callback also tells of it, and dies over that.
async fn die_while_telling(point: CrashPoint) {
    let expected = expected(point);
    let mut app = start().await;
    let receiver = Receiver::start().await;
    let types = &["transcription.done"];
    let endpoint = app.add_endpoint(&app.acme, &receiver.url(), types).await;
    app.front.set_targets(Vec::new());
    let id = app.acme.start("lengthy.mp3").await;
    app.wait_for_attempt(&id, "accepted").await;
    assert!(app.replicas[0].stop(crate::support::builder::DRAIN).await);
    let mut process = doomed(&app, point);
    app.front.set_targets(vec![process.address().await]);
    let name = point.name();
    assert_eq!(process.ended_by().await, Some(SIGABRT), "{name}");
    assert_eq!(states(&app, &id).await, expected.left, "{name}");
    let sent = usize::from(point == CrashPoint::DeliverSent);
    assert_eq!(receiver.received().len(), sent, "{name}");

    app.set_clock_ahead("1 minute").await;
    app.add_replica(&[]).await;
    app.acme = app.acme.at(&app.replicas[1].base);
    let delivered = app.wait_for_deliveries(&endpoint, &["delivered"]).await;
    let tries = app.tries(delivered[0].id).await;
    let errors: Vec<_> = tries.iter().map(|one| one.error.as_deref()).collect();
    assert_eq!(errors, [Some("interrupted"), None], "{name}");
    // At least once, and the same message each time.
    let ids: Vec<String> = receiver.received().iter().map(Received::id).collect();
    assert_eq!(ids, vec![ids[0].clone(); sent + 1], "{name}");
    is_done_once(app, &id, point).await;
}

/// The end is the same everywhere: one job at Gladia, one result, no slot held.
async fn is_done_once(app: TestApp, id: &str, point: CrashPoint) {
    let name = point.name();
    eventually(&format!("end of the job after {name}"), async || {
        (app.acme.job(id).await["status"] == "done").then_some(())
    })
    .await;
    assert_eq!(states(&app, id).await, expected(point).attempts, "{name}");
    for sum in ["creates_received", "creates_accepted", "jobs_done"] {
        assert_eq!(app.upstream.count(sum).await, 1, "{sum}, {name}");
    }
    assert_eq!(app.slots_held().await, 0, "{name}");
    let events = app.events(id).await;
    let done = events.iter().filter(|event| *event == "done").count();
    assert_eq!(done, 1, "{name}: {events:?}");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wherever_a_process_dies_another_one_finishes_the_job_and_gladia_runs_it_once() {
    futures_util::stream::iter(CrashPoint::ALL)
        .for_each_concurrent(AT_ONCE, async |point| {
            if point.name().starts_with("callback.") {
                die_while_taking_a_callback(*point).await;
            } else if point.name().starts_with("deliver.") {
                die_while_telling(*point).await;
            } else {
                die_while_submitting(*point).await;
            }
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_dies_at_the_visit_that_is_named_and_refuses_a_point_that_is_not_there() {
    let app = start().await;
    let first = app.acme.start("spoken.mp3").await;
    app.acme.wait_until_done(&first).await;
    let variables = [("GATEWAY_CRASH_AT", "submit.before_claim:2")];
    let signal = Process::serve(&app, &variables).ended_by().await;
    assert_eq!(signal, Some(SIGABRT));
    let variables = [("GATEWAY_CRASH_AT", "submit.never")];
    let signal = Process::serve(&app, &variables).ended_by().await;
    assert_eq!(signal, None);
    app.finish().await;
}
