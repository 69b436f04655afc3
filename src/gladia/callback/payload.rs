//! The result object, as far as it moves the job: how long the audio was, and which add-ons failed.

use std::{collections::BTreeMap, io::Read};

use super::{MESSAGE_BYTES, NAME_BYTES, SCALAR_BYTES};
use crate::{
    domain::{
        completion::{AddonError, Ending},
        options::pointer_to,
    },
    gladia::{
        json_reader::{JsonError, JsonReader, Kind, Raw},
        said::tellable,
    },
};

/// How deep failures may stand in a block. Gladia's stand two deep; nothing ends the nesting of what is no add-on.
pub(super) const MAX_DEPTH: u8 = 8;

/// How many failures are told. There are a few add-ons, with a few prompts and languages each.
const MAX_FAILURES: usize = 1000;

/// Where sentences stand, inside the transcription.
const SENTENCES: &str = "/transcription/sentences";

/// What became of the result object.
#[derive(Default)]
pub(super) enum Payload {
    /// There is none.
    #[default]
    Missing,
    /// There is something else in its place.
    NoObject,
    /// It was read.
    Read(Contents),
}

#[derive(Default)]
pub(super) struct Contents {
    /// Whether it has `metadata`, which every result of Gladia's has, or a transcription. What has neither is none, and must not
    /// stand in the way of the one that is still to come.
    is_result: bool,
    durations: Durations,
    /// By the name of their block: of one that stands twice, the last one counts.
    failures: BTreeMap<String, Vec<AddonError>>,
    /// How many those are.
    count: usize,
    sentences: Vec<AddonError>,
}

#[derive(Default)]
struct Durations {
    audio: Option<f64>,
    billing: Option<f64>,
}

impl Payload {
    pub(super) fn read<R: Read>(reader: &mut JsonReader<R>) -> Result<Self, JsonError> {
        match reader.kind()? {
            Kind::Object => {}
            Kind::Null => {
                reader.skip()?;
                return Ok(Self::Missing);
            }
            _ => {
                reader.skip()?;
                return Ok(Self::NoObject);
            }
        }
        let mut contents = Contents::default();
        reader.members(NAME_BYTES, |reader, name| match name {
            Some(name) => contents.read_block(reader, name),
            None => reader.skip(),
        })?;
        Ok(Self::Read(contents))
    }

    /// What a job has ended with, if this is its result.
    pub(super) fn into_ending(self, name: &str) -> Result<Ending, String> {
        match self {
            Self::Missing => Err(format!("a success without a {name}")),
            Self::NoObject => Err(format!("its {name} is no object")),
            Self::Read(contents) if !contents.is_result => Err(format!(
                "its {name} has neither metadata nor a transcription"
            )),
            Self::Read(contents) => {
                let failures = contents.failures.into_values().flatten();
                Ok(Ending::Success {
                    audio_duration_seconds: contents.durations.audio,
                    billing_time_seconds: contents.durations.billing,
                    addon_errors: failures
                        .chain(contents.sentences)
                        .take(MAX_FAILURES)
                        .collect(),
                })
            }
        }
    }
}

impl Contents {
    fn read_block<R: Read>(
        &mut self,
        reader: &mut JsonReader<R>,
        name: &str,
    ) -> Result<(), JsonError> {
        let pointer = pointer_to(&[name]);
        self.is_result |=
            matches!(name, "metadata" | "transcription") && reader.kind()? == Kind::Object;
        let block = match name {
            "metadata" => {
                let mut durations = Durations::default();
                let block = read_block(reader, &pointer, MAX_DEPTH, &mut |reader, name| {
                    let seconds = match name {
                        "audio_duration" => &mut durations.audio,
                        "billing_time" => &mut durations.billing,
                        _ => return Ok(false),
                    };
                    let number: Option<f64> = reader.raw(SCALAR_BYTES)?.read();
                    *seconds = number.filter(|number| number.is_finite());
                    Ok(true)
                })?;
                self.durations = durations;
                block
            }
            "transcription" => {
                let mut sentences = Vec::new();
                let block = read_block(reader, &pointer, MAX_DEPTH, &mut |reader, name| {
                    if name == "sentences" {
                        sentences =
                            read_block(reader, SENTENCES, MAX_DEPTH, &mut nothing_else)?.failures;
                    }
                    Ok(name == "sentences")
                })?;
                self.sentences = sentences;
                block
            }
            _ => read_block(reader, &pointer, MAX_DEPTH, &mut nothing_else)?,
        };
        if let Some(replaced) = self.failures.remove(name) {
            self.count -= replaced.len();
        }
        let mut failures = block.failures;
        failures.truncate(MAX_FAILURES - self.count);
        if !failures.is_empty() {
            self.count += failures.len();
            self.failures.insert(name.to_owned(), failures);
        }
        Ok(())
    }
}

/// What an add-on's block says.
#[derive(Default)]
struct Block {
    /// Whether it says at all how it went.
    has_verdict: bool,
    failures: Vec<AddonError>,
}

/// Reads the value of a name that is not a block's own, or says that it does not.
type Otherwise<'a, R> = dyn FnMut(&mut JsonReader<R>, &str) -> Result<bool, JsonError> + 'a;

#[expect(clippy::unnecessary_wraps, reason = "one of several that may fail")]
fn nothing_else<R>(_: &mut JsonReader<R>, _: &str) -> Result<bool, JsonError> {
    Ok(false)
}

/// An add-on's block carries `success`; `audio_to_llm` has one for each prompt, `translation` an error for each language.
/// Of a name that stands twice, the last one counts.
fn read_block<R: Read>(
    reader: &mut JsonReader<R>,
    pointer: &str,
    depth: u8,
    otherwise: &mut Otherwise<'_, R>,
) -> Result<Block, JsonError> {
    let mut block = Block::default();
    let kind = reader.kind()?;
    let (Kind::Array | Kind::Object, Some(depth)) = (kind, depth.checked_sub(1)) else {
        reader.skip()?;
        return Ok(block);
    };
    if kind == Kind::Array {
        reader.elements(|reader, index| {
            let pointer = format!("{pointer}/{index}");
            let item = read_block(reader, &pointer, depth, &mut nothing_else)?;
            add(&mut block.failures, item.failures);
            Ok(())
        })?;
        return Ok(block);
    }
    let (mut success, mut error, mut results) = (None, None, Vec::new());
    reader.members(NAME_BYTES, |reader, name| match name {
        Some("success") => {
            block.has_verdict = true;
            success = Some(reader.kind()? != Kind::False);
            reader.skip()
        }
        Some("error") => {
            block.has_verdict = true;
            error = read_error(reader)?;
            Ok(())
        }
        Some("results") => {
            results = read_results(reader, pointer, depth)?;
            Ok(())
        }
        Some(name) => {
            if !otherwise(reader, name)? {
                reader.skip()?;
            }
            Ok(())
        }
        None => reader.skip(),
    })?;
    if success == Some(false) || (success.is_none() && error.is_some()) {
        block.failures.push(AddonError {
            pointer: pointer.to_owned(),
            ..error.unwrap_or_default().into()
        });
    } else {
        block.failures = results;
    }
    Ok(block)
}

/// The failures among the results of a block: those that are blocks themselves.
fn read_results<R: Read>(
    reader: &mut JsonReader<R>,
    pointer: &str,
    depth: u8,
) -> Result<Vec<AddonError>, JsonError> {
    let mut failures = Vec::new();
    if reader.kind()? != Kind::Array {
        reader.skip()?;
        return Ok(failures);
    }
    reader.elements(|reader, index| {
        if reader.kind()? != Kind::Object {
            return reader.skip();
        }
        let pointer = format!("{pointer}/results/{index}");
        let item = read_block(reader, &pointer, depth, &mut nothing_else)?;
        if item.has_verdict {
            add(&mut failures, item.failures);
        }
        Ok(())
    })?;
    Ok(failures)
}

fn add(failures: &mut Vec<AddonError>, more: Vec<AddonError>) {
    let room = MAX_FAILURES.saturating_sub(failures.len());
    failures.extend(more.into_iter().take(room));
}

/// An `error` object, of which each field may be missing or anything.
#[derive(Default)]
struct Failure {
    status_code: Option<i64>,
    exception: Option<String>,
    message: Option<String>,
}

impl From<Failure> for AddonError {
    fn from(failure: Failure) -> Self {
        Self {
            pointer: String::new(),
            status_code: failure.status_code,
            exception: failure.exception,
            message: failure.message,
        }
    }
}

fn read_error<R: Read>(reader: &mut JsonReader<R>) -> Result<Option<Failure>, JsonError> {
    if reader.kind()? != Kind::Object {
        reader.skip()?;
        return Ok(None);
    }
    let text = |raw: &Raw| raw.read_text().map(|text| tellable(&text));
    let mut failure = Failure::default();
    reader.members(NAME_BYTES, |reader, name| {
        match name {
            Some("status_code") => failure.status_code = reader.raw(SCALAR_BYTES)?.read(),
            Some("exception") => failure.exception = text(&reader.raw(MESSAGE_BYTES)?),
            Some("message") => failure.message = text(&reader.raw(MESSAGE_BYTES)?),
            _ => reader.skip()?,
        }
        Ok(())
    })?;
    Ok(Some(failure))
}
