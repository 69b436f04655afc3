//! What a batch may hold and what is kept of it: the size of each request, how much is told, and what erasing leaves.

use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    batches::{batch, batch_of, ids, wait_until_finished},
    support::{Answer, TestApp},
};

/// A request of exactly so many bytes.
fn request_of(bytes: usize) -> String {
    let mut text = r#"{"audio_url":"https://audio.example/a.mp3"}"#.to_owned();
    let spaces = " ".repeat(bytes - text.len());
    text.insert_str(1, &spaces);
    text
}

fn refused(created: &Value) -> impl Iterator<Item = &Value> {
    let outcomes = created["outcomes"].as_array().unwrap().iter();
    outcomes.filter(|outcome| outcome["status"] == "refused")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_may_be_as_large_in_a_batch_as_alone() {
    let app = TestApp::builder()
        .set("MAX_REQUEST_BYTES", 1000)
        .start()
        .await;
    let (right, wrong) = (request_of(1000), request_of(1001));
    for (request, status) in [(&right, 202), (&wrong, 413)] {
        let alone = app
            .acme
            .raw("/v1/transcriptions", "application/json", request.clone());
        assert_eq!(Answer::to(alone).await.status, status);
    }
    let body = format!(r#"{{"requests": [ {wrong} , {right} ]}}"#);
    let sent = app.acme.raw("/v1/batches", "application/json", body);
    let created = Answer::to(sent).await.expect(202);
    assert_eq!(created["outcomes"][1]["status"], "accepted");
    let problem = &created["outcomes"][0]["problem"];
    assert_eq!(
        problem["type"],
        "urn:gladia-gateway:problem:payload-too-large"
    );
    assert_eq!(problem["status"], 413);
    let detail = problem["detail"].as_str().unwrap();
    assert!(
        detail.contains("1000 bytes") && detail.contains("1001"),
        "{detail}"
    );
    wait_until_finished(&app.acme, &created).await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn json_that_cannot_be_read_is_the_problem_of_its_own_request() {
    let app = TestApp::start().await;
    let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
    let body = format!(
        r#"{{"requests": [
            {{"audio_url": "https://audio.example/a.mp3", "extra_options": {{"new": {deep}}}}},
            {{"audio_url": "https://audio.example/b.mp3", "extra_options": {{"new": 1e999}}}},
            {{"audio_url": "https://audio.example/c.mp3"}}]}}"#
    );
    let sent = app.acme.raw("/v1/batches", "application/json", body);
    let created = Answer::to(sent).await.expect(202);
    assert_eq!(created["outcomes"][2]["status"], "accepted");
    let kinds: Vec<_> = refused(&created)
        .map(|outcome| &outcome["problem"]["type"])
        .collect();
    assert_eq!(kinds, ["urn:gladia-gateway:problem:malformed-json"; 2]);
    // What is no JSON at all has no requests.
    let broken = r#"{"requests": [{"audio_url": "https://audio.example/a.mp3"}, {]}"#;
    let sent = app.acme.raw("/v1/batches", "application/json", broken);
    Answer::to(sent).await.problem(400, "malformed-json");
    wait_until_finished(&app.acme, &created).await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_full_of_mistakes_is_told_a_thousand_and_one_of_each_further_request() {
    let app = TestApp::start().await;
    let mistakes = json!({
        "audio_url": "https://audio.example/a.mp3",
        "translation_config": { "target_languages": vec!["x"; 40] },
    });
    let mut requests = vec![mistakes; 999];
    let all = json!({ "requests": requests });
    let problem = app.acme.post("/v1/batches", &all).await;
    let told = problem.problem(422, "invalid-request")["errors"]
        .as_array()
        .unwrap()
        .len();
    assert_eq!(told, 25 * 40 + (999 - 25));

    requests.push(json!({ "audio_url": "https://audio.example/b.mp3" }));
    let all = json!({ "requests": requests });
    let created = app.acme.post("/v1/batches", &all).await.expect(202);
    for (index, outcome) in refused(&created).enumerate() {
        let problem = &outcome["problem"];
        let errors = problem["errors"].as_array().unwrap();
        assert_eq!(errors.len(), if index < 25 { 40 } else { 1 }, "{index}");
        // However much is told, the request learns how much there is.
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.starts_with("40 fields"), "{detail}");
        assert_eq!(detail.contains("the first of them"), index >= 25);
    }
    assert_eq!(refused(&created).count(), 999);
    wait_until_finished(&app.acme, &created).await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_refused_is_erased_with_the_last_transcription_of_its_batch() {
    let app = TestApp::start().await;
    let mut body = batch_of(["a.mp3", "b.mp3", "c.mp3", "d.mp3"].map(str::to_owned));
    body["requests"][1]["model"] = json!("patient-4711");
    // Postgres takes no JSON apart in which there is a NUL.
    body["requests"][1]["a\0b"] = json!(true);
    body["requests"][2]["audio_url"] =
        json!(format!("{}file/unknown", app.upstream.simulator.url()));
    let send = async || {
        let request = app.acme.request(Method::POST, "/v1/batches");
        Answer::to(request.header("Idempotency-Key", "monday").json(&body))
            .await
            .expect(202)
    };
    let created = send().await;
    wait_until_finished(&app.acme, &created).await;
    let ids = ids(&created);
    let quoting = || app.rows("batches WHERE refused::text LIKE '%patient-4711%'");
    assert_eq!(app.acme.delete(&ids[0]).await.status, 204);
    assert_eq!(quoting().await, 1);
    assert_eq!(
        batch(&app.acme, &created).await["refusals"][0]["problem"],
        created["outcomes"][1]["problem"]
    );

    assert_eq!(app.acme.delete(&ids[1]).await.status, 204);
    assert_eq!(quoting().await, 0);
    let refusals = batch(&app.acme, &created).await["refusals"].take();
    for (refusal, before) in refusals.as_array().unwrap().iter().zip(refused(&created)) {
        assert_eq!(refusal["index"], before["index"]);
        let mut problem = refusal["problem"].clone();
        let detail = problem["detail"].take();
        assert!(detail.as_str().unwrap().contains("erased"), "{detail}");
        let mut expected = before["problem"].clone();
        expected["detail"].take();
        expected.as_object_mut().unwrap().remove("errors").unwrap();
        assert_eq!(problem, expected);
    }
    // A repetition still says what became of each request.
    let again = send().await;
    assert_eq!(again["id"], created["id"]);
    assert_eq!(again["refused"], 2);
    let outcome = |answer: &Value| -> Vec<_> {
        let outcomes = answer["outcomes"].as_array().unwrap().iter();
        outcomes
            .map(|outcome| {
                [
                    outcome["status"].clone(),
                    outcome["transcription_id"].clone(),
                ]
            })
            .collect()
    };
    assert_eq!(outcome(&again), outcome(&created));
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn transcriptions_erased_at_once_take_what_was_refused_along() {
    let app = TestApp::start().await;
    let mut body = batch_of((0..9).map(|number| format!("{number}.mp3")));
    body["requests"][4]["model"] = json!("patient-4711");
    let created = app.acme.post("/v1/batches", &body).await.expect(202);
    wait_until_finished(&app.acme, &created).await;
    let ids = ids(&created);
    let erasing = ids.iter().map(|id| app.acme.delete(id));
    for answer in futures_util::future::join_all(erasing).await {
        assert_eq!(answer.status, 204);
    }
    let quoting = app.rows("batches WHERE refused::text LIKE '%patient-4711%'");
    assert_eq!(quoting.await, 0);
    app.finish().await;
}
