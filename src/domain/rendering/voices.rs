//! Who is heard: a speaker on a channel, with a label where it helps.

use std::collections::{BTreeMap, BTreeSet};

use super::speech::{Speech, Utterance};

/// How voices are told apart.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Labels {
    /// Whether they have labels. If it is not said: where there is more than one voice, or a name for any.
    pub shown: Option<bool>,
    /// Names of speakers, by Gladia's numbers.
    pub speaker_names: BTreeMap<u32, String>,
    /// Names of channels, by Gladia's numbers.
    pub channel_names: BTreeMap<u32, String>,
}

/// A voice: the channel and the speaker, as far as they are known.
pub(super) type Voice = (Option<u32>, Option<u32>);

/// The voice of an utterance.
pub(super) fn voice(utterance: &Utterance) -> Voice {
    (utterance.channel, utterance.speaker)
}

/// The labels of all voices.
#[derive(Debug, Default)]
pub(super) struct Voices {
    labels: BTreeMap<Voice, String>,
}

impl Voices {
    /// Finds the voices of a transcript and what to call them.
    pub(super) fn of(speech: &Speech, wanted: &Labels) -> Self {
        let voices: BTreeSet<Voice> = speech.utterances.iter().map(voice).collect();
        let channels: BTreeSet<u32> = voices.iter().filter_map(|(channel, _)| *channel).collect();
        let mut channels_of: BTreeMap<Option<u32>, usize> = BTreeMap::new();
        for (_, speaker) in &voices {
            *channels_of.entry(*speaker).or_default() += 1;
        }
        let label = |(channel, speaker): Voice| {
            let named = channel.and_then(|number| wanted.channel_names.get(&number));
            // The same number on two channels may be two people.
            let is_ambiguous = channels_of.get(&speaker).is_some_and(|count| *count > 1);
            let by_number = || {
                let tells = channels.len() > 1 && is_ambiguous;
                channel.filter(|_| tells).map(|n| numbered("Channel", n))
            };
            let channel = named.cloned().or_else(by_number);
            let speaker = speaker.map(|number| {
                let named = wanted.speaker_names.get(&number);
                named
                    .cloned()
                    .unwrap_or_else(|| numbered("Speaker", number))
            });
            let parts: Vec<String> = channel.into_iter().chain(speaker).collect();
            (!parts.is_empty()).then(|| parts.join(", "))
        };
        let labels = voices.iter().copied();
        let labels = labels.filter_map(|voice| Some((voice, label(voice)?)));
        let labelled = Self {
            labels: labels.collect(),
        };
        let is_named = !wanted.speaker_names.is_empty() || !wanted.channel_names.is_empty();
        let is_shown = wanted
            .shown
            .unwrap_or(is_named || labelled.labels().len() > 1);
        if is_shown { labelled } else { Self::default() }
    }

    /// What to call a voice, if it is to be called anything.
    pub(super) fn label(&self, voice: Voice) -> Option<&str> {
        self.labels.get(&voice).map(String::as_str)
    }

    /// All labels, each once.
    pub(super) fn labels(&self) -> BTreeSet<&str> {
        self.labels.values().map(String::as_str).collect()
    }
}

/// People count from one.
fn numbered(what: &str, number: u32) -> String {
    format!("{what} {}", u64::from(number) + 1)
}
