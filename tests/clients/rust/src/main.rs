use std::{collections::HashMap, env, path::PathBuf};

use anyhow::{Context as _, Result, ensure};
use gateway::{
    apis::{
        Error, configuration::Configuration, transcriptions_api as transcriptions,
        uploads_api as uploads,
    },
    models::{
        CreateTranscription, CreateTranscriptionOptions, ExportFormat, Language, LanguageConfig,
        Problem, SubtitlesConfig, Transcription, TranscriptionStatus,
    },
};
use serde_json::{Value, json};
use uuid::Uuid;

/// The older form, in which answers show it too.
const WORDS: [&str; 1] = ["Northwind Freight"];

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let gateway = Configuration {
        base_path: env::var("GATEWAY_URL")?,
        bearer_access_token: Some(env::var("GATEWAY_KEY")?),
        ..Configuration::new()
    };
    let audio = PathBuf::from(env::var("AUDIO")?);
    let run = Uuid::new_v4().to_string();
    let english = LanguageConfig {
        languages: Some(Some(vec![Language::En])),
        ..LanguageConfig::new()
    };
    let metadata: HashMap<String, Value> = HashMap::from([("run".to_owned(), run.as_str().into())]);

    // By URL: here that of an upload.
    let upload = uploads::create_upload(&gateway, audio.clone()).await?;
    let mut request = CreateTranscription {
        language_config: Some(Box::new(english.clone())),
        diarization: Some(true),
        custom_vocabulary: Some(Some(json!(WORDS))),
        custom_metadata: Some(metadata.clone()),
        ..CreateTranscription::new(upload.audio_url)
    };
    let by_url =
        transcriptions::create_transcription(&gateway, request.clone(), Some(&run), Some(30), None)
            .await?;
    check(&finished(&gateway, by_url.clone()).await?, &run)?;

    // The same again is the same transcription.
    let again =
        transcriptions::create_transcription(&gateway, request.clone(), Some(&run), None, None)
            .await?;
    ensure!(again.id == by_url.id);

    let options = CreateTranscriptionOptions {
        language_config: Some(Box::new(english)),
        diarization: Some(true),
        custom_vocabulary: Some(Some(json!(WORDS))),
        custom_metadata: Some(metadata),
        ..CreateTranscriptionOptions::new()
    };
    let options = serde_json::to_string(&options)?;
    let by_file = transcriptions::create_transcription_from_file(
        &gateway,
        audio,
        None,
        None,
        None,
        Some(&options),
    )
    .await?;
    check(&finished(&gateway, by_file.clone()).await?, &run)?;

    let id = by_file.id.to_string();
    let subtitles = export(&gateway, &id, ExportFormat::Srt).await?;
    ensure!(subtitles.starts_with("1\n00:00:"));
    let text = export(&gateway, &id, ExportFormat::Txt).await?;
    ensure!(text.contains("Northwind Freight"));
    let exported = transcriptions::get_transcription_export_json(&gateway, &id, None).await?;
    ensure!(exported.transcription.flatten().is_some());

    // Two pages, newest first.
    let mut listed = Vec::new();
    let mut cursor: Option<String> = None;
    loop {
        let page = transcriptions::list_transcriptions(
            &gateway,
            Some(vec![TranscriptionStatus::Done]),
            None,
            None,
            None,
            None,
            Some(vec![format!("run:{run}")]),
            Some(1),
            cursor.as_deref(),
        )
        .await?;
        ensure!(page.items.len() == 1);
        listed.extend(page.items.iter().map(|item| item.id));
        cursor = page.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    ensure!(listed == [by_file.id, by_url.id]);

    request.subtitles_config = Some(Box::new(SubtitlesConfig {
        maximum_rows_per_caption: Some(9),
        ..SubtitlesConfig::new()
    }));
    let refused = transcriptions::create_transcription(&gateway, request, None, None, None).await;
    let problem = problem(refused.map(drop))?;
    ensure!(problem.status == 422);
    ensure!(problem.r#type == "urn:gladia-gateway:problem:invalid-request");
    let errors = problem.errors.context("no errors")?;
    ensure!(errors[0].pointer.as_deref() == Some("/subtitles_config/maximum_rows_per_caption"));

    for id in listed.iter().map(Uuid::to_string) {
        transcriptions::delete_transcription(&gateway, &id).await?;
        let gone = transcriptions::get_transcription(&gateway, &id, None, None, None).await;
        let problem = self::problem(gone.map(drop))?;
        ensure!(problem.status == 410);
        problem.erased.context("no receipt")?;
    }
    Ok(())
}

async fn finished(
    gateway: &Configuration,
    mut transcription: Transcription,
) -> Result<Transcription> {
    while matches!(
        transcription.status,
        TranscriptionStatus::Queued | TranscriptionStatus::Processing
    ) {
        let id = transcription.id.to_string();
        transcription =
            transcriptions::get_transcription(gateway, &id, Some(30), None, None).await?;
    }
    Ok(transcription)
}

async fn export(gateway: &Configuration, id: &str, format: ExportFormat) -> Result<String> {
    let file = transcriptions::get_transcription_export(
        gateway, id, format, None, None, None, None, None, None, None, None, None, None, None,
    );
    Ok(file.await?.text().await?)
}

fn check(transcription: &Transcription, run: &str) -> Result<()> {
    ensure!(transcription.status == TranscriptionStatus::Done);
    let result = transcription.result.as_ref().context("no result")?;
    // What Gladia sends may be left out, and may be null.
    let transcript = result
        .transcription
        .as_ref()
        .and_then(Option::as_ref)
        .context("no transcription")?;
    ensure!(transcript.full_transcript.contains("Northwind Freight"));
    let first = &transcript.utterances[0];
    ensure!(first.speaker == Some(Some(0)));
    let word = &first
        .words
        .as_ref()
        .and_then(Option::as_ref)
        .context("no words")?[0];
    ensure!(word.end > word.start);
    ensure!(result.metadata.audio_duration > 30.0);
    let metadata = transcription
        .options
        .custom_metadata
        .as_ref()
        .context("no metadata")?;
    ensure!(metadata["run"] == run);
    ensure!(transcription.options.custom_vocabulary == Some(Some(json!(WORDS))));
    Ok(())
}

/// The problem that a call was refused with.
fn problem<T>(answer: Result<(), Error<T>>) -> Result<Problem> {
    match answer {
        Err(Error::ResponseError(refusal)) => Ok(serde_json::from_str(&refusal.content)?),
        Err(_) => anyhow::bail!("it failed in another way"),
        Ok(()) => anyhow::bail!("it was not refused"),
    }
}
