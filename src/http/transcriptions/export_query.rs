//! What an export may be asked for: its formats, and their parameters.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::RangeInclusive,
    time::Duration,
};

use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;

use crate::{
    domain::rendering::{CaptionLimits, Format, Labels, Wishes},
    http::{
        problem::Problem,
        request::query::{self, Taken},
    },
};

/// Speakers and channels that are named or picked are no more than these; and a name is no longer, in characters.
const MOST: usize = 100;

/// What a transcription is exported as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ExportFormat {
    /// Plain text.
    Txt,
    /// `SubRip` subtitles.
    Srt,
    /// `WebVTT` subtitles.
    Vtt,
    /// Markdown.
    Md,
    /// The words as comma-separated values.
    Csv,
    /// Gladia's result object, of which the document has an operation of its own.
    #[serde(skip)]
    Json,
}

impl ExportFormat {
    const ALL: [(&'static str, Self); 6] = [
        ("txt", Self::Txt),
        ("srt", Self::Srt),
        ("vtt", Self::Vtt),
        ("md", Self::Md),
        ("csv", Self::Csv),
        ("json", Self::Json),
    ];

    /// The format of this name.
    pub fn find(name: &str) -> Option<Self> {
        let found = Self::ALL.iter().find(|(known, _)| *known == name);
        found.map(|(_, format)| *format)
    }

    /// The names of all formats, for people.
    pub fn names() -> String {
        Self::ALL.map(|(name, _)| name).join(", ")
    }

    /// Its name, which is also the extension of its files.
    pub fn name(self) -> &'static str {
        let found = Self::ALL.iter().find(|(_, format)| *format == self);
        found.map_or("", |(name, _)| name)
    }

    /// What it is rendered as; JSON is not rendered.
    pub fn rendered(self) -> Option<Format> {
        Some(match self {
            Self::Txt => Format::Txt,
            Self::Srt => Format::Srt,
            Self::Vtt => Format::Vtt,
            Self::Md => Format::Md,
            Self::Csv => Format::Csv,
            Self::Json => return None,
        })
    }

    /// The content type of its files.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Txt => "text/plain; charset=utf-8",
            Self::Srt => "application/x-subrip; charset=utf-8",
            Self::Vtt => "text/vtt; charset=utf-8",
            Self::Md => "text/markdown; charset=utf-8",
            Self::Csv => "text/csv; charset=utf-8; header=present",
            Self::Json => "application/json",
        }
    }

    fn parameters(self) -> &'static [&'static str] {
        match self {
            Self::Srt | Self::Vtt => &PARAMETERS,
            Self::Txt | Self::Md => &PARAMETERS[..6],
            Self::Csv => &PARAMETERS[..3],
            Self::Json => &[],
        }
    }
}

/// All parameters: those of every rendered format first, then those of texts, then those of subtitles.
const PARAMETERS: [&str; 10] = [
    "language",
    "speaker",
    "channel",
    "speakers",
    "speaker_names",
    "channel_names",
    "minimum_duration",
    "maximum_duration",
    "maximum_characters_per_row",
    "maximum_rows_per_caption",
];

/// Those that may be given several times.
const REPEATED: [&str; 4] = ["speaker", "channel", "speaker_names", "channel_names"];

/// Reads the query of an export.
///
/// # Errors
/// Every parameter that is not known, given twice, or breaks its rule.
pub fn parse(format: ExportFormat, query: Option<&str>) -> Result<Wishes, Problem> {
    let mut asked = Asked {
        format,
        wishes: Wishes::default(),
    };
    let mut broken = query::read(query, |name, value| asked.take(name, value));
    let limits = asked.wishes.limits;
    // Where both are numbers.
    if !broken.has("minimum_duration")
        && !broken.has("maximum_duration")
        && limits.minimum_duration_ms > limits.maximum_duration_ms
    {
        let longest = Duration::from_millis(limits.maximum_duration_ms).as_secs_f64();
        let rule = format!("must not be above maximum_duration, which is {longest}");
        broken.add("minimum_duration", rule);
    }
    broken.or(asked.wishes)
}

/// The one spelling of what is wished for. It goes into tags that callers keep, so it changes only where the export does.
pub fn spelling(wishes: &Wishes) -> String {
    let Wishes {
        language,
        limits,
        labels,
        speakers,
        channels,
    } = wishes;
    let CaptionLimits {
        minimum_duration_ms,
        maximum_duration_ms,
        maximum_characters_per_row,
        maximum_rows_per_caption,
    } = limits;
    let Labels {
        shown,
        speaker_names,
        channel_names,
    } = labels;
    json!([
        language,
        speakers,
        channels,
        shown,
        speaker_names,
        channel_names,
        minimum_duration_ms,
        maximum_duration_ms,
        maximum_characters_per_row,
        maximum_rows_per_caption,
    ])
    .to_string()
}

struct Asked {
    format: ExportFormat,
    wishes: Wishes,
}

impl Asked {
    /// Takes a parameter, or says which rule it breaks.
    fn take(&mut self, name: &str, value: &str) -> Result<Taken, String> {
        let known = self.format.parameters();
        if !known.contains(&name) {
            let format = self.format.name();
            let place = if PARAMETERS.contains(&name) {
                format!("does nothing for {format}")
            } else {
                "is not known here".to_owned()
            };
            return Err(match known {
                [] => format!("{place}: {format} takes no parameters"),
                known => format!("{place}: {format} takes {}", known.join(", ")),
            });
        }
        let wishes = &mut self.wishes;
        let limits = &mut wishes.limits;
        match name {
            "language" => wishes.language = Some(language(value)?),
            "speaker" => pick(&mut wishes.speakers, value)?,
            "channel" => pick(&mut wishes.channels, value)?,
            "speakers" => wishes.labels.shown = Some(flag(value)?),
            "speaker_names" => name_one(&mut wishes.labels.speaker_names, value)?,
            "channel_names" => name_one(&mut wishes.labels.channel_names, value)?,
            "minimum_duration" => {
                let rule = "must be a number of seconds of 0 or more";
                limits.minimum_duration_ms = seconds(value, 0.0..=f64::MAX).ok_or(rule)?;
            }
            "maximum_duration" => {
                let rule = "must be a number of seconds from 1 to 30";
                limits.maximum_duration_ms = seconds(value, 1.0..=30.0).ok_or(rule)?;
            }
            "maximum_characters_per_row" => {
                let rule = "must be a whole number of 1 or more";
                limits.maximum_characters_per_row = whole(value, 1..=usize::MAX / 2).ok_or(rule)?;
            }
            _ => {
                let rule = "must be a whole number from 1 to 5";
                limits.maximum_rows_per_caption = whole(value, 1..=5).ok_or(rule)?;
            }
        }
        Ok(if REPEATED.contains(&name) {
            Taken::Repeatable
        } else {
            Taken::Once
        })
    }
}

fn language(value: &str) -> Result<String, String> {
    let is_code = (2..=16).contains(&value.len())
        && value
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-');
    is_code
        .then(|| value.to_owned())
        .ok_or_else(|| "must be a language code, such as `fr`".to_owned())
}

fn flag(value: &str) -> Result<bool, String> {
    value
        .parse()
        .map_err(|_| "must be true or false".to_owned())
}

/// Seconds within bounds, as milliseconds.
fn seconds(value: &str, bounds: RangeInclusive<f64>) -> Option<u64> {
    let seconds: f64 = value.parse().ok()?;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "not negative, and a conversion to an integer stays within its bounds"
    )]
    let millis = (seconds * 1_000.0).round() as u64;
    bounds.contains(&seconds).then_some(millis)
}

fn whole(value: &str, bounds: RangeInclusive<usize>) -> Option<usize> {
    value.parse().ok().filter(|number| bounds.contains(number))
}

fn pick(picked: &mut BTreeSet<u32>, value: &str) -> Result<(), String> {
    let number = value.parse();
    picked.insert(number.map_err(|_| "must be a number of Gladia's, from 0".to_owned())?);
    if picked.len() > MOST {
        return Err(format!("must be given {MOST} times at most"));
    }
    Ok(())
}

/// `0:Anna`: a number of Gladia's and the name of whom it stands for, in which everything may stand.
fn name_one(names: &mut BTreeMap<u32, String>, value: &str) -> Result<(), String> {
    let read = value.split_once(':').and_then(|(number, name)| {
        let is_name = !name.trim().is_empty()
            && name.chars().count() <= MOST
            && !name.chars().any(char::is_control);
        let number = number.trim().parse().ok()?;
        is_name.then(|| (number, name.trim().to_owned()))
    });
    let (number, name) = read.ok_or_else(|| {
        format!("must be a number of Gladia's, a colon, and a name of 1 to {MOST} characters, such as `0:Anna`")
    })?;
    if names.insert(number, name).is_some() {
        return Err(format!("names {number} twice"));
    }
    if names.len() > MOST {
        return Err(format!("must be given {MOST} times at most"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spelled(query: &str) -> String {
        spelling(&parse(ExportFormat::Srt, Some(query)).unwrap())
    }

    #[test]
    fn whatever_else_is_wished_for_is_spelled_otherwise() {
        let queries = [
            "",
            "language=fr",
            "speaker=1",
            "channel=1",
            "speakers=true",
            "speakers=false",
            "speaker_names=0:Anna",
            "channel_names=0:Anna",
            "minimum_duration=2",
            "maximum_duration=2",
            "maximum_characters_per_row=2",
            "maximum_rows_per_caption=1",
        ];
        let spellings = BTreeSet::from(queries.map(spelled));
        assert_eq!(spellings.len(), queries.len());
    }

    #[test]
    fn the_same_wishes_are_spelled_the_same_now_and_later() {
        let spelling = "[\"fr\",[1,2],[],null,{\"0\":\"Anna\"},{},1000,7000,42,2]";
        for query in [
            "language=fr&speaker=1&speaker=2&speaker_names=0:Anna",
            "speaker=2&speaker_names=0:%20Anna&minimum_duration=1.0&speaker=1&language=fr",
        ] {
            assert_eq!(spelled(query), spelling, "{query}");
        }
    }
}
