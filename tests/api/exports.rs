//! Transcripts as files, and results as the document of the API describes them.

use gladia_gateway::{
    dev_tools::simulator::{BUNDLED_RECORDING, BUNDLED_RECORDING_NAME},
    http::openapi,
};
use serde_json::{Value, json};

use crate::support::{Answer, TestApp, audio, callbacks::processing, rows::success};

async fn export(app: &TestApp, id: &str, what: &str) -> Answer {
    let path = format!("/v1/transcriptions/{id}/export/{what}");
    app.acme.get(&path).await
}

/// Every add-on, as far as the simulator has them.
fn everything() -> Value {
    json!({
        "diarization": true, "sentences": true, "summarization": true, "sentiment_analysis": true,
        "named_entity_recognition": true,
        "translation": true, "translation_config": { "target_languages": ["fr", "es"] },
        "audio_to_llm": true, "audio_to_llm_config": { "prompts": ["What is it about?"] },
        "subtitles": true, "subtitles_config": { "formats": ["srt", "vtt"] },
    })
}

/// A job that is done by a callback of the test's own, with this result.
async fn done_with(app: &TestApp, result: &str) -> String {
    let (id, attempt, gladia_id) = processing(app).await;
    let body =
        format!(r#"{{"id":"{gladia_id}","event":"transcription.success","payload":{result}}}"#);
    assert_eq!(app.call_back(attempt.id, body).await.status, 200);
    id
}

#[track_caller]
fn assert_is_described(result: &Value) {
    let mut schema = serde_json::to_value(openapi::document()).unwrap();
    schema["$ref"] = json!("#/components/schemas/TranscriptionResult");
    let validator = jsonschema::validator_for(&schema).unwrap();
    let errors: Vec<String> = validator
        .iter_errors(result)
        .map(|error| format!("{error} at {}", error.instance_path()))
        .collect();
    assert!(errors.is_empty(), "{errors:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transcript_comes_in_every_format_with_its_type_and_name() {
    let app = TestApp::start().await;
    let recording = BUNDLED_RECORDING.to_vec();
    let options = everything();
    let upload = app
        .acme
        .upload(recording, BUNDLED_RECORDING_NAME, Some(&options))
        .await;
    let id = upload.expect(202)["id"].as_str().unwrap().to_owned();
    let job = app.acme.wait_until_done(&id).await;
    assert_is_described(&job["result"]);
    for (what, content_type, name, begins) in [
        (
            "txt",
            "text/plain; charset=utf-8",
            "support-call.txt",
            "Speaker 1: Good morning, this is Anna from Northwind Freight.",
        ),
        (
            "srt",
            "application/x-subrip; charset=utf-8",
            "support-call.srt",
            "1\n00:00:00,400 --> 00:00:",
        ),
        (
            "vtt?speaker_names=0:Anna&speaker_names=1:Daniel%20Moreau",
            "text/vtt; charset=utf-8",
            "support-call.vtt",
            "WEBVTT\n\n00:00:00.400 --> 00:00:0",
        ),
        (
            "md?language=fr",
            "text/markdown; charset=utf-8",
            "support-call.fr.md",
            "# support-call.ogg\n\n- Duration: 00:00:32\n- Language: fr\n- Translated from: en\n",
        ),
        (
            "csv?language=es",
            "text/csv; charset=utf-8; header=present",
            "support-call.es.csv",
            "utterance_index,word_index,start,end,word,confidence,speaker,channel,language\r\n0,0,0.400,",
        ),
        ("json", "application/json", "support-call.json", "{"),
    ] {
        let file = export(&app, &id, what).await;
        assert_eq!(file.status, 200, "{}", file.text());
        assert_eq!(file.header("content-type"), Some(content_type));
        let disposition = format!("attachment; filename=\"{name}\"");
        assert_eq!(
            file.header("content-disposition"),
            Some(disposition.as_str())
        );
        assert!(file.text().starts_with(begins), "{}", file.text());
    }
    let result = app.result_at_gladia(&id).await;
    assert_eq!(export(&app, &id, "json").await.bytes, result);
    let named = export(
        &app,
        &id,
        "vtt?speaker_names=0:Anna&speaker_names=1:Daniel%20Moreau",
    );
    let named = named.await.text();
    assert!(named.contains("<v Anna>Good morning"), "{named}");
    assert!(named.contains("<v Daniel Moreau>Hello Anna"), "{named}");
    let daniel = export(&app, &id, "txt?speaker=1&speakers=false")
        .await
        .text();
    assert!(daniel.starts_with("Hello Anna, my name"), "{daniel}");
    assert!(!daniel.contains("Good morning"), "{daniel}");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_that_was_fetched_is_exported_like_one_that_was_delivered() {
    let app = TestApp::builder()
        .set("COMPLETION", "poll")
        .set("PUBLIC_URL", "")
        .start()
        .await;
    let id = app.acme.start("spoken.mp3").await;
    app.acme.wait_until_done(&id).await;
    let result = app.result_at_gladia(&id).await;
    assert_eq!(export(&app, &id, "json").await.bytes, result);
    let text = export(&app, &id, "txt").await;
    assert_eq!(text.text(), "Good morning from the harbour\n");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_came_by_a_link_is_named_as_it_is_there_and_without_a_name_by_its_id() {
    let app = TestApp::start().await;
    for (link, title, name) in [
        (
            "https://audio.example/2026/call-4711.mp3?token=secret/x.mp3#y",
            "call-4711.mp3",
            "call-4711",
        ),
        (
            "https://audio.example/o/calls%2FAcme%3A%20one%0A%22.tar.mp3",
            "Acme: one.tar.mp3",
            "Acme_ one.tar",
        ),
        ("https://audio.example/listen", "listen", "listen"),
        (
            "https://audio.example/01890000-0000-7000-8000-000000000000.mp3",
            "01890000-0000-7000-8000-000000000000.mp3",
            "01890000-0000-7000-8000-000000000000",
        ),
        ("https://audio.example/calls/?file=x.mp3", "", ""),
        ("https://audio.example/--.mp3", "", ""),
        // Of a file at Gladia it is the id.
        (
            "https://audio.example/file/01890000-0000-7000-8000-000000000000",
            "",
            "",
        ),
    ] {
        let job = app.acme.transcribe(&json!({ "audio_url": link })).await;
        let job = job.expect(202);
        let id = job["id"].as_str().unwrap();
        app.acme.wait_until_done(id).await;
        let (title, name) = if name.is_empty() {
            (format!("Transcription {id}"), format!("transcription-{id}"))
        } else {
            (title.to_owned(), name.to_owned())
        };
        let file = export(&app, id, "md").await;
        let disposition = format!("attachment; filename=\"{name}.md\"");
        assert_eq!(
            file.header("content-disposition"),
            Some(disposition.as_str()),
            "{link}"
        );
        let text = file.text();
        assert!(text.starts_with(&format!("# {title}\n")), "{link}: {text}");
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_odd_result_is_exported_as_far_as_it_can_be_read() {
    let app = TestApp::start().await;
    let odd = r#"{ "metadata":{"audio_duration":1e1}, "x":[0.6399999999999999],"transcription":{"utterances":[
        {"text":"Late","start":7200.5,"end":1},{"start":"1.25","text":"Early \ud83d --> &","speaker":0,"words":null},null,
        {"text":"مرحبا","start":3,"end":4,"speaker":1} ]}}"#;
    let id = done_with(&app, odd).await;
    assert_eq!(export(&app, &id, "json").await.text(), odd);
    let srt = export(&app, &id, "srt?minimum_duration=0.5").await;
    assert_eq!(
        srt.text(),
        "1\n00:00:01,250 --> 00:00:01,750\nSpeaker 1: Early \u{fffd}\u{fffd}\u{fffd} → &\n\n\
         2\n00:00:03,000 --> 00:00:04,000\n\u{2068}Speaker 2\u{2069}: مرحبا\n\n\
         3\n02:00:00,500 --> 02:00:01,000\nLate\n"
    );
    let vtt = export(&app, &id, "vtt?speakers=false").await.text();
    assert!(vtt.contains("--&gt; &amp;\n"), "{vtt}");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_exported_is_told_with_what_there_is() {
    let app = TestApp::start().await;
    let (waiting, attempt, gladia_id) = processing(&app).await;
    let not_yet = export(&app, &waiting, "srt").await;
    not_yet.problem(409, "result-not-ready");
    app.call_back(attempt.id, success(&gladia_id, "Words without times"))
        .await;
    app.acme.wait_until_done(&waiting).await;
    let text = export(&app, &waiting, "txt").await.text();
    assert_eq!(text, "Words without times\n");
    export(&app, &waiting, "srt?language=de")
        .await
        .problem(404, "translation-not-found");

    let error = r#"{"status_code":500,"exception":"E","message":"The model is away"}"#;
    let translated = format!(
        r#"{{"metadata":{{}},"transcription":{{"languages":["en"],"utterances":[]}},"translation":{{"success":true,"results":[
            {{"languages":["fr"],"utterances":[{{"text":"Bonjour","start":0,"end":1}}],"full_transcript":"Bonjour"}},
            {{"languages":["de"],"utterances":[],"full_transcript":"","error":{error}}}]}}}}"#
    );
    let id = done_with(&app, &translated).await;
    let french = export(&app, &id, "srt?language=fr").await.text();
    assert!(french.ends_with("Bonjour\n"), "{french}");
    let failed = export(&app, &id, "srt?language=de").await;
    let failed = failed.problem(409, "translation-failed");
    assert!(
        failed["detail"]
            .as_str()
            .unwrap()
            .contains("The model is away")
    );
    let other = export(&app, &id, "txt?language=es").await;
    let other = other.problem(404, "translation-not-found");
    assert!(other["detail"].as_str().unwrap().contains("fr"), "{other}");
    let pdf = export(&app, &id, "pdf").await.problem(404, "not-found");
    assert!(
        pdf["detail"].as_str().unwrap().contains("txt, srt"),
        "{pdf}"
    );

    let bare = done_with(&app, r#"{"metadata":{}}"#).await;
    export(&app, &bare, "txt")
        .await
        .problem(409, "transcript-missing");
    assert_eq!(
        export(&app, &bare, "json").await.text(),
        r#"{"metadata":{}}"#
    );

    let path = format!("/v1/transcriptions/{id}/export/txt");
    app.globex.get(&path).await.problem(404, "not-found");
    let nobody = app.acme.with_key(None);
    nobody.get(&path).await.problem(401, "unauthorized");
    app.acme.delete(&id).await;
    export(&app, &id, "txt")
        .await
        .problem(410, "transcription-deleted");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_parameters_are_all_named_at_once() {
    let app = TestApp::start().await;
    let id = app.acme.start("a.mp3").await;
    app.acme.wait_until_done(&id).await;
    for (what, expected) in [
        (
            "srt?minimum_duration=-1&maximum_duration=31&maximum_characters_per_row=0&maximum_rows_per_caption=6&style=x",
            "maximum_characters_per_row,maximum_duration,maximum_rows_per_caption,minimum_duration,style",
        ),
        (
            "srt?minimum_duration=NaN&maximum_duration=soon&maximum_rows_per_caption=1.5&speakers=yes&language=",
            "language,maximum_duration,maximum_rows_per_caption,minimum_duration,speakers",
        ),
        (
            "vtt?minimum_duration=8&maximum_rows_per_caption=2&maximum_rows_per_caption=3",
            "maximum_rows_per_caption,minimum_duration",
        ),
        (
            "md?speaker_names=Anna&channel_names=0:&speaker=x&channel=-1&maximum_duration=5",
            "channel,channel_names,maximum_duration,speaker,speaker_names",
        ),
        ("txt?speaker_names=0:A&speaker_names=0:B", "speaker_names"),
        ("csv?speakers=true&language=fr%0a", "language,speakers"),
        ("json?language=fr", "language"),
    ] {
        let problem = export(&app, &id, what)
            .await
            .problem(400, "invalid-parameter");
        let errors = problem["errors"].as_array().unwrap().iter();
        let mut names: Vec<&str> = errors.map(|e| e["parameter"].as_str().unwrap()).collect();
        names.sort_unstable();
        assert_eq!(names.join(","), expected, "{problem}");
    }
    let wide = "srt?minimum_duration=0&maximum_duration=30&maximum_characters_per_row=4000000000&maximum_rows_per_caption=5";
    assert_eq!(export(&app, &id, wide).await.status, 200);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_keeps_the_name_of_its_recording_in_any_script() {
    let app = TestApp::start().await;
    let upload = app.acme.upload(audio::short(), "通話 1:2.wav", None).await;
    let id = upload.expect(202)["id"].as_str().unwrap().to_owned();
    app.acme.wait_until_done(&id).await;
    let file = export(&app, &id, "txt").await;
    assert_eq!(
        file.header("content-disposition"),
        Some("attachment; filename=\"__ 1_2.txt\"; filename*=UTF-8''%E9%80%9A%E8%A9%B1%201_2.txt")
    );
    app.finish().await;
}
