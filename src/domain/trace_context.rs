//! W3C Trace Context: which trace a request belongs to, as its caller says.
//!
//! `traceparent` is read as the recommendation has it: version 00 exactly, a later version as far as it looks like 00. What
//! is malformed counts as not there, and so does a `tracestate` beside it: nothing here ever refuses a request.

use std::{fmt, str::FromStr};

/// How much of a `tracestate` is kept: what everybody has to pass on at least.
const MOST_STATE_BYTES: usize = 512;

/// A longer member of it goes first where there is not enough room.
const LONG_MEMBER_BYTES: usize = 128;

/// How many members a `tracestate` may have.
const MOST_MEMBERS: usize = 32;

/// The flags that have a meaning: sampled, and a trace id that is random.
const KNOWN_FLAGS: u8 = 0b11;

/// A place in a trace: what goes on later belongs below it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceContext {
    /// Trace and span.
    pub traceparent: TraceParent,
    /// What the systems on the way have added for themselves.
    pub tracestate: Option<TraceState>,
}

impl TraceContext {
    /// Reads the headers of a request, each as often as it came. `None` where they name no trace.
    #[must_use]
    pub fn from_headers(traceparent: &[&str], tracestate: &[&str]) -> Option<Self> {
        // Of two it cannot be said which one counts.
        let [traceparent] = traceparent else {
            return None;
        };
        Some(Self {
            traceparent: traceparent.parse().ok()?,
            tracestate: TraceState::from_headers(tracestate),
        })
    }

    /// The same place after a way through the database.
    #[must_use]
    pub fn from_stored(traceparent: Option<&str>, tracestate: Option<&str>) -> Option<Self> {
        let tracestate: Vec<&str> = tracestate.into_iter().collect();
        Self::from_headers(&[traceparent?], &tracestate)
    }
}

/// What is not a `traceparent`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no traceparent")]
pub struct Malformed;

/// `traceparent`: the trace, the span in it, and whether the trace is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceParent {
    trace_id: u128,
    span_id: u64,
    flags: u8,
}

impl TraceParent {
    /// Puts one together. `None` where an id is zero, which names nothing.
    #[must_use]
    pub fn new(trace_id: u128, span_id: u64, flags: u8) -> Option<Self> {
        (trace_id != 0 && span_id != 0).then_some(Self {
            trace_id,
            span_id,
            flags: flags & KNOWN_FLAGS,
        })
    }

    /// The trace.
    #[must_use]
    pub fn trace_id(self) -> u128 {
        self.trace_id
    }

    /// The span in it.
    #[must_use]
    pub fn span_id(self) -> u64 {
        self.span_id
    }

    /// Whether the trace is recorded, and what else is known of it.
    #[must_use]
    pub fn flags(self) -> u8 {
        self.flags
    }

    /// The trace as logs name it.
    #[must_use]
    pub fn trace_name(self) -> String {
        format!("{:032x}", self.trace_id)
    }
}

impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "00-{:032x}-{:016x}-{:02x}",
            self.trace_id, self.span_id, self.flags
        )
    }
}

impl FromStr for TraceParent {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let text = text.trim_matches([' ', '\t']);
        let mut parts = text.splitn(5, '-');
        let mut part = |digits| hex(parts.next().ok_or(Malformed)?, digits);
        let (version, trace_id, span_id, flags) = (part(2)?, part(32)?, part(16)?, part(2)?);
        match (version, parts.next()) {
            (0xff, _) | (0, Some(_)) => return Err(Malformed),
            // What a later version adds stands behind another dash.
            _ => {}
        }
        let span_id = u64::try_from(span_id).map_err(|_| Malformed)?;
        let flags = u8::try_from(flags).map_err(|_| Malformed)?;
        Self::new(trace_id, span_id, flags).ok_or(Malformed)
    }
}

/// So many digits, in lower case as they have to be.
fn hex(text: &str, digits: usize) -> Result<u128, Malformed> {
    let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    if text.len() != digits || !text.bytes().all(is_hex) {
        return Err(Malformed);
    }
    u128::from_str_radix(text, 16).map_err(|_| Malformed)
}

/// `tracestate`: members that are well-formed, in their order, and no more than there is room for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceState(String);

impl TraceState {
    /// Reads the header, which may have come in parts. `None` where it is malformed, or says nothing.
    #[must_use]
    pub fn from_headers(headers: &[&str]) -> Option<Self> {
        let mut members: Vec<&str> = Vec::new();
        for member in headers.iter().flat_map(|header| header.split(',')) {
            let member = member.trim_matches([' ', '\t']);
            if member.is_empty() {
                continue;
            }
            let (key, value) = member.split_once('=')?;
            let is_known = members.iter().any(|known| key_of(known) == key);
            if is_known || !is_key(key) || !is_value(value) || members.len() == MOST_MEMBERS {
                return None;
            }
            members.push(member);
        }
        while bytes(&members) > MOST_STATE_BYTES {
            let long = members
                .iter()
                .rposition(|member| member.len() > LONG_MEMBER_BYTES);
            match long {
                Some(index) => drop(members.remove(index)),
                None => drop(members.pop()),
            }
        }
        (!members.is_empty()).then(|| Self(members.join(",")))
    }

    /// As it stands in the header.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// How long members are with the commas between them.
fn bytes(members: &[&str]) -> usize {
    let commas = members.len().saturating_sub(1);
    members.iter().map(|member| member.len()).sum::<usize>() + commas
}

fn key_of(member: &str) -> &str {
    member.split_once('=').map_or(member, |(key, _)| key)
}

fn is_key(key: &str) -> bool {
    let is_alphanumeric = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    (1..=256).contains(&key.len())
        && key.bytes().next().is_some_and(is_alphanumeric)
        && key
            .bytes()
            .all(|byte| is_alphanumeric(byte) || b"_-*/@".contains(&byte))
}

fn is_value(value: &str) -> bool {
    (1..=256).contains(&value.len())
        && value
            .bytes()
            .all(|byte| (b' '..=b'~').contains(&byte) && byte != b',' && byte != b'=')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn a_traceparent_comes_out_as_it_went_in() {
        let parent: TraceParent = PARENT.parse().unwrap();
        assert_eq!(parent.to_string(), PARENT);
        assert_eq!(parent.trace_name(), "0af7651916cd43dd8448eb211c80319c");
        assert_eq!(parent.flags(), 1);
        let unsampled = PARENT.replace("-01", "-00");
        assert_eq!(unsampled.parse::<TraceParent>().unwrap().flags(), 0);
        assert_eq!(format!(" {PARENT}\t").parse(), Ok(parent));
    }

    #[test]
    fn later_versions_are_read_as_far_as_they_look_like_this_one() {
        let parent: TraceParent = PARENT.parse().unwrap();
        for later in ["cc-", "01-"] {
            let later = PARENT.replacen("00-", later, 1);
            assert_eq!(later.parse(), Ok(parent), "{later}");
            assert_eq!(format!("{later}-what-comes").parse(), Ok(parent), "{later}");
            assert_eq!(
                format!("{later}.what").parse::<TraceParent>(),
                Err(Malformed)
            );
        }
        // Flags without a meaning are not passed on.
        let flags = PARENT.replace("-01", "-ff").parse::<TraceParent>().unwrap();
        assert_eq!(flags.to_string(), PARENT.replace("-01", "-03"));
    }

    #[test]
    fn what_is_malformed_is_not_there() {
        for malformed in [
            "",
            "00",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-1",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0af7651916cd43dd8448eb211c8031-b7ad6b7169203331-01",
            "00-+af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "0-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        ] {
            assert_eq!(
                malformed.parse::<TraceParent>(),
                Err(Malformed),
                "{malformed}"
            );
            assert_eq!(TraceContext::from_headers(&[malformed], &["a=1"]), None);
        }
        assert_eq!(TraceContext::from_headers(&[PARENT, PARENT], &[]), None);
        assert_eq!(TraceContext::from_headers(&[], &["a=1"]), None);
    }

    #[test]
    fn a_tracestate_is_kept_in_its_order_and_without_its_gaps() {
        let state = |headers: &[&str]| TraceState::from_headers(headers).map(|state| state.0);
        assert_eq!(
            state(&["rojo=00f067aa0ba902b7 , ,\tcongo=t61", "1@sys=a b"]).as_deref(),
            Some("rojo=00f067aa0ba902b7,congo=t61,1@sys=a b")
        );
        for malformed in [
            "a", "a=", "=1", "A=1", "a=1,a=2", "a=1=2", "a=\u{e9}", "-a=1",
        ] {
            assert_eq!(state(&[malformed]), None, "{malformed}");
            let context = TraceContext::from_headers(&[PARENT], &[malformed]).unwrap();
            assert_eq!(context.tracestate, None, "{malformed}");
        }
        let many: Vec<String> = (0..33).map(|number| format!("k{number}=v")).collect();
        assert_eq!(state(&[&many[..32].join(",")]), Some(many[..32].join(",")));
        assert_eq!(state(&[&many.join(",")]), None);
        assert_eq!(state(&["", " , "]), None);
    }

    #[test]
    fn of_a_long_tracestate_the_long_members_go_first_and_then_the_last_ones() {
        let long = format!("long={}", "x".repeat(200));
        let short: Vec<String> = (10..20)
            .map(|number| format!("k{number}={}", "v".repeat(36)))
            .collect();
        let all = format!("{long},{}", short.join(","));
        let kept = TraceState::from_headers(&[&all]).unwrap();
        assert_eq!(kept.as_str(), short.join(","));

        let many: Vec<String> = (10..30)
            .map(|number| format!("k{number}={}", "v".repeat(36)))
            .collect();
        let kept = TraceState::from_headers(&[&many.join(",")]).unwrap();
        assert_eq!(kept.as_str(), many[..12].join(","));
    }

    proptest! {
        #[test]
        fn every_place_can_be_written_and_read(trace in 1_u128.., span in 1_u64.., flags in 0_u8..=3) {
            let parent = TraceParent::new(trace, span, flags).unwrap();
            prop_assert_eq!(parent.to_string().parse(), Ok(parent));
        }

        #[test]
        fn whatever_is_taken_is_short_and_is_taken_again(parent in ".{0,70}", state in "[a-z0-9=, @_é-]{0,700}") {
            prop_assert!(parent.parse::<TraceParent>().is_err());
            if let Some(kept) = TraceState::from_headers(&[&state]) {
                prop_assert!(kept.as_str().len() <= MOST_STATE_BYTES);
                prop_assert_eq!(TraceState::from_headers(&[kept.as_str()]), Some(kept));
            }
        }
    }
}
