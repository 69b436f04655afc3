//! Uploads: what is taken, what is measured, what is refused, what is cut off.

use std::time::Duration;

use axum::http::Method;
use serde_json::{Value, json};
use tokio::{io::AsyncWriteExt as _, net::TcpStream};

use super::support::{Api, body, eventually, quick, tone, wav};
use crate::dev_tools::simulator::{BUNDLED_RECORDING, SimulatorSettings};

#[tokio::test]
async fn duration_and_channels_are_those_of_the_file() {
    let api = Api::start(quick()).await;
    for (rate, seconds) in [(8000, 1.5), (44_100, 2.0)] {
        let mono = wav(rate, 1, tone(seconds, rate, &[(0.5, 1.0)]).map(|s| vec![s]));
        let metadata = body(api.upload(mono, "mono.wav").await).await["audio_metadata"].clone();
        assert_eq!(metadata["audio_duration"], seconds);
        assert_eq!(metadata["number_of_channels"], 1);
    }
}

#[tokio::test]
async fn identical_channels_are_billed_once_and_different_ones_each() {
    let api = Api::start(quick()).await;
    let tone = || tone(2.0, 8000, &[(0.5, 1.5)]);
    let same = wav(8000, 2, tone().map(|s| vec![s, s]));
    let other = wav(8000, 2, tone().map(|s| vec![s, 0]));
    for (file, billed) in [(same, 2.0), (other, 4.0)] {
        let uploaded = body(api.upload(file, "stereo.wav").await).await;
        assert_eq!(uploaded["audio_metadata"]["number_of_channels"], 2);
        let id = api
            .create(&json!({"audio_url": uploaded["audio_url"]}))
            .await;
        let job = api.wait_until_ended(&id).await;
        assert_eq!(job["result"]["metadata"]["billing_time"], billed);
    }
}

#[tokio::test]
async fn without_a_script_the_words_stand_where_somebody_speaks() {
    let api = Api::start(quick()).await;
    let file = wav(
        8000,
        1,
        tone(6.0, 8000, &[(0.5, 2.5), (4.0, 5.0)]).map(|s| vec![s]),
    );
    let uploaded = body(api.upload(file, "speech.wav").await).await;
    let id = api
        .create(&json!({"audio_url": uploaded["audio_url"]}))
        .await;
    let job = api.wait_until_ended(&id).await;
    let utterances = job["result"]["transcription"]["utterances"]
        .as_array()
        .unwrap();
    let times: Vec<(f64, f64)> = utterances
        .iter()
        .map(|u| (u["start"].as_f64().unwrap(), u["end"].as_f64().unwrap()))
        .collect();
    assert_eq!(times.len(), 2, "{times:?}");
    for ((start, end), (wanted_start, wanted_end)) in
        times.into_iter().zip([(0.5, 2.5), (4.0, 5.0)])
    {
        assert!((start - wanted_start).abs() < 0.1 && (end - wanted_end).abs() < 0.1);
    }
    assert!(
        utterances[0]["text"]
            .as_str()
            .unwrap()
            .starts_with("Simulated words")
    );
}

#[tokio::test]
async fn what_is_no_media_is_refused() {
    let api = Api::start(quick()).await;
    let three = wav(8000, 3, tone(1.0, 8000, &[]).map(|s| vec![s; 3]));
    let empty = wav(8000, 1, std::iter::empty());
    let png = b"\x89PNG\r\n\x1a\n and more".to_vec();
    for (file, name, message) in [
        (
            b"just a text\n".repeat(500),
            "text.wav",
            "Unsupported codec",
        ),
        (Vec::new(), "nothing.wav", "Unsupported codec"),
        (empty, "empty.wav", "Unsupported codec"),
        (png, "picture.mp3", "Unsupported codec"),
        (
            three,
            "three.wav",
            "\"Only mono and stereo supported, got 3 channels\" ",
        ),
    ] {
        let response = api.upload(file, name).await;
        assert_eq!(response.status(), 400, "{name}");
        let error = body(response).await;
        assert!(
            error["message"].as_str().unwrap().contains(message),
            "{error}"
        );
        assert_eq!(error["path"], "/v2/upload");
    }
}

#[tokio::test]
async fn media_that_cannot_be_decoded_is_taken_with_an_estimate() {
    let api = Api::start(quick()).await;
    // The header of an ASF file, as WMA and WMV have it.
    let mut wma = b"\x30\x26\xB2\x75\x8E\x66\xCF\x11\xA6\xD9".to_vec();
    wma.resize(160_000, 0);
    let response = api.upload(wma, "old.wmv").await;
    assert_eq!(response.status(), 200);
    assert_eq!(
        body(response).await["audio_metadata"]["audio_duration"],
        10.0
    );
}

#[tokio::test]
async fn an_upload_by_url_is_fetched_and_keeps_its_source() {
    let api = Api::start(quick()).await;
    let router =
        axum::Router::new().route("/call.ogg", axum::routing::get(async || BUNDLED_RECORDING));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/call.ogg", listener.local_addr().unwrap());
    tokio::spawn(axum::serve(listener, router).into_future());
    let send = async |url: &str| {
        let request = api.request(Method::POST, "/v2/upload/");
        request
            .json(&json!({"audio_url": url}))
            .send()
            .await
            .unwrap()
    };
    let response = send(&url).await;
    assert_eq!(response.status(), 200);
    let metadata = body(response).await["audio_metadata"].clone();
    assert_eq!(metadata["source"], url);
    assert_eq!(metadata["filename"], "call.ogg");
    assert_eq!(send("http://127.0.0.1:1/").await.status(), 400);
    assert_eq!(send("ftp://a.example/").await.status(), 400);

    // A job for the same URL has it in its file.
    let id = api.create(&json!({"audio_url": url})).await;
    let job = api.wait_until_ended(&id).await;
    assert_eq!(job["status"], "done");
    assert_eq!(job["file"]["source"], url);
}

#[tokio::test]
async fn an_upload_above_the_limit_is_refused() {
    let api = Api::start(SimulatorSettings {
        max_upload_bytes: 1000,
        ..quick()
    })
    .await;
    let response = api.upload(vec![0; 1001], "large.wav").await;
    assert_eq!(response.status(), 413);
    assert_eq!(body(response).await["message"], "Payload too large");
}

#[tokio::test]
async fn a_form_without_the_part_or_the_boundary_is_refused() {
    let api = Api::start(quick()).await;
    let form = reqwest::multipart::Form::new().text("other", "x");
    let request = api.request(Method::POST, "/v2/upload").multipart(form);
    assert_eq!(request.send().await.unwrap().status(), 400);
    let request = api
        .request(Method::POST, "/v2/upload")
        .header("content-type", "multipart/form-data")
        .body("x");
    let error = body(request.send().await.unwrap()).await;
    assert_eq!(
        error["message"],
        "Content-Type is missing Multipart Boundary."
    );
}

#[tokio::test]
async fn an_upload_without_its_closing_boundary_makes_no_file() {
    let api = Api::start(quick()).await;
    let cut =
        "--B\r\ncontent-disposition: form-data; name=\"audio\"; filename=\"a.wav\"\r\n\r\nRIFF";
    let request = api
        .request(Method::POST, "/v2/upload")
        .header("content-type", "multipart/form-data; boundary=B")
        .body(cut);
    assert_eq!(request.send().await.unwrap().status(), 400);
    interrupted(&api, 1).await;
}

#[tokio::test]
async fn an_upload_whose_client_vanishes_is_in_the_ledger_as_cut_off() {
    let api = Api::start(quick()).await;
    let address = api.simulator.url().socket_addrs(|| None).unwrap()[0];
    let mut client = TcpStream::connect(address).await.unwrap();
    let head = "POST /v2/upload HTTP/1.1\r\nhost: a\r\nx-gladia-key: simulated-key\r\n\
        content-type: multipart/form-data; boundary=B\r\ncontent-length: 100000\r\n\r\n\
        --B\r\ncontent-disposition: form-data; name=\"audio\"; filename=\"a.wav\"\r\n\r\nRIFF";
    client.write_all(head.as_bytes()).await.unwrap();
    eventually(async || {
        let ledger = api.ledger().await;
        (ledger["counts"]["uploads"] == 1).then_some(())
    })
    .await;
    drop(client);
    let entry = interrupted(&api, 1).await;
    assert!(entry["body_bytes"].as_u64().unwrap() < 100_000);
}

async fn interrupted(api: &Api, count: u64) -> Value {
    let ledger = eventually(async || {
        let ledger = api.ledger().await;
        (ledger["counts"]["uploads_interrupted"] == count).then_some(ledger)
    })
    .await;
    assert_eq!(ledger["counts"]["uploads_accepted"], 0);
    let entry = ledger["requests"]
        .as_array()
        .unwrap()
        .last()
        .unwrap()
        .clone();
    assert_eq!(entry["completed"], false);
    entry
}

#[tokio::test]
async fn a_large_upload_is_kept_out_of_memory_and_comes_back_whole() {
    let api = Api::start(quick()).await;
    let file = wav(8000, 1, tone(60.0, 8000, &[(1.0, 2.0)]).map(|s| vec![s]));
    let uploaded = body(api.upload(file.clone(), "minute.wav").await).await;
    assert_eq!(uploaded["audio_metadata"]["size"], file.len());
    let id = api
        .create(&json!({"audio_url": uploaded["audio_url"]}))
        .await;
    let path = format!("/v2/transcription/{id}/file");
    let response = api.request(Method::GET, &path).send().await.unwrap();
    let location = response.headers()["location"].to_str().unwrap().to_owned();
    let request = api.http.get(location).timeout(Duration::from_secs(10));
    let bytes = request.send().await.unwrap().bytes().await.unwrap();
    assert!(bytes == file);
}
