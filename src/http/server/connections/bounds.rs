//! How many connections there may be: what the limit of file descriptors leaves beside the service's own needs, within what memory
//! bears.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// How many connections there may be besides those of streams and of requests that wait.
const OTHERS: usize = 4096;

/// How many descriptors are kept for whatever the service opens itself, besides connections to Postgres and to receivers: look-ups
/// of their names, requests to Gladia, files of the spool.
const OWN: usize = 512;

/// Where there are few descriptors, this part of them is kept for that.
const OWN_PART: usize = 3;

/// Those of a listener for callbacks alone are so large a part of all, and no more than so many.
const CALLBACKS: (usize, usize) = (8, 1024);

/// The same of one for probes and metrics alone.
const OPS: (usize, usize) = (16, 64);

/// How many file descriptors this process may have, once it may have as many as the system lets it: the bound that it begins
/// with is often 1024, for the sake of programs that know no larger numbers.
#[must_use]
pub fn raise_file_limit() -> usize {
    // Where the system does not say, it is the least that is usual.
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap_or((1024, 1024));
    let raised = soft < hard && setrlimit(Resource::RLIMIT_NOFILE, hard, hard).is_ok();
    usize::try_from(if raised { hard } else { soft }).unwrap_or(usize::MAX)
}

/// What the bounds depend on.
#[derive(Debug, Clone, Copy)]
pub struct Wanted {
    /// How many file descriptors there are.
    pub files: usize,
    /// How many of them are for Postgres.
    pub database: usize,
    /// How many of them may be for connections to receivers.
    pub receivers: usize,
    /// How many streams there may be, and requests that wait.
    pub long: usize,
    /// Whether callbacks have a listener of their own.
    pub own_callbacks: bool,
    /// Whether probes and metrics have one.
    pub own_ops: bool,
}

/// How many connections each listener may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// The one that serves everything which has none of its own.
    pub main: usize,
    /// The one for callbacks alone.
    pub callbacks: usize,
    /// The one for probes and metrics alone.
    pub ops: usize,
}

impl Bounds {
    /// Shares the file descriptors out.
    #[must_use]
    pub fn of(wanted: Wanted) -> Self {
        let own = (wanted.files / OWN_PART).min(OWN + wanted.receivers) + wanted.database;
        let all = wanted.files.saturating_sub(own);
        let part = |is_there: bool, (part, most): (usize, usize)| {
            if is_there { (all / part).min(most) } else { 0 }
        };
        let (callbacks, ops) = (
            part(wanted.own_callbacks, CALLBACKS),
            part(wanted.own_ops, OPS),
        );
        Self {
            main: (all - callbacks - ops).min(wanted.long.saturating_add(OTHERS)),
            callbacks,
            ops,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_limit_is_shared_out() {
        let wanted = Wanted {
            files: 1024,
            database: 20,
            receivers: 768,
            long: 12_000,
            own_callbacks: false,
            own_ops: false,
        };
        let main = |files| Bounds::of(Wanted { files, ..wanted }).main;
        assert_eq!(main(1024), 663);
        // What the documents ask for lets in all streams and all who wait, at once.
        assert!(main(13_500) > 12_000);
        // Memory has its bounds, too.
        assert_eq!(main(1_048_576), 12_000 + OTHERS);
        assert_eq!(main(usize::MAX), 12_000 + OTHERS);
        assert_eq!(main(0), 0);
        let apart = Bounds::of(Wanted {
            own_callbacks: true,
            own_ops: true,
            ..wanted
        });
        assert_eq!(
            apart,
            Bounds {
                main: 540,
                callbacks: 82,
                ops: 41
            }
        );
    }
}
