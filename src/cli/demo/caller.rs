//! The demo as a caller of the gateway: it knows nothing but the REST API.

use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use reqwest::{
    Client, Response,
    multipart::{Form, Part},
};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use url::Url;

use super::{progress::Progress, recording::Recording};

/// How often the demo asks for its job, to have something to show.
const POLL_INTERVAL: Duration = Duration::from_millis(200);

/// A caller of the gateway's API.
pub struct DemoCaller {
    client: Client,
    base: Url,
    key: SecretString,
}

impl DemoCaller {
    /// A caller with this key, of the gateway at this address.
    pub fn new(base: Url, key: SecretString) -> anyhow::Result<Self> {
        let client = Client::builder()
            .no_proxy()
            .connect_timeout(Duration::from_secs(5))
            .build()?;
        Ok(Self { client, base, key })
    }

    /// Uploads a recording and follows its transcription to the end.
    pub async fn transcribe(&self, recording: &Recording<'_>) -> anyhow::Result<Value> {
        let progress = Progress::start(&recording.name());
        progress.show("uploading");
        let options = json!({ "diarization": true });
        let form = Form::new()
            .part(
                "options",
                Part::text(options.to_string()).mime_str("application/json")?,
            )
            .part("audio", recording.part().await?);
        let request = self
            .client
            .post(self.base.join("v1/transcriptions/upload")?)
            .multipart(form);
        let mut job = self.send(request).await?;
        let id = job["id"]
            .as_str()
            .context("the answer holds no id")?
            .to_owned();
        let address = self.base.join("v1/transcriptions/")?.join(&id)?;
        loop {
            let status = job["status"].as_str().unwrap_or_default().to_owned();
            let reason = job["status_reason"].as_str();
            progress.show(
                &reason.map_or_else(|| status.clone(), |reason| format!("{status} ({reason})")),
            );
            match status.as_str() {
                "done" => break,
                "error" => {
                    bail!(
                        "{}",
                        job["error"]["message"]
                            .as_str()
                            .unwrap_or("the transcription failed")
                    )
                }
                "canceled" => bail!("it was canceled"),
                _ => tokio::time::sleep(POLL_INTERVAL).await,
            }
            job = self.send(self.client.get(address.clone())).await?;
        }
        drop(progress);
        Ok(job)
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> anyhow::Result<Value> {
        let response = request.bearer_auth(self.key.expose_secret()).send().await?;
        if response.status().is_success() {
            return Ok(response.json().await?);
        }
        Err(problem(response).await)
    }

    /// What to try next: lines that work as they stand, about a job that is there.
    pub fn invitation(&self, job: &Value) -> String {
        let (base, key) = (
            self.base.as_str().trim_end_matches('/'),
            self.key.expose_secret(),
        );
        let id = job["id"].as_str().unwrap_or("ID");
        let audio_url = job["audio_url"]
            .as_str()
            .unwrap_or("https://example.com/call.mp3");
        format!(
            "\nThe gateway stays up until Ctrl-C. Try it:\n\n\
             \x20 curl -H 'Authorization: Bearer {key}' {base}/v1/transcriptions\n\n\
             \x20 curl -H 'Authorization: Bearer {key}' {base}/v1/transcriptions/{id}\n\n\
             \x20 curl -H 'Authorization: Bearer {key}' {base}/v1/transcriptions/{id}/export/srt\n\n\
             \x20 curl -H 'Authorization: Bearer {key}' {base}/v1/transcriptions/{id}/audio -o original-audio\n\n\
             \x20 curl -N -H 'Authorization: Bearer {key}' '{base}/v1/events/stream?after=evt_0'\n\n\
             \x20 curl -H 'Authorization: Bearer {key}' -H 'Content-Type: application/json' \\\n\
             \x20      -d '{{\"audio_url\":\"{audio_url}\",\"summarization\":true}}' {base}/v1/transcriptions\n\n\
             And with a file of yours in place of FILE:\n\n\
             \x20 curl -H 'Authorization: Bearer {key}' -F audio=@FILE {base}/v1/transcriptions/upload\n\n\
             docs/api.md has an example of each feature, to be run in this order in a shell with:\n\n\
             \x20 GATEWAY={base} KEY={key}\n\n\
             API docs: {base}/docs\n"
        )
    }
}

/// What a problem says, in a line.
async fn problem(response: Response) -> anyhow::Error {
    let status = response.status();
    match response.json::<Value>().await {
        Ok(problem) if problem["detail"].is_string() => {
            anyhow!(
                "{} ({status})",
                problem["detail"].as_str().unwrap_or_default()
            )
        }
        _ => anyhow!("the gateway answered {status}"),
    }
}
