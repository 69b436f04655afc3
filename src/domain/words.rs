//! Closed lists of words, by which SQL, logs and metrics know the cases of a type.

/// Makes, in an `impl`, what gives each case its word, and the list of all words: a case that has none does not compile, so
/// none is missing in the list.
macro_rules! words {
    ($(#[$doc:meta])+ $word:ident(&self): $($case:ident = $text:literal,)+) => {
        words!(@ $(#[$doc])+ $word(self, &Self): $($case = $text,)+);
    };
    ($(#[$doc:meta])+ $word:ident(self): $($case:ident = $text:literal,)+) => {
        words!(@ $(#[$doc])+ $word(self, Self): $($case = $text,)+);
    };
    (@ $(#[$doc:meta])+ $word:ident($this:ident, $of:ty): $($case:ident = $text:literal,)+) => {
        /// Every word.
        pub const WORDS: &'static [&'static str] = &[$($text,)+];

        $(#[$doc])+
        #[must_use]
        pub fn $word($this: $of) -> &'static str {
            match $this {
                $(Self::$case { .. } => $text,)+
            }
        }
    };
}

pub(crate) use words;
