//! The audio of a request: whose it is, and what is known of it before Gladia has it.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use crate::{
    db::{self, uploads::Ownership},
    domain::{access::Caller, audio_url::AudioUrl, ids::UploadId, options::Warning},
    http::{
        problem::{Problem, ProblemType},
        state::AppState,
    },
};

/// Gladia's own domain, whatever host its API is reached through.
const GLADIA_DOMAIN: &str = "gladia.io";

/// Audio that may be transcribed.
#[derive(Debug)]
pub struct KnownAudio {
    /// The upload that brought it here.
    pub upload_id: Option<UploadId>,
    /// What may go wrong with it.
    pub warnings: Vec<Warning>,
}

/// Looks audio up, and judges it.
pub async fn look_up(
    conn: &mut PgConnection,
    state: &AppState,
    caller: Caller,
    audio_url: &AudioUrl,
) -> Result<KnownAudio, Problem> {
    let now = db::clock::now(conn).await?;
    let ownership = db::uploads::find_owner(conn, caller.tenant_id, audio_url.as_str()).await?;
    judge(state, audio_url, ownership, now)
}

/// Judges audio by what is known of it. A file URL of Gladia's opens the file for the whole account, so a tenant may use its
/// own ones only.
pub fn judge(
    state: &AppState,
    audio_url: &AudioUrl,
    ownership: Ownership,
    _now: DateTime<Utc>,
) -> Result<KnownAudio, Problem> {
    let is_gladias =
        audio_url.is_on_origin_of(state.gladia.base()) || is_gladias_host(&audio_url.host());
    let upload_id = match ownership {
        Ownership::Own(upload) => Some(upload.id),
        Ownership::NotOurs if !is_gladias => None,
        Ownership::NotOurs | Ownership::Another => {
            return Err(Problem::new(
                ProblemType::AudioNotFound,
                "There is no uploaded file with this URL. Upload it with POST /v1/uploads.",
            )
            .at(
                "/audio_url",
                "must be a file that was uploaded through this gateway, or audio on another host",
            ));
        }
    };
    Ok(KnownAudio {
        upload_id,
        warnings: Vec::new(),
    })
}

/// Whether a host is Gladia's domain or any name below it. A full name may end with a dot.
fn is_gladias_host(host: &str) -> bool {
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    host.strip_suffix(GLADIA_DOMAIN)
        .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

#[cfg(test)]
mod tests {
    use super::is_gladias_host;

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
}
