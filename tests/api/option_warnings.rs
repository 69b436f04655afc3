//! What is accepted with a warning: the caller is told in the create's answer and in every view of the job, and Gladia gets
//! what was asked for.

use serde_json::{Value, json};

use crate::{
    options::without_ours,
    support::{TestApp, audio},
};

/// Options that Gladia has discontinued, with right values.
pub fn discontinued() -> Vec<(&'static str, Value)> {
    vec![
        ("chapterization", json!(true)),
        (
            "code_switching_config",
            json!({ "languages": ["en", "fr"] }),
        ),
        ("context_prompt", json!("A board meeting")),
        ("detect_language", json!(true)),
        ("display_mode", json!(false)),
        ("enable_code_switching", json!(true)),
        ("language", json!("en")),
        ("moderation", json!(true)),
        ("name_consistency", json!(true)),
        ("structured_data_extraction", json!(true)),
        (
            "structured_data_extraction_config",
            json!({ "classes": ["Persons", "Organizations"] }),
        ),
    ]
}

/// What a job's warnings point to, and their kinds.
fn told(job: &Value) -> Vec<(&str, &str)> {
    let warnings = job["warnings"].as_array().unwrap();
    warnings
        .iter()
        .map(|warning| {
            let message = warning["message"].as_str().unwrap();
            assert!(message.ends_with('.'), "{message}");
            (
                warning["pointer"].as_str().unwrap(),
                warning["code"].as_str().unwrap(),
            )
        })
        .collect()
}

/// Options, their warnings, and the flags that Gladia gets beside them.
type Warned = (
    Value,
    Vec<(&'static str, &'static str)>,
    &'static [&'static str],
);

fn warned() -> Vec<Warned> {
    vec![
        (
            json!({ "language_config": { "languages": ["en"], "code_switching": true } }),
            vec![("/language_config/code_switching", "no_effect")],
            &[],
        ),
        (
            json!({ "model": "solaria-3", "language_config": { "languages": ["en", "fr"] } }),
            vec![("/language_config/languages", "not_documented")],
            &[],
        ),
        (
            json!({ "model": "solaria-fusion" }),
            vec![("/model", "not_documented")],
            &[],
        ),
        (
            json!({ "custom_vocabulary": ["Gladia", "Solaria"] }),
            vec![("/custom_vocabulary", "not_documented")],
            &[],
        ),
        (
            json!({
                "custom_vocabulary_config": {
                    "vocabulary": ["a", { "value": "b", "intensity": 0.61 }], "default_intensity": 0.7,
                },
            }),
            vec![
                ("/custom_vocabulary_config", "switched_on"),
                (
                    "/custom_vocabulary_config/default_intensity",
                    "likely_harmful",
                ),
                (
                    "/custom_vocabulary_config/vocabulary/1/intensity",
                    "likely_harmful",
                ),
            ],
            &["custom_vocabulary"],
        ),
        (
            json!({
                "custom_spelling_config": { "spelling_dictionary": { "SQL": ["Sequel"] } },
                "diarization_config": { "max_speakers": 4, "number_of_speakers": 5 },
                "translation_config": { "target_languages": ["fr"] },
                "audio_to_llm_config": { "prompts": ["Who decided what?"] },
            }),
            vec![
                ("/custom_spelling_config", "switched_on"),
                ("/diarization_config", "switched_on"),
                ("/translation_config", "switched_on"),
                ("/audio_to_llm_config", "switched_on"),
                ("/diarization_config/number_of_speakers", "contradictory"),
            ],
            &[
                "custom_spelling",
                "diarization",
                "translation",
                "audio_to_llm",
            ],
        ),
        (
            json!({
                "subtitles_config": { "minimum_duration": 5, "maximum_duration": 4 },
                "summarization_config": { "type": "concise" },
                "pii_redaction": false,
                "pii_redaction_config": { "entity_types": ["GDPR"] },
            }),
            vec![
                ("/subtitles_config", "switched_on"),
                ("/summarization_config", "switched_on"),
                ("/pii_redaction_config", "no_effect"),
                ("/subtitles_config/minimum_duration", "contradictory"),
            ],
            &["subtitles", "summarization"],
        ),
        (
            json!({
                "diarization": true,
                "diarization_config": { "min_speakers": 3, "max_speakers": 2 },
            }),
            vec![("/diarization_config/min_speakers", "contradictory")],
            &[],
        ),
        (
            json!({
                "diarization": true,
                "diarization_config": { "min_speakers": 2, "max_speakers": 0 },
            }),
            vec![],
            &[],
        ),
        (
            json!({ "punctuation_enhanced": true }),
            vec![("/punctuation_enhanced", "alpha")],
            &[],
        ),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pitfall_is_told_in_every_view_and_what_was_asked_for_goes_out() {
    let app = TestApp::start().await;
    for (options, warnings, switched_on) in warned() {
        let mut body = options.clone();
        body["audio_url"] = "https://audio.example/a.mp3".into();
        let job = app.acme.transcribe(&body).await.expect(202);
        assert_eq!(told(&job), warnings, "{options}");
        let done = app.acme.wait_until_done(job["id"].as_str().unwrap()).await;
        let list = app.acme.get("/v1/transcriptions?limit=1").await.expect(200);
        for view in [&done, &list["items"][0]] {
            assert_eq!(view["id"], job["id"]);
            assert_eq!(view["warnings"], job["warnings"]);
        }
        body["custom_metadata"] = json!({});
        for flag in switched_on {
            body[flag] = json!(true);
        }
        assert_eq!(
            without_ours(app.upstream.jobs().await.last().unwrap()),
            body
        );
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn discontinued_options_go_out_as_they_come_and_are_told() {
    let app = TestApp::start().await;
    let mut body = json!({ "audio_url": "https://audio.example/a.mp3", "custom_metadata": {} });
    let mut warnings = Vec::new();
    for (name, value) in discontinued() {
        body[name] = value;
        warnings.push((format!("/{name}"), "discontinued".to_owned()));
    }
    let job = app.acme.transcribe(&body).await.expect(202);
    let told: Vec<(String, String)> = told(&job)
        .into_iter()
        .map(|(pointer, code)| (pointer.to_owned(), code.to_owned()))
        .collect();
    assert_eq!(told, warnings);
    let chapters = job["warnings"][0]["message"].as_str().unwrap();
    assert!(
        chapters.contains("use `audio_to_llm` with a prompt that asks for chapters"),
        "{chapters}"
    );
    app.acme.wait_until_done(job["id"].as_str().unwrap()).await;
    let jobs = app.upstream.jobs().await;
    assert_eq!(without_ours(&jobs[0]), body);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_whose_discontinued_option_gladia_refuses_ends_with_gladias_words() {
    let app = TestApp::builder()
        .simulator(|settings| settings.strict_options = true)
        .start()
        .await;
    let body = json!({ "audio_url": "https://audio.example/a.mp3", "chapterization": true });
    let job = app.acme.transcribe(&body).await.expect(202);
    let id = job["id"].as_str().unwrap();
    let failed = app.acme.wait_until(id, "error").await;
    assert_eq!(failed["warnings"], job["warnings"]);
    assert_eq!(failed["error"]["type"], "gladia_refused");
    assert_eq!(failed["error"]["code"], 400);
    let message = failed["error"]["message"].as_str().unwrap();
    assert!(
        message.contains("property chapterization should not exist"),
        "{message}"
    );
    // The same without it is taken.
    let other = app.acme.start("a.mp3").await;
    app.acme.wait_until_done(&other).await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn extra_options_are_told_to_be_unchecked() {
    let app = TestApp::start().await;
    let options = json!({
        "subtitles_config": { "formats": ["srt"] },
        "extra_options": { "brand/\u{0}new": 1, "sentences": "all", "subtitles_config": { "formats": ["ttml"] } },
    });
    let answer = app
        .acme
        .upload(audio::short(), "a.wav", Some(&options))
        .await;
    let job = answer.expect(202);
    assert_eq!(
        told(&job),
        [
            ("/options/subtitles_config", "switched_on"),
            ("/options/extra_options/brand~1\u{0}new", "unchecked"),
            ("/options/extra_options/sentences", "unchecked"),
            ("/options/extra_options/subtitles_config", "unchecked"),
        ]
    );
    for (index, words) in [
        (1, "Gladia may ignore it, or refuse the job"),
        (2, "give it at the top of the request"),
        (3, "replaces the whole option of the same name"),
    ] {
        let message = job["warnings"][index]["message"].as_str().unwrap();
        assert!(message.contains(words), "{message}");
    }
    // The simulated Gladia refuses these values, as a real one may.
    let id = job["id"].as_str().unwrap();
    let failed = app.acme.wait_until(id, "error").await;
    let message = failed["error"]["message"].as_str().unwrap();
    assert!(
        message.contains("sentences must be a boolean value"),
        "{message}"
    );
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn code_switching_without_languages_is_accepted_where_the_operator_says_so() {
    let app = TestApp::builder()
        .set("ACCEPT_CODE_SWITCHING_WITHOUT_LANGUAGES", true)
        .start()
        .await;
    let body = json!({
        "audio_url": "https://audio.example/a.mp3",
        "language_config": { "code_switching": true },
        "custom_metadata": {},
    });
    let job = app.acme.transcribe(&body).await.expect(202);
    assert_eq!(
        told(&job),
        [("/language_config/code_switching", "likely_harmful")]
    );
    app.acme.wait_until_done(job["id"].as_str().unwrap()).await;
    let jobs = app.upstream.jobs().await;
    assert_eq!(without_ours(&jobs[0]), body);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn metadata_may_fill_gladias_limit_to_the_last_character() {
    let app = TestApp::start().await;
    // {"a":"","gladia_gateway_attempt":""} with the 36 characters of an id.
    let room = 2000 - 36 - 36;
    let with = |text: String| json!({ "audio_url": "https://audio.example/a.mp3", "custom_metadata": { "a": text } });
    let over = app.acme.transcribe(&with("x".repeat(room + 1))).await;
    let rule = over.violation(422, "invalid-request", "/custom_metadata");
    assert!(rule.ends_with("shorten it by 1."), "{rule}");
    assert_eq!(app.rows("jobs").await, 0);

    for text in ["x".repeat(room), "é".repeat(room), "\"".repeat(room / 2)] {
        let job = app.acme.transcribe(&with(text)).await.expect(202);
        app.acme.wait_until_done(job["id"].as_str().unwrap()).await;
    }
    let jobs = app.upstream.jobs().await;
    let lengths: Vec<usize> = jobs
        .iter()
        .map(|job| job["custom_metadata"].to_string().chars().count())
        .collect();
    assert_eq!(lengths, [2000, 2000, 2000]);
    app.finish().await;
}
