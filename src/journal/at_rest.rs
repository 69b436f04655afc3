//! What takes longer to make than to use, left to whoever needs one next.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Those that nobody uses. As many may be in use as are needed.
pub(super) struct AtRest<T> {
    kept: Mutex<Vec<T>>,
    most: usize,
}

impl<T> AtRest<T> {
    /// Keeps this many at most.
    pub(super) const fn of(most: usize) -> Self {
        Self {
            kept: Mutex::new(Vec::new()),
            most,
        }
    }

    /// One of them, or else a new one.
    pub(super) fn take_or<E>(&self, make: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
        let kept = self.kept().pop();
        kept.map_or_else(make, Ok)
    }

    /// Leaves one to the next. It is as good as a new one.
    pub(super) fn leave(&self, one: T) {
        let mut kept = self.kept();
        if kept.len() < self.most {
            kept.push(one);
        }
    }

    fn kept(&self) -> MutexGuard<'_, Vec<T>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_is_taken_first_and_no_more_is_kept_than_said() {
        let at_rest = AtRest::of(2);
        let take = || at_rest.take_or(|| Ok::<_, ()>("new"));
        assert_eq!(take(), Ok("new"));
        for one in ["first", "second", "third"] {
            at_rest.leave(one);
        }
        let taken = [take(), take(), take()];
        assert_eq!(taken, [Ok("second"), Ok("first"), Ok("new")]);
    }
}
