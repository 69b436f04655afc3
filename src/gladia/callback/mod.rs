//! What Gladia says of a job: in a callback, or when it is asked.
//!
//! The body as received is the truth and is kept as such; this reads from it only what moves the job, in one pass and in
//! memory that does not grow with the body. The documented shapes: a callback is `{"id", "event": "transcription.success",
//! "payload": {…}}` or `{"id", "event": "transcription.error", "error": {"code", "message"}}`; a job that is asked for is
//! `{"id", "status", "error_code", "result": {…}}`. `payload` and `result` are the same object ([`payload`]), and there is no success
//! without one that is a result. A failure is one whatever stands in `error` and `error_code`: it has no content that could be lost,
//! and its job would wait for ever.

mod payload;
#[cfg(test)]
pub(crate) mod random;
#[cfg(test)]
mod tests;

use std::{io::Read, ops::Range};

use serde_json::value::RawValue;

use self::payload::Payload;
use super::{
    create::is_plausible_id,
    json_reader::{JsonError, JsonReader, Kind, Raw},
    said::tellable,
};
use crate::domain::{
    completion::{Completion, Ending},
    ids::AttemptId,
    options::RESERVED_METADATA_KEY,
};

/// No name of Gladia's is longer; a longer one is passed over.
const NAME_BYTES: usize = 256;

/// How much is taken of a number, an id, or the name of an event. Longer ones are none of Gladia's.
const SCALAR_BYTES: usize = 1024;

/// How much is taken of a message: more than what is kept of it, in whatever way it is escaped.
const MESSAGE_BYTES: usize = 64 * 1024;

/// Stands for a reason that Gladia did not give.
const NO_REASON: &str = "Gladia gave no reason.";

/// What kind of body it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// What Gladia delivers.
    Callback,
    /// What Gladia answers when it is asked for a job.
    Job,
}

impl Shape {
    /// The shape of what came by this HTTP method.
    #[must_use]
    pub fn of_method(method: &str) -> Self {
        if method == "GET" {
            Self::Job
        } else {
            Self::Callback
        }
    }

    /// How the result object is called in it.
    fn result_name(self) -> &'static str {
        match self {
            Self::Callback => "payload",
            Self::Job => "result",
        }
    }
}

/// What a body says.
#[derive(Debug, Clone, PartialEq)]
pub enum Report {
    /// The job has ended.
    Ended(Completion),
    /// Gladia works on it, or will. Only a job that was asked for says so.
    Running {
        /// Gladia's id of the job.
        gladia_id: String,
    },
}

/// What was learnt from a body, whether it could be understood or not.
#[derive(Debug)]
pub struct Reading {
    /// Gladia's id of the job, where that was reached.
    pub gladia_id: Option<String>,
    /// The attempt that sent the job, where its metadata name one.
    pub attempt_id: Option<AttemptId>,
    /// What it says; or why it cannot be understood, without any of its content.
    pub report: Result<Report, String>,
}

/// Where a body comes from. It is told where the result object stands, in bytes from the body's beginning, as soon as its
/// first and its last byte have been read; a little more may have been taken from it by then, and whether the body can be
/// understood is still open.
pub trait Source: Read {
    /// It begins here.
    fn result_begins(&mut self, at: u64);
    /// It ended before here.
    fn result_ends(&mut self, at: u64);
}

/// Reads a body as far as it can be read.
#[must_use]
pub fn read(source: impl Source, shape: Shape) -> Reading {
    let mut envelope = Envelope::default();
    let read = envelope.read(&mut JsonReader::new(source), shape);
    let gladia_id = envelope.id.clone().filter(|id| is_plausible_id(id));
    let attempt_id = envelope.attempt_id;
    let report = match read {
        Err(error) => Err(error.to_string()),
        Ok(()) => envelope.understand(shape),
    };
    Reading {
        gladia_id,
        attempt_id,
        report,
    }
}

/// The outermost object.
#[derive(Default)]
struct Envelope {
    seen: Vec<&'static str>,
    is_doubled: bool,
    is_object: bool,
    id: Option<String>,
    event: Option<String>,
    status: Option<String>,
    error_code: Option<i32>,
    error: Option<Failure>,
    result: Payload,
    attempt_id: Option<AttemptId>,
}

/// Why a job has failed, as far as Gladia says it.
type Failure = (Option<i32>, String);

/// The names that mean something. One that stands twice leaves open which of the two is meant; of why a job has failed, which
/// changes nothing, the last one counts.
const NAMES: [&str; 7] = [
    "id",
    "event",
    "payload",
    "error",
    "status",
    "error_code",
    "result",
];

impl Envelope {
    fn read<R: Source>(
        &mut self,
        reader: &mut JsonReader<R>,
        shape: Shape,
    ) -> Result<(), JsonError> {
        if reader.kind()? == Kind::Object {
            self.is_object = true;
            reader.members(NAME_BYTES, |reader, name| {
                if name == Some("custom_metadata") {
                    self.attempt_id = read_attempt_id(reader)?;
                    return Ok(());
                }
                let known = NAMES.iter().find(|known| Some(**known) == name);
                let Some(name) = known else {
                    return reader.skip();
                };
                let is_reason = matches!(*name, "error" | "error_code");
                self.is_doubled |= self.seen.contains(name) && !is_reason;
                self.seen.push(name);
                self.read_member(reader, name, shape)
            })?;
        } else {
            reader.skip()?;
        }
        reader.end()
    }

    fn read_member<R: Source>(
        &mut self,
        reader: &mut JsonReader<R>,
        name: &str,
        shape: Shape,
    ) -> Result<(), JsonError> {
        match name {
            "id" => self.id = reader.raw(SCALAR_BYTES)?.read(),
            "event" => self.event = reader.raw(SCALAR_BYTES)?.read(),
            "status" => self.status = reader.raw(SCALAR_BYTES)?.read(),
            "error_code" => self.error_code = read_code(&reader.raw(SCALAR_BYTES)?),
            "error" => self.error = Some(read_failure(reader)?),
            name if name == shape.result_name() => self.result = read_result(reader)?,
            _ => reader.skip()?,
        }
        Ok(())
    }

    /// Judges what was read.
    fn understand(self, shape: Shape) -> Result<Report, String> {
        if !self.is_object {
            return Err("it is no object".into());
        }
        if self.is_doubled {
            return Err("a name stands in it twice".into());
        }
        let gladia_id = self
            .id
            .filter(|id| is_plausible_id(id))
            .ok_or("it has no id of Gladia's")?;
        let ending = match shape {
            Shape::Callback => match self.event.as_deref() {
                Some("transcription.success") => self.result.into_ending(shape.result_name())?,
                Some("transcription.error") => {
                    let nothing = || (None, NO_REASON.to_owned());
                    let (code, message) = self.error.unwrap_or_else(nothing);
                    Ending::Failure { code, message }
                }
                _ => {
                    return Err(
                        "its event is neither transcription.success nor transcription.error".into(),
                    );
                }
            },
            // Which of the two it is also tells where its result stands.
            Shape::Job if self.seen.contains(&"event") => {
                return Err("it is no job: it has an event".into());
            }
            Shape::Job => match self.status.as_deref() {
                Some("queued" | "processing") => return Ok(Report::Running { gladia_id }),
                Some("done") => self.result.into_ending(shape.result_name())?,
                Some("error") => Ending::Failure {
                    code: self.error_code,
                    message: "Gladia gave no reason: it tells the reason of a failure in its callback alone, which never \
                              came."
                        .to_owned(),
                },
                _ => return Err("its status is none of queued, processing, done and error".into()),
            },
        };
        Ok(Report::Ended(Completion { gladia_id, ending }))
    }
}

/// The result object, or what stands in its place.
fn read_result<R: Source>(reader: &mut JsonReader<R>) -> Result<Payload, JsonError> {
    if reader.kind()? != Kind::Object {
        return Payload::read(reader);
    }
    let begins_at = reader.offset();
    reader.source().result_begins(begins_at);
    let payload = Payload::read(reader)?;
    let ends_at = reader.offset();
    reader.source().result_ends(ends_at);
    Ok(payload)
}

/// What a callback says of a failure. Where that is no object, a number is its code and anything else its message.
fn read_failure<R: Read>(reader: &mut JsonReader<R>) -> Result<Failure, JsonError> {
    let mut code = None;
    let mut message = None;
    match reader.kind()? {
        Kind::Object => reader.members(NAME_BYTES, |reader, name| {
            match name {
                Some("code") => code = read_code(&reader.raw(SCALAR_BYTES)?),
                Some("message") => message = read_message(reader)?,
                _ => reader.skip()?,
            }
            Ok(())
        })?,
        Kind::Number => code = read_code(&reader.raw(SCALAR_BYTES)?),
        _ => message = read_message(reader)?,
    }
    let message = message.map_or_else(|| NO_REASON.to_owned(), |text| tellable(&text));
    Ok((code, message))
}

/// What is no text, a list of sentences for one, is shown as it stands there.
fn read_message<R: Read>(reader: &mut JsonReader<R>) -> Result<Option<String>, JsonError> {
    let kind = reader.kind()?;
    let raw = reader.raw(MESSAGE_BYTES)?;
    Ok(match kind {
        Kind::Null => None,
        _ => Some(raw.read_text().unwrap_or_else(|| raw.as_str().to_owned())),
    })
}

/// The attempt that the metadata of its job name.
fn read_attempt_id<R: Read>(reader: &mut JsonReader<R>) -> Result<Option<AttemptId>, JsonError> {
    let mut found = None;
    if reader.kind()? != Kind::Object {
        reader.skip()?;
        return Ok(None);
    }
    reader.members(NAME_BYTES, |reader, name| {
        if name == Some(RESERVED_METADATA_KEY) {
            let raw = reader.raw(SCALAR_BYTES)?;
            found = raw.read_text().and_then(|text| text.parse().ok());
            return Ok(());
        }
        reader.skip()
    })?;
    Ok(found)
}

/// A code, also where it is written as a text.
fn read_code(raw: &Raw) -> Option<i32> {
    raw.read().or_else(|| raw.read_text()?.trim().parse().ok())
}

/// Takes the result object out of a body that was understood, byte for byte.
#[must_use]
pub fn result_of(body: &[u8]) -> Option<&RawValue> {
    let mut reader = JsonReader::new(body);
    let (mut payload, mut result, mut is_callback) = (None, None, false);
    // Whitespace may stand before it.
    reader.kind().ok()?;
    let read = reader.members(NAME_BYTES, |reader, name| {
        let found: &mut Option<Range<usize>> = match name {
            Some("payload") => &mut payload,
            Some("result") => &mut result,
            other => {
                is_callback |= other == Some("event");
                return reader.skip();
            }
        };
        let start = reader.position();
        reader.skip()?;
        *found = Some(start..reader.position());
        Ok(())
    });
    read.ok()?;
    let range = if is_callback { payload } else { result };
    let text = std::str::from_utf8(body.get(range?)?).ok()?;
    let result = serde_json::from_str::<&RawValue>(text).ok()?;
    (result.get() != "null").then_some(result)
}
