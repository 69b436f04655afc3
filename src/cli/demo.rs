//! `demo`: the whole way of a recording, on this machine alone.
//!
//! An embedded Postgres, a simulated Gladia and the real service on free loopback ports; the recording goes in through the
//! REST API like any caller's. Nothing is left behind.

use std::{
    io::IsTerminal,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context, anyhow, bail};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use indicatif::{ProgressBar, ProgressStyle};
use reqwest::{
    Body, Client, Response,
    multipart::{Form, Part},
};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use tokio_util::io::ReaderStream;
use url::Url;

use super::output;
use crate::{
    app::{Gateway, Listeners},
    config::{DatabaseUrl, ServeSettings},
    db::{self, api_keys::NewApiKey},
    dev_tools::{
        postgres::{EmbeddedPostgres, Options},
        simulator::{BUNDLED_RECORDING, BUNDLED_RECORDING_NAME, Simulator, SimulatorSettings},
    },
    domain::{
        access::{ApiKey, Scope, TenantName},
        ids::Ids,
    },
    shutdown::Shutdown,
};

/// The simulator's account key. It guards nothing: both ends are ours and on loopback.
const GLADIA_KEY: &str = "demo-gladia-key";

/// How fast the simulator works: a minute of audio takes three seconds.
const SPEED: f64 = 20.0;

/// How often the demo asks for its job, to have something to show.
const POLL_INTERVAL: Duration = Duration::from_millis(200);

/// The demo's own database in the embedded server.
const DATABASE: &str = "gateway";

/// Its tables' place in somebody else's database.
const SCHEMA: &str = "gladia_gateway_demo";

/// Show the whole way of a recording on this machine: no account, no database, nothing to set up.
///
/// Starts a Postgres of its own, a simulator of Gladia's API and the gateway on free loopback ports, transcribes the bundled
/// recording and every FILE through the REST API, and then stays up for your own requests until Ctrl-C.
#[derive(Debug, clap::Args)]
pub struct DemoArgs {
    /// Recordings to transcribe besides the bundled one
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,

    /// Exit once all are transcribed: with 0 only if every one was
    #[arg(long)]
    once: bool,

    /// A Postgres database to use instead of an embedded one.
    ///
    /// The demo keeps its tables in a schema of its own, so that a real gateway's jobs in the same database are never sent
    /// to the simulator. It leaves them there.
    ///
    /// Example: DATABASE_URL=postgres://gateway:password@localhost/gateway
    #[expect(
        clippy::doc_markdown,
        reason = "a help text: backticks around an example would be pasted along with it"
    )]
    #[arg(long, env = "DATABASE_URL", hide_env_values = true, value_name = "URL")]
    database_url: Option<DatabaseUrl>,
}

/// Runs the demo.
///
/// # Errors
/// Where a part of it does not start, or its output cannot be written.
pub async fn run(args: DemoArgs, shutdown: Shutdown) -> anyhow::Result<ExitCode> {
    for file in &args.files {
        let readable = std::fs::metadata(file)
            .with_context(|| format!("{} cannot be read", file.display()))?;
        if !readable.is_file() {
            bail!("{} is no file", file.display());
        }
    }
    let (postgres, database_url) = if let Some(url) = &args.database_url {
        let options = db::in_own_schema(url.options(), SCHEMA)
            .await
            .with_context(|| format!("DATABASE_URL: cannot use the database at {url}"))?;
        (None, options.into())
    } else {
        say("Starting a Postgres of its own …");
        let postgres = EmbeddedPostgres::start(Options::default()).await?;
        postgres.create_database(DATABASE, None).await?;
        let url = postgres
            .url(DATABASE)
            .parse()
            .map_err(|error: String| anyhow!(error))?;
        (Some(postgres), url)
    };
    let simulator = Simulator::start(SimulatorSettings {
        api_keys: vec![GLADIA_KEY.to_owned()],
        speed: SPEED,
        ..SimulatorSettings::default()
    })
    .await?;

    let shown = show(&args, database_url, &simulator, &shutdown).await;

    // Everything ends here, whatever came of it.
    shutdown.soft.cancel();
    shutdown.drain(Duration::from_secs(5)).await;
    simulator.shutdown().await;
    if let Some(postgres) = postgres {
        postgres.stop().await?;
    }
    Ok(if shown? {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Answers whether every file came back transcribed.
async fn show(
    args: &DemoArgs,
    database_url: DatabaseUrl,
    simulator: &Simulator,
    shutdown: &Shutdown,
) -> anyhow::Result<bool> {
    let (gateway, base) = start_gateway(database_url, simulator.url(), shutdown).await?;
    let key = make_key(&gateway).await?;
    let demo = Demo {
        client: client()?,
        base,
        key,
    };
    say(&format!(
        "The gateway listens on {}, with a simulated Gladia at {}",
        demo.base,
        simulator.url()
    ));

    let mut failed = 0;
    let mut example = Value::Null;
    let bundled = Recording::Bundled;
    for recording in
        std::iter::once(bundled).chain(args.files.iter().map(|path| Recording::File(path)))
    {
        let transcribed = tokio::select! {
            transcribed = demo.transcribe(&recording) => transcribed,
            () = shutdown.soft.cancelled() => bail!("interrupted"),
        };
        match transcribed {
            Ok(job) => {
                output::text(&transcript(&recording.name(), &job))?;
                example = job;
            }
            Err(error) => {
                failed += 1;
                say(&format!("error: {}: {error:#}", recording.name()));
            }
        }
    }
    if args.once {
        return Ok(failed == 0);
    }
    output::text(&demo.invitation(&example))?;
    shutdown.soft.cancelled().await;
    say("Stopping …");
    Ok(failed == 0)
}

/// Starts the service as `serve` would, on a free port.
async fn start_gateway(
    database_url: DatabaseUrl,
    gladia: Url,
    shutdown: &Shutdown,
) -> anyhow::Result<(Gateway, Url)> {
    let callback_keys = format!(
        "demo:{}",
        BASE64_URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>())
    );
    let mut settings = ServeSettings::from_values([
        ("DATABASE_URL", "postgres://replaced.below/"),
        ("GLADIA_API_KEY", GLADIA_KEY),
        ("GLADIA_API_URL", gladia.as_str()),
        ("PUBLIC_URL", "http://replaced.below/"),
        ("CALLBACK_KEYS", &callback_keys),
        ("LISTEN_ADDR", "127.0.0.1:0"),
    ])?;
    settings.database.database_url = database_url;
    let listeners = Listeners::bind(&settings.addresses).await?;
    let base = Url::parse(&format!("http://{}/", listeners.main_addr()?))?;
    settings.addresses.public_url = base.clone();
    let gateway = Gateway::start(settings, listeners, shutdown.clone()).await?;
    Ok((gateway, base))
}

/// Makes an API key for this run.
async fn make_key(gateway: &Gateway) -> anyhow::Result<SecretString> {
    let ids = Ids::random();
    let key = ApiKey::from_random(rand::random());
    let tenant: TenantName = "demo".parse().map_err(|error: &str| anyhow!(error))?;
    let mut conn = gateway.pool.acquire().await?;
    let tenant_id = db::api_keys::find_or_insert_tenant(&mut conn, ids.next(), &tenant).await?;
    let new = NewApiKey {
        id: ids.next(),
        tenant_id,
        name: "demo",
        scope: Scope::Write,
        hash: key.hash(),
    };
    db::api_keys::insert(&mut conn, new).await?;
    Ok(key.expose().into())
}

fn client() -> anyhow::Result<Client> {
    Ok(Client::builder()
        .no_proxy()
        .connect_timeout(Duration::from_secs(5))
        .build()?)
}

/// Progress and errors: on stderr, so that stdout holds the transcript alone.
fn say(line: &str) {
    eprintln!("{line}");
}

/// What is transcribed.
enum Recording<'a> {
    Bundled,
    File(&'a Path),
}

impl Recording<'_> {
    fn name(&self) -> String {
        match self {
            Self::Bundled => BUNDLED_RECORDING_NAME.to_owned(),
            Self::File(path) => path
                .file_name()
                .unwrap_or(path.as_os_str())
                .to_string_lossy()
                .into_owned(),
        }
    }

    /// The file as a part of a form, streamed.
    async fn part(&self) -> anyhow::Result<Part> {
        let part = match self {
            Self::Bundled => Part::bytes(BUNDLED_RECORDING),
            Self::File(path) => {
                let file = tokio::fs::File::open(path).await?;
                let length = file.metadata().await?.len();
                Part::stream_with_length(Body::wrap_stream(ReaderStream::new(file)), length)
            }
        };
        Ok(part.file_name(self.name()))
    }
}

/// A caller of the gateway's API.
struct Demo {
    client: Client,
    base: Url,
    key: SecretString,
}

impl Demo {
    /// Uploads a recording and follows its transcription to the end.
    async fn transcribe(&self, recording: &Recording<'_>) -> anyhow::Result<Value> {
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
    fn invitation(&self, job: &Value) -> String {
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
             \x20 curl -H 'Authorization: Bearer {key}' {base}/v1/transcriptions/{id}/audio -o original-audio\n\n\
             \x20 curl -H 'Authorization: Bearer {key}' -H 'Content-Type: application/json' \\\n\
             \x20      -d '{{\"audio_url\":\"{audio_url}\",\"summarization\":true}}' {base}/v1/transcriptions\n\n\
             And with a file of yours in place of FILE:\n\n\
             \x20 curl -H 'Authorization: Bearer {key}' -F audio=@FILE {base}/v1/transcriptions/upload\n\n\
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

/// The words with their speakers and times.
fn transcript(name: &str, job: &Value) -> String {
    let file = &job["file"];
    let channels = match file["number_of_channels"].as_i64() {
        Some(1) => ", 1 channel".to_owned(),
        Some(channels) => format!(", {channels} channels"),
        None => String::new(),
    };
    let duration = job["audio_duration_seconds"].as_f64().unwrap_or_default();
    let mut text = format!("\n{name}: {duration:.2} s{channels}\n\n");
    let utterances = job["result"]["transcription"]["utterances"].as_array();
    for utterance in utterances.into_iter().flatten() {
        let time = |field: &str| clock(utterance[field].as_f64().unwrap_or_default());
        let speaker = utterance["speaker"]
            .as_i64()
            .map_or_else(String::new, |number| format!("Speaker {}: ", number + 1));
        let words = utterance["text"].as_str().unwrap_or_default();
        let (start, end) = (time("start"), time("end"));
        text.extend(["  [", &start, " - ", &end, "] ", &speaker, words, "\n"]);
    }
    if utterances.is_none_or(Vec::is_empty) {
        text.push_str("  (no speech)\n");
    }
    text
}

/// Minutes, seconds and hundredths; hours where there are any.
fn clock(seconds: f64) -> String {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a time in a recording, not negative"
    )]
    let hundredths = (seconds.max(0.0) * 100.0).round() as u64;
    let (hours, rest) = (hundredths / 360_000, hundredths % 360_000);
    let (minutes, rest) = (rest / 6_000, rest % 6_000);
    let short = format!("{minutes:02}:{:02}.{:02}", rest / 100, rest % 100);
    if hours == 0 {
        short
    } else {
        format!("{hours}:{short}")
    }
}

/// A line that changes on a terminal, and one line for each change elsewhere.
struct Progress {
    name: String,
    bar: Option<ProgressBar>,
    last: std::cell::RefCell<String>,
}

impl Progress {
    fn start(name: &str) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new_spinner();
            bar.set_style(ProgressStyle::default_spinner());
            bar.enable_steady_tick(Duration::from_millis(100));
            bar
        });
        Self {
            name: name.to_owned(),
            bar,
            last: std::cell::RefCell::default(),
        }
    }

    fn show(&self, state: &str) {
        let line = format!("{}: {state}", self.name);
        match &self.bar {
            Some(bar) => bar.set_message(line),
            None if *self.last.borrow() != line => {
                say(&line);
                *self.last.borrow_mut() = line;
            }
            None => {}
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_read_like_a_clock() {
        assert_eq!(clock(0.4), "00:00.40");
        assert_eq!(clock(75.999), "01:16.00");
        assert_eq!(clock(3_725.5), "1:02:05.50");
    }
}
