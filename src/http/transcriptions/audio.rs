//! The audio of a request: whose it is, and what is known of it before Gladia has it.

use chrono::{DateTime, Utc};
use url::Url;

use crate::{
    db::{self, uploads::Ownership},
    domain::{
        access::Caller,
        audio_review::{MeasuredFile, review_file, review_link},
        audio_url::AudioUrl,
        ids::UploadId,
        options::{Violation, Warning},
        presigned_url,
    },
    gladia::upload::UploadedFile,
    http::{
        problem::{Problem, ProblemType},
        request::form::ReceivedFile,
        state::AppState,
    },
};

/// Gladia's own domain, whatever host its API is reached through.
const GLADIA_DOMAIN: &str = "gladia.io";

/// Where Gladia keeps the recordings that its documentation and its clients' examples transcribe. Everybody may fetch them.
const SAMPLES_HOST: &str = "files.gladia.io";

/// Where they are on that host.
const SAMPLES_FOLDER: &str = "/example/";

/// Where the audio's address stands in a body.
const AUDIO_URL: &str = "audio_url";

/// Where a file stands in a form.
const AUDIO_PART: &str = "audio";

/// Audio that may be transcribed.
#[derive(Debug)]
pub struct KnownAudio {
    /// The upload that brought it here.
    pub upload_id: Option<UploadId>,
    /// Where Gladia finds it: of an upload, whatever name of it was given, Gladia's own.
    pub audio_url: String,
    /// What may go wrong with it.
    pub warnings: Vec<Warning>,
}

/// What becomes of a file that is longer than the account's plan allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TooLong {
    /// It is refused here, before Gladia refuses it.
    Refused,
    /// It is Gladia's to refuse.
    PassedOn,
}

/// Looks audio up, and judges it.
///
/// # Errors
/// Where it cannot be transcribed, or the database does not answer.
pub async fn look_up(
    state: &AppState,
    caller: Caller,
    audio_url: &AudioUrl,
    too_long: TooLong,
) -> Result<KnownAudio, Problem> {
    let looking = state.with_conn(async |conn| {
        let now = db::clock::now(conn).await?;
        let ownership = db::uploads::find_owner(conn, caller.tenant_id, audio_url).await?;
        Ok::<_, Problem>((now, ownership))
    });
    let (now, ownership) = looking.await?;
    judge(state, audio_url, ownership, now, too_long)
}

/// Judges audio by what is known of it. A file URL of Gladia's opens the file for the whole account, so a tenant may use its
/// own ones only; the samples of Gladia's documentation are everybody's.
///
/// # Errors
/// Where it cannot be transcribed.
pub fn judge(
    state: &AppState,
    audio_url: &AudioUrl,
    ownership: Ownership,
    now: DateTime<Utc>,
    too_long: TooLong,
) -> Result<KnownAudio, Problem> {
    let plan = state.rules.plan;
    let is_gladias = is_gladias(state, audio_url);
    // An upload that is gone, or was never there.
    let is_ours = audio_url.upload_id().is_some()
        && Url::parse(&state.link("/")).is_ok_and(|base| audio_url.is_on_origin_of(&base));
    match ownership {
        Ownership::Own(upload) => {
            let file = MeasuredFile {
                duration_seconds: upload.audio_duration_seconds,
                extension: upload.extension.as_deref(),
            };
            let warnings = match (review_file(AUDIO_URL, file, plan), too_long) {
                (Ok(warnings), _) => warnings,
                (Err(violation), TooLong::Refused) => return Err(broken(violation)),
                (Err(_), TooLong::PassedOn) => Vec::new(),
            };
            Ok(KnownAudio {
                upload_id: Some(upload.id),
                audio_url: upload.audio_url,
                warnings,
            })
        }
        Ownership::NotOurs if !is_gladias && !is_ours => Ok(KnownAudio {
            upload_id: None,
            audio_url: audio_url.as_str().to_owned(),
            warnings: warnings_of_link(state, audio_url, now),
        }),
        Ownership::NotOurs | Ownership::Another => Err(Problem::new(
            ProblemType::AudioNotFound,
            "There is no uploaded file with this URL. Upload it with POST /v1/uploads.",
        )
        .at(
            "/audio_url",
            "must be a file that was uploaded through this gateway, or audio on another host",
        )),
    }
}

/// Whether a URL has to be looked up to know whose it is, beyond asking whether it is known at all. What looks like a sample is
/// somebody's all the same where it was uploaded.
pub fn may_be_an_upload(state: &AppState, audio_url: &AudioUrl) -> bool {
    audio_url.upload_id().is_some()
        || audio_url.is_on_origin_of(state.gladia.base())
        || is_gladias_host(&audio_url.host())
}

/// What may go wrong with audio on somebody else's server.
pub fn warnings_of_link(
    state: &AppState,
    audio_url: &AudioUrl,
    now: DateTime<Utc>,
) -> Vec<Warning> {
    review_link(AUDIO_URL, audio_url, state.rules.plan, now)
}

/// Whether a URL says until when it can be fetched: then it depends on the time what may go wrong.
pub fn says_until_when(audio_url: &AudioUrl) -> bool {
    presigned_url::expires_at(audio_url.url()).is_some()
}

fn is_gladias(state: &AppState, audio_url: &AudioUrl) -> bool {
    audio_url.is_on_origin_of(state.gladia.base())
        || (is_gladias_host(&audio_url.host()) && !is_sample(audio_url))
}

/// Judges a file that has just gone to Gladia.
///
/// # Errors
/// Where it is longer than the plan allows.
pub fn judge_file(state: &AppState, file: &ReceivedFile) -> Result<Vec<Warning>, Problem> {
    let uploaded = file.uploaded.as_ref();
    let file = MeasuredFile {
        duration_seconds: uploaded.and_then(UploadedFile::duration_seconds),
        extension: uploaded.and_then(UploadedFile::extension),
    };
    review_file(AUDIO_PART, file, state.rules.plan).map_err(broken)
}

/// The problem of a request that breaks rules. Its audio is looked up all the same, so that everything is told at once;
/// where that is not possible, the rest is told.
pub async fn refuse(
    state: &AppState,
    caller: Caller,
    audio_url: Option<&AudioUrl>,
    violations: Vec<Violation>,
) -> Problem {
    let problem = Problem::violations("", violations);
    let Some(audio_url) = audio_url else {
        return problem;
    };
    match look_up(state, caller, audio_url, TooLong::Refused).await {
        Ok(_) => problem,
        Err(more) => problem.with_fields_of(more),
    }
}

fn broken(violation: Violation) -> Problem {
    Problem::violations("", vec![violation])
}

/// Whether a host is Gladia's domain or any name below it. A full name may end with a dot.
fn is_gladias_host(host: &str) -> bool {
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    host.strip_suffix(GLADIA_DOMAIN)
        .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

/// Whether Gladia has put a recording there for everybody. Whatever else may be on that host, now or later, is somebody's. An
/// escape may mean another path to others than to us.
fn is_sample(audio_url: &AudioUrl) -> bool {
    let path = audio_url.url().path();
    audio_url.host() == SAMPLES_HOST && path.starts_with(SAMPLES_FOLDER) && !path.contains('%')
}

#[cfg(test)]
mod tests {
    use super::{is_gladias_host, is_sample};
    use crate::domain::audio_url::AudioUrl;

    #[test]
    fn every_host_of_gladias_is_known_by_its_domain() {
        for host in [
            "gladia.io",
            "api.gladia.io",
            "API.Gladia.IO.",
            "eu-west.api.gladia.io..",
        ] {
            assert!(is_gladias_host(host), "{host}");
        }
        for host in ["notgladia.io", "gladia.io.example", "gladia.example", ""] {
            assert!(!is_gladias_host(host), "{host}");
        }
    }

    #[test]
    fn samples_are_told_from_uploads() {
        let told = |url: &str| is_sample(&AudioUrl::parse(url).unwrap());
        for sample in [
            "http://files.gladia.io/example/audio-transcription/split_infinity.wav",
            "https://Files.Gladia.io./example/a/../b.mp3",
        ] {
            assert!(told(sample), "{sample}");
        }
        for other in [
            "https://api.gladia.io/example/audio-transcription/split_infinity.wav",
            "https://files.gladia.io/file/6c09400e-23d2-4bd2-be55-96a5ececfa3b",
            "https://files.gladia.io//file/6c09400e-23d2-4bd2-be55-96a5ececfa3b",
            "https://files.gladia.io/%66ile/6c09400e-23d2-4bd2-be55-96a5ececfa3b",
            "https://files.gladia.io/example/../file/6c09400e-23d2-4bd2-be55-96a5ececfa3b",
            "https://files.gladia.io/example/%2e%2e/FILE/6c09400e-23d2-4bd2-be55-96a5ececfa3b",
            "https://files.gladia.io/example/..%2ffile/6c09400e-23d2-4bd2-be55-96a5ececfa3b",
            "https://files.gladia.io/test/a%20b.mp3",
            "https://files.gladia.io/test/b.mp3",
            "https://files.gladia.io/examples/b.mp3",
            "https://files.gladia.io",
        ] {
            assert!(!told(other), "{other}");
        }
    }
}
