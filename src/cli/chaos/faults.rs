//! What goes wrong, and when: a schedule that follows from the seed alone.

use std::{fmt, time::Duration};

use clap::ValueEnum;
use rand::{Rng, RngExt, seq::SliceRandom};
use serde_json::{Value, json};

use super::load::HIDDEN;
use crate::dev_tools::postgres::ShutdownMode;

/// Groups of faults.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// A replica is killed, and starts again.
    Kill,
    /// A replica stands still, and goes on.
    Freeze,
    /// Postgres is restarted.
    Postgres,
    /// Postgres is lost, and its standby takes over; only with `--standby`.
    Failover,
    /// Postgres has no connection left.
    Connections,
    /// Creates are dropped, refused or answered with errors.
    Creates,
    /// Callbacks are lost, doubled, late, cut or broken off.
    Callbacks,
    /// Lists lag behind, and lists and jobs cannot be read.
    Reads,
}

/// Something that goes wrong.
#[derive(Debug, Clone, PartialEq)]
pub enum Fault {
    Kill {
        replica: usize,
        down: Duration,
    },
    Freeze {
        replica: usize,
        length: Duration,
    },
    RestartPostgres {
        mode: ShutdownMode,
    },
    LosePostgres {
        /// Whether nobody who is connected hears of it, as where its host is gone.
        is_silent: bool,
    },
    TakeConnections {
        length: Duration,
    },
    /// The simulator does something wrong for a while.
    Upstream {
        fault: Value,
        length: Duration,
    },
}

/// A fault, and how long after the one before it begins.
#[derive(Debug, Clone, PartialEq)]
pub struct Strike {
    pub pause: Duration,
    pub fault: Fault,
}

/// The cards of a deck that is dealt again and again, so that every run of some length sees each of them.
#[derive(Debug, Clone, Copy)]
enum Card {
    Kill,
    Freeze,
    FreezeLong,
    Postgres(ShutdownMode),
    Failover { is_silent: bool },
    Connections,
    Create(&'static str),
    Callback(&'static str),
    Lag,
    Unreadable(&'static str),
}

const DECK: [Card; 30] = [
    // Some replica is killed every few seconds.
    Card::Kill,
    Card::Kill,
    Card::Kill,
    Card::Kill,
    Card::Kill,
    Card::Kill,
    Card::Kill,
    Card::Kill,
    Card::Freeze,
    Card::Freeze,
    Card::FreezeLong,
    Card::Postgres(ShutdownMode::Fast),
    Card::Postgres(ShutdownMode::Immediate),
    Card::Failover { is_silent: false },
    Card::Failover { is_silent: true },
    Card::Connections,
    Card::Create("drop_before"),
    Card::Create("drop_after"),
    Card::Create("unavailable"),
    Card::Create("status_after"),
    Card::Create("busy"),
    Card::Create("delay"),
    Card::Callback("lose"),
    Card::Callback("duplicate"),
    Card::Callback("delay"),
    Card::Callback("truncate"),
    Card::Callback("break"),
    Card::Lag,
    Card::Unreadable("get"),
    Card::Unreadable("list"),
];

impl Card {
    fn kind(self) -> Kind {
        match self {
            Self::Kill => Kind::Kill,
            Self::Freeze | Self::FreezeLong => Kind::Freeze,
            Self::Postgres(_) => Kind::Postgres,
            Self::Failover { .. } => Kind::Failover,
            Self::Connections => Kind::Connections,
            Self::Create(_) => Kind::Creates,
            Self::Callback(_) => Kind::Callbacks,
            Self::Lag | Self::Unreadable(_) => Kind::Reads,
        }
    }

    fn play(self, rng: &mut impl Rng, replicas: usize) -> Fault {
        let replica = rng.random_range(0..replicas);
        let length = milliseconds(rng, 1_000, 6_000);
        let upstream = |fault| Fault::Upstream { fault, length };
        match self {
            Self::Kill => Fault::Kill {
                replica,
                down: milliseconds(rng, 200, 3_000),
            },
            Self::Freeze => Fault::Freeze {
                replica,
                length: milliseconds(rng, 1_000, 12_000),
            },
            // Longer than the lease of an attempt.
            Self::FreezeLong => Fault::Freeze {
                replica,
                length: milliseconds(rng, 17_000, 20_000),
            },
            Self::Postgres(mode) => Fault::RestartPostgres { mode },
            Self::Failover { is_silent } => Fault::LosePostgres { is_silent },
            Self::Connections => Fault::TakeConnections { length },
            Self::Create(kind) => upstream(create(kind, share(rng))),
            Self::Callback("delay") => upstream(json!({
                "operation": "callback", "kind": "delay", "probability": share(rng),
                "milliseconds": rng.random_range(500..8_000),
            })),
            Self::Callback(kind) => upstream(json!({
                "operation": "callback", "kind": kind, "probability": share(rng),
            })),
            // Below the settling time.
            Self::Lag => upstream(json!({
                "operation": "list", "kind": "lag", "milliseconds": rng.random_range(500..2_500),
            })),
            Self::Unreadable(operation) => upstream(json!({
                "operation": operation, "kind": "status", "status": 500, "probability": share(rng),
            })),
        }
    }
}

fn create(kind: &str, share: f64) -> Value {
    let status = |kind: &str, status: u16| json!({ "operation": "create", "kind": kind, "status": status, "probability": share });
    match kind {
        "unavailable" => status("status", 503),
        "status_after" => status("status_after", 500),
        "busy" => status("status", 429),
        // Longer than the gateway waits, and no longer than it lets things settle.
        "delay" => json!({
            "operation": "create", "kind": "delay", "probability": share, "milliseconds": 3_500,
        }),
        _ => json!({ "operation": "create", "kind": kind, "probability": share }),
    }
}

fn milliseconds(rng: &mut impl Rng, from: u64, to: u64) -> Duration {
    Duration::from_millis(rng.random_range(from..=to))
}

/// The share of requests or callbacks that something happens to. Sending rests after failures, so a larger share would leave
/// less to happen to.
fn share(rng: &mut impl Rng) -> f64 {
    f64::from(rng.random_range(1_u32..=5)) / 10.0
}

/// Plans faults of these kinds.
pub fn plan(rng: &mut impl Rng, faults: usize, kinds: &[Kind], replicas: usize) -> Vec<Strike> {
    let deck: Vec<Card> = DECK
        .into_iter()
        .filter(|card| kinds.contains(&card.kind()))
        .collect();
    let mut dealt: Vec<Card> = Vec::new();
    let mut strikes = Vec::new();
    while strikes.len() < faults && !deck.is_empty() {
        let Some(card) = dealt.pop() else {
            dealt = deal(rng, &deck);
            continue;
        };
        strikes.push(Strike {
            pause: milliseconds(rng, 300, 3_500),
            fault: card.play(rng, replicas),
        });
    }
    strikes
}

/// The deck in a new order, to be taken from the end: one card of each kind, then the second of each, so that a short run
/// sees every kind.
fn deal(rng: &mut impl Rng, deck: &[Card]) -> Vec<Card> {
    let mut dealt = deck.to_vec();
    dealt.shuffle(rng);
    let earlier = |at: usize| {
        let same = |card: &&Card| card.kind() == dealt[at].kind();
        dealt[..at].iter().filter(same).count()
    };
    let mut rounds: Vec<(usize, Card)> = dealt
        .iter()
        .enumerate()
        .map(|(at, card)| (earlier(at), *card))
        .collect();
    rounds.sort_by_key(|(round, _)| std::cmp::Reverse(*round));
    rounds.into_iter().map(|(_, card)| card).collect()
}

/// How long a schedule takes.
pub fn length(strikes: &[Strike]) -> Duration {
    strikes.iter().map(|strike| strike.pause).sum()
}

/// What goes wrong from the first job to the last where lists lie: they lag for longer than the settling time, and some
/// jobs, whose creates are dropped and whose callbacks are late, never show in them though later ones do.
pub fn lying_lists() -> Vec<Value> {
    vec![
        json!({ "operation": "list", "kind": "lag", "milliseconds": 8_000 }),
        json!({ "operation": "list", "kind": "omit", "job": HIDDEN }),
        json!({ "operation": "create", "kind": "drop_after", "match": HIDDEN, "probability": 0.7 }),
        json!({ "operation": "create", "kind": "drop_after", "probability": 0.1 }),
        json!({ "operation": "callback", "kind": "delay", "match": HIDDEN, "milliseconds": 40_000 }),
    ]
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kill { replica, down } => {
                write!(f, "kill serve-{}, down for {down:.1?}", replica + 1)
            }
            Self::Freeze { replica, length } => {
                write!(f, "freeze serve-{} for {length:.1?}", replica + 1)
            }
            Self::RestartPostgres { mode } => write!(f, "restart Postgres ({mode:?})"),
            Self::LosePostgres { is_silent: false } => write!(f, "lose Postgres"),
            Self::LosePostgres { is_silent: true } => write!(f, "lose Postgres without a word"),
            Self::TakeConnections { length } => {
                write!(f, "take every connection of Postgres for {length:.1?}")
            }
            Self::Upstream { fault, length } => write!(f, "Gladia: {fault} for {length:.1?}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::{SeedableRng, rngs::StdRng};

    use super::*;

    fn planned(seed: u64, faults: usize, kinds: &[Kind]) -> Vec<Strike> {
        plan(&mut StdRng::seed_from_u64(seed), faults, kinds, 3)
    }

    #[test]
    fn a_seed_gives_the_same_schedule_every_time() {
        let all = Kind::value_variants();
        assert_eq!(planned(7, 60, all), planned(7, 60, all));
        assert_ne!(planned(7, 60, all), planned(8, 60, all));
    }

    #[test]
    fn a_short_run_sees_every_kind() {
        let mut rng = StdRng::seed_from_u64(3);
        let dealt = deal(&mut rng, &DECK);
        assert_eq!(dealt.len(), DECK.len());
        let first: Vec<Kind> = dealt.iter().rev().take(8).map(|card| card.kind()).collect();
        for kind in Kind::value_variants() {
            assert!(first.contains(kind), "{kind:?} is missing");
        }
    }

    #[test]
    fn a_long_run_sees_every_fault_and_a_chosen_kind_stays_alone() {
        let strikes = planned(1, DECK.len(), Kind::value_variants());
        let upstream = |text: &str| {
            strikes.iter().any(|strike| match &strike.fault {
                Fault::Upstream { fault, .. } => fault.to_string().contains(text),
                _ => false,
            })
        };
        for kind in ["drop_before", "status_after", "truncate", "lag", "\"get\""] {
            assert!(upstream(kind), "{kind} is missing");
        }
        let kills = planned(1, 10, &[Kind::Kill]);
        assert!(
            kills
                .iter()
                .all(|strike| matches!(strike.fault, Fault::Kill { .. }))
        );
        assert_eq!(kills.len(), 10);
    }
}
