//! The bounds of a check, and the rules that hold in it.

/// `send_until` is so many ticks after the claim: a request leaves in the tick of the claim, or not at all.
pub const SEND_WINDOW: u8 = 1;

/// The settling time, in ticks. A request arrives sooner than this after it left, so in the same tick or the next, or
/// never.
pub const SETTLING: u8 = 1;

/// After so many ticks a lease has run out.
pub const LEASE: u8 = 1;

/// After how many settling times the oldest attempt counts without a witness, as `judge` has it.
pub const WITHOUT_WITNESS: u8 = 10;

/// Where ages end. Later than this, no rule tells one age from another.
pub const MAX_AGE: u8 = SEND_WINDOW + SETTLING * WITHOUT_WITNESS;

/// The rules. A test takes one away to see what it is there for.
#[derive(Clone, Copy, Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a rule that can be taken away by itself"
)]
pub struct Rules {
    /// An absence counts only after `send_until` and the settling time.
    pub absences_settle: bool,
    /// A witness is only who was claimed after `send_until` and the settling time, not from `send_until` on.
    pub witnesses_settle: bool,
    /// What an absence has to be witnessed by.
    pub witness: WitnessRule,
    /// An attempt has to be missing twice.
    pub twice: bool,
    /// The deadline is looked at right before the bytes leave.
    pub check_before_send: bool,
}

/// Which jobs are witnesses for an attempt, and how they are looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WitnessRule {
    /// None is needed.
    NotNeeded,
    /// Whose create was answered after the attempt's `send_until`.
    Answered,
    /// Whose claim came after it, and which the same answer shows, or one that was given before.
    Claimed,
    /// The same, but the attempt is asked for before the witness.
    AskedForBefore,
    /// The same, but the witness is asked for by a request that another replica may answer, which is behind or ahead.
    AskedForApart,
}

impl Rules {
    /// All of them.
    pub const ALL: Self = Self {
        absences_settle: true,
        witnesses_settle: true,
        witness: WitnessRule::Claimed,
        twice: true,
        check_before_send: true,
    };
}

/// What Gladia's list shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum List {
    /// There is none to look at (zero data retention), or nothing is sent again by itself.
    Unused,
    /// All that was accepted up to some instant, which may be so many ticks ago, and another one at each look.
    Lags(u8),
    /// Nothing, ever.
    Blind,
}

/// A system to check.
#[derive(Clone, Copy, Debug)]
pub struct World {
    /// The rules.
    pub rules: Rules,
    /// The cap.
    pub cap: usize,
    /// How many attempts a job may have. A claim beyond it is outside of the check.
    pub attempts: usize,
    /// Gladia's list.
    pub list: List,
    /// Whether Gladia keeps results, so that a GET finds what no callback brought.
    pub keeps_results: bool,
    /// How many times each callback comes at most.
    pub callbacks: u8,
    /// How many processes may freeze in the window.
    pub freezes: u8,
    /// How many looks may lie.
    pub lies: u8,
    /// How many jobs their callers may cancel.
    pub cancels: u8,
    /// How many jobs that have failed their callers may have tried again.
    pub retries: u8,
    /// Whether Gladia may end a job with an error.
    pub upstream_fails: bool,
    /// Whether Gladia may refuse with 429.
    pub upstream_refuses: bool,
}

impl World {
    /// Two jobs, two slots, a list that lags for longer than the settling time; nothing exceptional.
    pub const PLAIN: Self = Self {
        rules: Rules::ALL,
        cap: 2,
        attempts: 2,
        list: List::Lags(SETTLING + 1),
        keeps_results: true,
        callbacks: 1,
        freezes: 0,
        lies: 0,
        cancels: 0,
        retries: 0,
        upstream_fails: false,
        upstream_refuses: false,
    };
}
