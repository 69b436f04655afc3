//! Transcripts as files: text, subtitles, Markdown and tables, from the words that Gladia sent.
//!
//! A result is [read](speech) leniently, since it was paid for and there is no second one: only one without any
//! transcript cannot be rendered. Text and Markdown go by [turns]; subtitles by [cues](mod@cues), which are made of the
//! [pieces] between which a text may be broken; the [table] has the words one by one. Who speaks is told by
//! [voices]. Nothing here does I/O, and all of it is linear in the words but for putting them in order.

mod cues;
mod direction;
mod loose;
mod pieces;
mod speech;
mod subtitles;
mod table;
#[cfg(test)]
mod tests;
mod timing;
mod turns;
mod voices;

use std::collections::BTreeSet;

pub use self::{cues::CaptionLimits, voices::Labels};
use self::{
    cues::{LabelPlace, cues},
    speech::Speech,
};

/// Goes up whenever the same result and wishes are rendered in another way than before, so that who has a file from then
/// gets the new one.
pub const VERSION: u32 = 4;

/// What is rendered into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Plain text.
    Txt,
    /// `SubRip` subtitles.
    Srt,
    /// `WebVTT` subtitles.
    Vtt,
    /// Markdown.
    Md,
    /// Comma-separated values.
    Csv,
}

/// How a transcript is rendered.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Wishes {
    /// The language: the original where none is said, else a translation.
    pub language: Option<String>,
    /// Bounds of subtitles.
    pub limits: CaptionLimits,
    /// How voices are told apart.
    pub labels: Labels,
    /// Only these speakers, by Gladia's numbers, if any are named.
    pub speakers: BTreeSet<u32>,
    /// Only these channels, by Gladia's numbers, if any are named.
    pub channels: BTreeSet<u32>,
}

/// Why a result cannot be rendered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CannotRender {
    /// It holds no transcript.
    #[error("the result holds no transcript")]
    NoTranscript,
    /// It is not translated into this language, but into these.
    #[error("there is no such translation")]
    NoTranslation(Vec<String>),
    /// Gladia failed at the translation, and says this.
    #[error("the translation failed")]
    TranslationFailed(String),
    /// The table cannot be written.
    #[error("the table cannot be written")]
    Table,
}

/// Renders a result. `title` is what it is a transcript of.
///
/// # Errors
/// Where there is nothing to render, and why.
pub fn render(
    result: &[u8],
    format: Format,
    wishes: &Wishes,
    title: &str,
) -> Result<String, CannotRender> {
    let mut speech = Speech::read(result, wishes.language.as_deref())?;
    let is_wanted = |wanted: &BTreeSet<u32>, number: Option<u32>| {
        wanted.is_empty() || number.is_some_and(|number| wanted.contains(&number))
    };
    speech.utterances.retain(|utterance| {
        is_wanted(&wishes.speakers, utterance.speaker)
            && is_wanted(&wishes.channels, utterance.channel)
    });
    let captions = |place| cues(&speech, wishes.limits, &wishes.labels, place);
    Ok(match format {
        Format::Txt => turns::txt(&speech, &wishes.labels),
        Format::Md => turns::md(&speech, &wishes.labels, &speech::clean(title)),
        Format::Srt => subtitles::srt(&captions(LabelPlace::InText)),
        Format::Vtt => subtitles::vtt(&captions(LabelPlace::Apart)),
        Format::Csv => table::csv(&speech).map_err(|_| CannotRender::Table)?,
    })
}
