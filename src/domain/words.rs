//! Closed lists of words, by which SQL, JSON, logs and metrics know the cases of a type.

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

/// Makes, for a type whose cases hold nothing, the list of them, the name of each, and the way back from a name: a case that has
/// none does not compile, so none is missing in the list.
macro_rules! names {
    ($(#[$doc:meta])+ $of:ident: $($case:ident = $name:expr,)+) => {
        impl $of {
            /// Every one, in this order.
            pub const ALL: [Self; [$($name),+].len()] = [$(Self::$case),+];

            $(#[$doc])+
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$case => $name,)+
                }
            }
        }

        impl std::fmt::Display for $of {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl std::str::FromStr for $of {
            type Err = $crate::domain::words::UnknownName;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Self::ALL
                    .into_iter()
                    .find(|case| case.as_str() == text)
                    .ok_or_else(|| $crate::domain::words::UnknownName(text.to_owned()))
            }
        }
    };
}

pub(crate) use {names, words};

/// A name that is none of ours, in a place where only ours can stand.
#[derive(Debug, thiserror::Error)]
#[error("no such name: {0}")]
pub struct UnknownName(pub String);
