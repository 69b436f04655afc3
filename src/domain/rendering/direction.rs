//! Which way a text runs.
//!
//! Whoever shows a line lays it out in the direction of its first letter. That of a row, a part of a text, may be another
//! one than that of the text, such as where an Arabic sentence is broken before a Latin name. Characters that nobody sees
//! put this right.

use std::cmp::Ordering;

use unicode_bidi::{BidiClass, bidi_class, get_base_direction};

/// Which way letters follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    LeftToRight,
    RightToLeft,
    /// Without letters, there is none.
    Neither,
}

impl Direction {
    /// The direction of most letters of a text.
    pub(super) fn of(text: &str) -> Self {
        let (mut to_right, mut to_left) = (0_usize, 0_usize);
        for c in text.chars() {
            match bidi_class(c) {
                BidiClass::L => to_right += 1,
                BidiClass::R | BidiClass::AL => to_left += 1,
                _ => {}
            }
        }
        match to_right.cmp(&to_left) {
            Ordering::Greater => Self::LeftToRight,
            Ordering::Less => Self::RightToLeft,
            Ordering::Equal => Self::of_first(text),
        }
    }

    /// The direction of the first letter that is not set apart.
    fn of_first(text: &str) -> Self {
        match get_base_direction(text) {
            unicode_bidi::Direction::Ltr => Self::LeftToRight,
            unicode_bidi::Direction::Rtl => Self::RightToLeft,
            unicode_bidi::Direction::Mixed => Self::Neither,
        }
    }
}

/// A row of a text that runs in this direction: a mark at its beginning (U+200E or U+200F) has it run so too, where its
/// first letter would not.
pub(super) fn running(row: String, text: Direction) -> String {
    use Direction::{LeftToRight, Neither, RightToLeft};
    match (text, Direction::of_first(&row)) {
        (RightToLeft, LeftToRight | Neither) => format!("\u{200f}{row}"),
        (LeftToRight, RightToLeft) => format!("\u{200e}{row}"),
        _ => row,
    }
}

/// A label as it stands before a text in the same line. One that runs in the other direction than the text is set apart
/// (U+2068, U+2069), so that the text keeps its own.
pub(super) fn before(label: &str, text: Direction) -> String {
    use Direction::{LeftToRight, RightToLeft};
    match (Direction::of(label), text) {
        (LeftToRight, RightToLeft) | (RightToLeft, LeftToRight) => {
            format!("\u{2068}{label}\u{2069}:")
        }
        _ => format!("{label}:"),
    }
}
