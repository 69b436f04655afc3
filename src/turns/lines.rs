//! Who has a turn, who waits for one, and who is next.

use std::collections::{BTreeMap, BTreeSet, HashMap, hash_map::Entry};

use super::By;

/// Turns, and a line for each tenant somebody of whom waits.
#[derive(Debug)]
pub(super) struct Lines<W> {
    at_once: usize,
    most_waiting: usize,
    /// How many turns are taken. More than may be, where pauses have ended.
    taken: usize,
    /// The same without what a tenant has beyond the half that it may have: whoever comes back from pauses by the hundred takes
    /// nothing from others.
    counted: usize,
    of: HashMap<By, Own<W>>,
    /// Those of whom somebody waits: who has the fewest turns is first, and among those who has waited longest.
    next: BTreeSet<(usize, u64, By)>,
    waiting: usize,
    next_number: u64,
}

/// What is one tenant's. There is none of whoever has no turn and waits for none.
#[derive(Debug)]
struct Own<W> {
    taken: usize,
    /// By the order in which they came.
    line: BTreeMap<u64, W>,
}

impl<W> Default for Own<W> {
    fn default() -> Self {
        Self {
            taken: 0,
            line: BTreeMap::new(),
        }
    }
}

impl<W> Own<W> {
    /// Its place among those of whom somebody waits.
    fn place(&self, by: By) -> Option<(usize, u64, By)> {
        let (first, _) = self.line.first_key_value()?;
        Some((self.taken, *first, by))
    }
}

impl<W> Lines<W> {
    /// So many turns at once, and so many who wait.
    pub(super) fn new(at_once: usize, most_waiting: usize) -> Self {
        Self {
            at_once,
            most_waiting,
            taken: 0,
            counted: 0,
            of: HashMap::new(),
            next: BTreeSet::new(),
            waiting: 0,
            next_number: 0,
        }
    }

    /// Whether a tenant may have one more: it has fewer than are free.
    pub(super) fn is_free_for(&self, by: By) -> bool {
        self.may_have(self.of.get(&by).map_or(0, |own| own.taken))
    }

    fn may_have(&self, taken: usize) -> bool {
        let free = self.at_once.saturating_sub(self.counted);
        free > 0 && taken < free
    }

    /// Whether somebody of a tenant waits.
    pub(super) fn is_waited_by(&self, by: By) -> bool {
        self.of.get(&by).is_some_and(|own| !own.line.is_empty())
    }

    /// How many wait.
    pub(super) fn waiting(&self) -> usize {
        self.waiting
    }

    /// How many turns are taken.
    pub(super) fn taken(&self) -> usize {
        self.taken
    }

    /// Takes a turn, free or not.
    pub(super) fn take(&mut self, by: By) {
        self.taken += 1;
        self.change(by, |own| own.taken += 1);
    }

    /// Gives one back.
    pub(super) fn give_back(&mut self, by: By) {
        self.taken -= 1;
        self.change(by, |own| own.taken -= 1);
    }

    /// Puts somebody at the end of its tenant's line, and returns its number. `None` unless more places are left than that line
    /// already has.
    pub(super) fn line_up(&mut self, by: By, waits: W) -> Option<u64> {
        let left = self.most_waiting.saturating_sub(self.waiting);
        let own = self.of.get(&by).map_or(0, |own| own.line.len());
        if own >= left {
            return None;
        }
        let number = self.next_number;
        self.next_number += 1;
        self.waiting += 1;
        self.change(by, |own| {
            own.line.insert(number, waits);
        });
        Some(number)
    }

    /// Lets somebody leave its line.
    pub(super) fn leave(&mut self, by: By, number: u64) {
        let mut left = None;
        if self.is_waited_by(by) {
            self.change(by, |own| left = own.line.remove(&number));
        }
        self.waiting -= usize::from(left.is_some());
    }

    /// Whoever is next leaves its line, unless none of those who wait may have a turn.
    pub(super) fn next(&mut self) -> Option<(By, W)> {
        let &(taken, number, by) = self.next.first()?;
        // Nobody who waits has fewer.
        if !self.may_have(taken) {
            return None;
        }
        let mut first = None;
        self.change(by, |own| first = own.line.remove(&number));
        self.waiting -= 1;
        Some((by, first?))
    }

    /// Changes what is one tenant's, and its place along with it.
    fn change(&mut self, by: By, change: impl FnOnce(&mut Own<W>)) {
        let mut entry = match self.of.entry(by) {
            Entry::Occupied(entry) => entry,
            Entry::Vacant(entry) => entry.insert_entry(Own::default()),
        };
        let own = entry.get_mut();
        if let Some(place) = own.place(by) {
            self.next.remove(&place);
        }
        let most_of_one = self.at_once.div_ceil(2);
        self.counted -= own.taken.min(most_of_one);
        change(own);
        self.counted += own.taken.min(most_of_one);
        match own.place(by) {
            Some(place) => {
                self.next.insert(place);
            }
            None if own.taken == 0 => {
                entry.remove();
            }
            None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::domain::ids::TenantId;

    fn of(tenant: impl Into<Option<u128>>) -> By {
        let tenant: u128 = tenant.into()?;
        Some(TenantId(Uuid::from_u128(tenant)))
    }

    fn take_all(lines: &mut Lines<&str>, by: By) -> usize {
        let mut taken = 0;
        while lines.is_free_for(by) {
            lines.take(by);
            taken += 1;
        }
        taken
    }

    #[test]
    fn a_tenant_alone_has_half_and_leaves_turns_to_every_other() {
        let mut lines = Lines::new(12, 10);
        assert_eq!(take_all(&mut lines, of(1)), 6);
        assert_eq!(take_all(&mut lines, of(2)), 3);
        assert_eq!(take_all(&mut lines, of(3)), 2);
        assert_eq!(take_all(&mut lines, of(None)), 1);
        assert!(!lines.is_free_for(of(4)), "all are taken");
        lines.give_back(of(1));
        assert!(lines.is_free_for(of(4)));
        assert!(!lines.is_free_for(of(1)));
    }

    #[test]
    fn whoever_comes_back_from_many_pauses_leaves_turns_to_others() {
        let mut lines = Lines::<()>::new(4, 10);
        for _ in 0..100 {
            lines.take(of(1));
        }
        assert!(!lines.is_free_for(of(1)));
        assert!(lines.is_free_for(of(2)));
        for _ in 0..100 {
            lines.give_back(of(1));
        }
        assert!(lines.is_free_for(of(1)));
        assert_eq!((lines.taken(), lines.counted), (0, 0));
    }

    #[test]
    fn whoever_has_the_fewest_turns_is_next_and_then_who_has_waited_longest() {
        let mut lines = Lines::new(6, 10);
        for by in [of(1), of(1), of(1), of(2)] {
            lines.take(by);
        }
        lines.line_up(of(1), "one of the greedy").unwrap();
        lines.line_up(of(2), "one who has one").unwrap();
        lines.line_up(of(3), "one who has none").unwrap();
        lines.line_up(of(None), "another who has none").unwrap();
        let mut order = Vec::new();
        while let Some((by, waits)) = lines.next() {
            lines.take(by);
            order.push(waits);
        }
        assert_eq!(order, ["one who has none", "another who has none"]);
        for _ in 0..3 {
            lines.give_back(of(1));
        }
        assert_eq!(lines.next(), Some((of(1), "one of the greedy")));
        assert_eq!(lines.next(), Some((of(2), "one who has one")));
        assert_eq!(lines.next(), None);
    }

    #[test]
    fn a_long_line_leaves_places_to_other_tenants_lines() {
        let mut lines = Lines::new(0, 8);
        let greedy = std::iter::from_fn(|| lines.line_up(of(1), "")).count();
        assert_eq!(greedy, 4);
        assert!(lines.line_up(of(2), "").is_some());
        assert_eq!(lines.waiting(), 5);
    }

    #[test]
    fn whoever_leaves_is_not_next_and_nothing_is_remembered_of_who_is_gone() {
        let mut lines = Lines::new(1, 10);
        let first = lines.line_up(of(1), "first").unwrap();
        lines.line_up(of(1), "second").unwrap();
        lines.leave(of(1), first);
        lines.leave(of(1), first);
        assert_eq!(lines.waiting(), 1);
        assert_eq!(lines.next(), Some((of(1), "second")));
        lines.leave(of(1), first);
        lines.take(of(1));
        lines.give_back(of(1));
        assert!(lines.of.is_empty() && lines.next.is_empty());
        assert_eq!((lines.taken(), lines.waiting()), (0, 0));
    }
}
