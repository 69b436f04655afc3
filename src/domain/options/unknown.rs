//! Names that are not options: what each of them probably meant.

use super::{CALLBACK_OPTIONS, found, languages, schema};

/// Longer names than this resemble nothing, and comparing them costs time.
const LONGEST_COMPARED: usize = 64;

/// How alike two names must be for the one to be suggested for the other, from 0 to 1: three edits in a name of
/// twelve letters. [`may_be_alike`] knows it too.
const ALIKE: f64 = 0.75;

/// The way past this validation, for options that are newer than this build.
const WAY_PAST: &str = "To send it to Gladia unchecked all the same, put it into `extra_options`.";

/// Options of Gladia's live API. They never did anything here, so no way past is offered.
const LIVE: &[&str] = &[
    "encoding",
    "bit_depth",
    "sample_rate",
    "channels",
    "endpointing",
    "maximum_duration_without_endpointing",
    "pre_processing",
    "realtime_processing",
    "post_processing",
    "messages_config",
    "region",
];

/// Names that Gladia shows among a job's parameters and describes nowhere.
const ONLY_SHOWN: &[&str] = &[
    "accurate_words_timestamps",
    "audio_enhancer",
    "diarization_enhanced",
    "skip_channel_deduplication",
];

/// The rule that an unknown name at the top of the body breaks. `also_known` are the gateway's own fields.
pub(super) fn option(name: &str, also_known: &[&str]) -> String {
    if LIVE.contains(&name) {
        return format!(
            "`{name}` belongs to Gladia's live API and does nothing for pre-recorded audio: leave it out."
        );
    }
    if ONLY_SHOWN.contains(&name) {
        return format!(
            "Gladia shows `{name}` among a job's parameters and describes it nowhere. {WAY_PAST}"
        );
    }
    let shown = found::name(name);
    let known = schema::known_names().iter().chain(also_known).copied();
    let meant = match (schema::home_of(name), nearest(name, known)) {
        (Some(home), _) => format!("; did you mean `{name}` inside `{home}`?"),
        // What is the gateway's own cannot be sent past it.
        (None, Some(near)) if also_known.contains(&near) => {
            return format!("`{shown}` is not known; did you mean `{near}`?");
        }
        (None, Some(near)) => format!("; did you mean `{near}`?"),
        (None, None) => ".".to_owned(),
    };
    format!("`{shown}` is not a known option{meant} {WAY_PAST}")
}

/// The rule that an unknown name inside an option breaks.
pub(super) fn field(name: &str, owner: &str, known: &[&'static str]) -> String {
    let shown = found::name(name);
    let meant = match nearest(name, known.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("it has {}.", listed(known)),
    };
    // The callback is the gateway's own matter.
    if CALLBACK_OPTIONS.contains(&owner) {
        return format!("`{shown}` is not a known field of `{owner}`; {meant}");
    }
    format!(
        "`{shown}` is not a known field of `{owner}`; {meant} To send it to Gladia unchecked all the same, put the \
         whole option into `extra_options`."
    )
}

/// The rule that a value outside a list breaks.
pub(super) fn value(subject: &str, text: &str, found: &str, allowed: &[&'static str]) -> String {
    /// Lists up to this length are shown whole.
    const FEW: usize = 8;

    let probable = languages::probable_code(text).filter(|code| allowed.contains(code));
    let near = probable.or_else(|| nearest(text, allowed.iter().copied()));
    let meant = near.map_or_else(String::new, |near| format!(" Did you mean `{near}`?"));
    if allowed.len() <= FEW {
        let allowed = listed(allowed);
        return format!("`{subject}` must be one of {allowed}; found {found}.{meant}");
    }
    let count = allowed.len();
    let hint = if near.is_some() {
        meant
    } else {
        " `allowed` lists them.".to_owned()
    };
    format!("`{subject}` must be one of Gladia's {count} values for it; found {found}.{hint}")
}

/// The names as a list in a sentence.
fn listed(names: &[&str]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    quoted.join(", ")
}

/// The candidate that `name` most resembles, if it resembles one enough.
fn nearest<'a>(name: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    if name.len() > LONGEST_COMPARED {
        return None;
    }
    let plain = plain(name);
    candidates
        .map(|candidate| (self::plain(candidate), candidate))
        // Edits are dear, and a batch may have tens of thousands of unknown names.
        .filter(|(other, _)| may_be_alike(&plain, other))
        .map(|(other, candidate)| {
            let likeness = strsim::normalized_damerau_levenshtein(&plain, &other);
            (likeness, candidate)
        })
        .filter(|(likeness, _)| *likeness >= ALIKE)
        .max_by(|(one, _), (other, _)| one.total_cmp(other))
        .map(|(_, candidate)| candidate)
}

/// Whether two names can be [`ALIKE`] at all: their lengths alone do not differ by more edits than that allows.
fn may_be_alike(one: &str, other: &str) -> bool {
    let (one, other) = (one.chars().count(), other.chars().count());
    let (shorter, longer) = (one.min(other), one.max(other));
    shorter * 4 >= longer * 3
}

/// A name without what differs between the naming styles of programs: `languageConfig` is `language_config`.
fn plain(name: &str) -> String {
    name.chars()
        .filter(|character| character.is_alphanumeric())
        .flat_map(char::to_lowercase)
        .collect()
}
