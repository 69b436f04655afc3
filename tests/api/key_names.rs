//! Keys of the callers' own, whatever their names: one of them means something to the library that reads JSON here.

use reqwest::{
    Method, RequestBuilder,
    multipart::{Form, Part},
};

use crate::support::{Answer, Caller, TestApp, audio, receiver::Receiver, rows::success};

/// The key that has `serde_json` read the string behind it in place of the object, where it is the first one.
const KEY: &str = "$serde_json::private::RawValue";

/// Metadata with it: second where they are sent, first where they are stored.
fn metadata() -> String {
    format!(r#"{{"a":1,"{KEY}":"1","b":{{"c":[],"{KEY}":"{{"}},"d":{{"{KEY}":"[2]"}}}}"#)
}

/// Options, with it in what nobody checks as well.
fn options(unchecked: &str) -> String {
    format!(r#""custom_metadata":{},{unchecked}"#, metadata())
}

/// Creates of one job through every door, and the status that each is answered with.
fn creates(caller: &Caller, v1: &str, v2: &str) -> Vec<(&'static str, RequestBuilder, u16)> {
    let json = "application/json";
    let audio_url = r#""audio_url":"https://audio.example/a.mp3""#;
    let alone = format!("{{{audio_url},{v1}}}");
    let form = Form::new()
        .part("options", Part::text(format!("{{{v1}}}")))
        .part("audio", Part::bytes(audio::short()).file_name("a.wav"));
    let batch = format!(r#"{{"requests":[{alone}]}}"#);
    let of_gladia = caller
        .as_gladias_client(Method::POST, "/v2/pre-recorded")
        .header("content-type", json)
        .body(format!("{{{audio_url},{v2}}}"));
    vec![
        (
            "body",
            caller.raw("/v1/transcriptions", json, alone.clone()),
            202,
        ),
        ("form", caller.form("/v1/transcriptions/upload", form), 202),
        ("batch", caller.raw("/v1/batches", json, batch), 202),
        ("v2", of_gladia, 201),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_the_json_library_gives_a_meaning_is_a_key_through_every_door() {
    let app = TestApp::start().await;
    app.pause_dispatch().await;
    let unchecked = format!(r#""new":{{"x":0,"{KEY}":"7"}}"#);
    let v1 = options(&format!(r#""extra_options":{{{unchecked}}}"#));
    let v2 = options(&unchecked);
    let mut ids = Vec::new();
    for (door, create, status) in creates(&app.acme, &v1, &v2) {
        let created = Answer::to(create).await.expect(status);
        let of_batch = created["outcomes"][0]["transcription_id"].as_str();
        let id = of_batch.or_else(|| created["id"].as_str());
        ids.push((door, id.unwrap().to_owned()));
    }
    let other = app.globex.start("spoken.mp3").await;
    app.resume_dispatch().await;
    app.globex.wait_until_done(&other).await;
    for (door, id) in &ids {
        app.acme.wait_until_done(id).await;
        for (path, shown) in [
            (
                "v1",
                app.acme.get(&format!("/v1/transcriptions/{id}")).await,
            ),
            (
                "v2",
                app.acme.v2_get(&format!("/v2/pre-recorded/{id}")).await,
            ),
        ] {
            let text = shown.text();
            assert_eq!(shown.status, 200, "{door} {path}: {text}");
            for part in [sorted(), format!(r#""new":{{"{KEY}":"7","x":0}}"#)] {
                assert!(text.contains(&part), "{door} {path}: {text}");
            }
        }
    }
    let sent = app.upstream.jobs().await;
    assert_eq!(sent.len(), ids.len() + 1);
    let mut with_names = 0;
    for job in &sent {
        let mut body = job["request_body"].clone();
        let metadata = body["custom_metadata"].as_object_mut().unwrap();
        metadata.remove("gladia_gateway_attempt").unwrap();
        if !metadata.is_empty() {
            with_names += 1;
            assert_eq!(body["custom_metadata"].to_string(), sorted());
            assert_eq!(body["new"].to_string(), format!(r#"{{"{KEY}":"7","x":0}}"#));
        }
    }
    assert_eq!(with_names, ids.len());
    // It is searched for like any other.
    let path = format!("/v1/transcriptions?metadata[{KEY}]=1");
    let list = app.acme.get(&path).await.expect(200);
    assert_eq!(list["items"].as_array().unwrap().len(), 4);
    for wanted in [
        format!(r#"{{"{KEY}":"1"}}"#),
        format!(r#"{{"d":{{"{KEY}":"[2]"}}}}"#),
    ] {
        let query = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("custom_metadata", &wanted)
            .finish();
        let page = app.acme.v2_list(&format!("?{query}")).await;
        assert_eq!(page["items"].as_array().unwrap().len(), 4, "{wanted}");
    }
    app.finish().await;
}

/// The metadata as they are stored and sent: with their keys in order.
fn sorted() -> String {
    format!(r#"{{"{KEY}":"1","a":1,"b":{{"{KEY}":"{{","c":[]}},"d":{{"{KEY}":"[2]"}}}}"#)
}

#[tokio::test(flavor = "multi_thread")]
async fn it_comes_back_with_the_callback_and_in_results_as_it_is() {
    let app = TestApp::start().await;
    let receiver = Receiver::start().await;
    let body = format!(
        r#"{{"audio_url":"https://audio.example/endless.mp3","custom_metadata":{}}}"#,
        metadata()
    );
    let create = app.acme.raw("/v1/transcriptions", "application/json", body);
    let id = Answer::to(create).await.expect(202)["id"].clone();
    let id = id.as_str().unwrap();
    app.set_callback(id, &receiver.url(), "POST").await;
    let attempt = app.wait_for_attempt(id, "accepted").await;
    let gladia_id = attempt.gladia_id.unwrap();
    let told = success(&gladia_id, "words").replacen('{', &format!(r#"{{"{KEY}":"1","#), 1);
    let told = told.replace(
        r#""metadata":{"#,
        &format!(r#""added":{{"{KEY}":"1"}},"metadata":{{"#),
    );
    app.call_back(attempt.id, told).await.expect(200);
    app.acme.wait_until_done(id).await;
    let result = app.acme.result(id).await.text();
    assert!(
        result.contains(&format!(r#""added":{{"{KEY}":"1"}}"#)),
        "{result}"
    );
    let calls = receiver.wait_for(1).await;
    let text = String::from_utf8_lossy(&calls[0].body).into_owned();
    assert!(text.contains(&sorted()) && text.contains(&result), "{text}");
    app.finish().await;
}

/// An object in a string in an object, and so on, each in as many lists.
fn nested(times: usize, lists: usize) -> String {
    let (begin, end) = ("[".repeat(lists), "]".repeat(lists));
    (0..times).fold("1".to_owned(), |inner, _| {
        // Both marks are escaped so that the text grows by a few bytes a level, and does not double.
        let inner = inner.replace('\\', r"\u005c").replace('"', r"\u0022");
        format!(r#"{begin}{{"{KEY}":"{inner}"}}{end}"#)
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nests_in_strings_without_end_is_answered_and_ends_no_process() {
    let app = TestApp::start().await;
    app.pause_dispatch().await;
    let deep = nested(150, 90);
    assert!(deep.len() < 1_000_000, "{} bytes", deep.len());
    let unchecked = format!(r#""new":{deep}"#);
    let v1 = format!(r#""extra_options":{{{unchecked}}}"#);
    let body = format!("{{{v1}}}");
    for path in ["/v1/transcriptions/validate", "/v1/webhook-endpoints"] {
        let request = app.acme.raw(path, "application/json", body.clone());
        let status = Answer::to(request).await.status;
        assert_eq!(status, if path.ends_with("validate") { 200 } else { 422 });
    }
    for (door, create, status) in creates(&app.acme, &v1, &unchecked) {
        let answer = Answer::to(create).await;
        assert_eq!(answer.status, status, "{door}: {}", answer.text());
    }
    let query = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("custom_metadata", &nested(70, 0))
        .finish();
    let page = app.acme.v2_list(&format!("?{query}")).await;
    assert!(page["items"].as_array().unwrap().is_empty());
    app.resume_dispatch().await;
    app.finish().await;
}
