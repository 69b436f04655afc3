//! How far a JSON text goes, seen before it is parsed.
//!
//! An object of seven bytes takes some six hundred once it is parsed, and a number of one digit some forty, so what the length of
//! a body allows could take a hundred times as much memory; and so again whenever its job is read. What goes very deep could be parsed, and not be read again where
//! it is stored a level deeper.

use crate::domain::options::MOST_METADATA_LEVELS;

/// How far it may go.
#[derive(Debug, Clone, Copy)]
pub struct Extent {
    /// How many objects and arrays there may be.
    containers: usize,
    /// How many values there may be in all.
    values: usize,
    /// How many of them may lie within each other.
    levels: usize,
}

/// A request.
pub const OF_REQUEST: Extent = Extent {
    containers: 10_000,
    values: 100_000,
    levels: 100,
};

/// All requests of a batch together, each of which is looked at by itself as well.
pub const OF_BATCH: Extent = Extent {
    containers: 300_000,
    values: 500_000,
    levels: usize::MAX,
};

/// The metadata that a list is asked for: as deep as those of a job may be. The query that they stand in is short.
pub const OF_METADATA: Extent = Extent {
    containers: usize::MAX,
    values: usize::MAX,
    levels: MOST_METADATA_LEVELS,
};

/// How it goes further.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Beyond {
    /// It has too much in it.
    TooMuch(String),
    /// It is nothing that can be read.
    Levels(String),
}

/// Looks at what may be JSON.
///
/// # Errors
/// The bound that it breaks.
pub fn check(text: &[u8], most: Extent) -> Result<(), Beyond> {
    let (mut containers, mut commas, mut levels) = (0, 0, 0_usize);
    let mut is_in_string = false;
    let mut bytes = text.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => is_in_string = !is_in_string,
            // Whatever is escaped ends no string.
            b'\\' if is_in_string => {
                bytes.next();
            }
            b'{' | b'[' if !is_in_string => {
                containers += 1;
                levels += 1;
                if containers > most.containers {
                    let found = format!("more than {} objects and arrays", most.containers);
                    return Err(Beyond::TooMuch(found));
                }
                if levels > most.levels {
                    let found = format!("objects and arrays more than {} levels deep", most.levels);
                    return Err(Beyond::Levels(found));
                }
            }
            b'}' | b']' if !is_in_string => levels = levels.saturating_sub(1),
            b',' if !is_in_string => {
                commas += 1;
                // Each stands behind a value.
                if commas >= most.values {
                    let found = format!("more than {} values", most.values);
                    return Err(Beyond::TooMuch(found));
                }
            }
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOST: Extent = Extent {
        containers: 10,
        values: 20,
        levels: 3,
    };

    #[test]
    fn objects_and_arrays_are_counted_and_what_stands_in_strings_is_not() {
        let list = |count: usize| format!("[{}{{}}]", r#"{"{[\"{\\":"["},"#.repeat(count - 2));
        assert_eq!(check(list(10).as_bytes(), MOST), Ok(()));
        let error = check(list(11).as_bytes(), MOST).unwrap_err();
        assert_eq!(
            error,
            Beyond::TooMuch("more than 10 objects and arrays".to_owned())
        );
    }

    #[test]
    fn values_are_counted_whatever_they_are() {
        let list = |count: usize| format!(r#"[{}{{"a":"1,2"}}]"#, "0,".repeat(count - 1));
        assert_eq!(check(list(20).as_bytes(), MOST), Ok(()));
        let error = check(list(21).as_bytes(), MOST).unwrap_err();
        assert_eq!(error, Beyond::TooMuch("more than 20 values".to_owned()));
    }

    #[test]
    fn what_is_closed_is_no_level() {
        assert_eq!(check(b"[[{}], [[]]]", MOST), Ok(()));
        let error = check(b"[[], [{\"a\": []}]]", MOST).unwrap_err();
        assert_eq!(
            error,
            Beyond::Levels("objects and arrays more than 3 levels deep".to_owned())
        );
    }

    #[test]
    fn whatever_it_is_no_byte_is_too_many() {
        for text in ["", "\"", "\"\\", "]]]]", "{]", "\\\"{"] {
            assert_eq!(check(text.as_bytes(), MOST), Ok(()), "{text}");
        }
    }
}
