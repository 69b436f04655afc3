//! Many requests in one call: what is made of each, in which order, and what refuses them all.

use serde_json::{Value, json};

use crate::support::{Answer, Caller, TestApp, audio, database::until_statements_wait, eventually};

/// A batch of audio that the simulator makes up.
pub fn batch_of(names: impl IntoIterator<Item = String>) -> Value {
    let requests: Vec<_> = names
        .into_iter()
        .map(|name| json!({ "audio_url": format!("https://audio.example/{name}") }))
        .collect();
    json!({ "requests": requests })
}

/// The transcriptions of a batch that was just made, in the order of its requests.
pub fn ids(created: &Value) -> Vec<String> {
    let outcomes = created["outcomes"].as_array().unwrap();
    let accepted = outcomes
        .iter()
        .filter(|outcome| outcome["status"] == "accepted");
    accepted
        .map(|outcome| outcome["transcription_id"].as_str().unwrap().to_owned())
        .collect()
}

/// The batch as it stands.
pub async fn batch(caller: &Caller, created: &Value) -> Value {
    let path = format!("/v1/batches/{}", created["id"].as_str().unwrap());
    caller.get(&path).await.expect(200)
}

/// The batch once all of it has ended.
pub async fn wait_until_finished(caller: &Caller, created: &Value) -> Value {
    eventually("end of the batch", async || {
        let batch = batch(caller, created).await;
        (batch["is_finished"] == true).then_some(batch)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn each_request_has_its_outcome_and_the_accepted_ones_are_transcribed() {
    let app = TestApp::start().await;
    let gladias = format!("{}file/unknown", app.upstream.simulator.url());
    let requests = [
        json!({ "audio_url": "https://audio.example/spoken.mp3", "diarization": true }),
        json!({ "audio_url": "https://audio.example/b.mp3", "diarisation": true, "model": 7 }),
        json!({}),
        json!({ "audio_url": gladias }),
        json!({ "audio_url": "https://audio.example/c.mp3", "extra_options": { "new": "\0" },
                "custom_metadata": { "ticket": "4711" } }),
        json!("https://audio.example/d.mp3"),
    ];
    let answer = app
        .acme
        .post("/v1/batches", &json!({ "requests": requests }))
        .await;
    let created = answer.expect(202);
    let id = created["id"].as_str().unwrap();
    let address = format!("/v1/batches/{id}");
    assert_eq!(answer.header("location"), Some(address.as_str()));
    assert_eq!(answer.header("idempotency-replayed"), None);
    let numbers = ["requests", "accepted", "refused"].map(|name| created[name].as_u64().unwrap());
    assert_eq!(numbers, [6, 2, 4]);

    // Each is refused with what the same request alone is answered.
    let outcomes = created["outcomes"].as_array().unwrap();
    for (index, (outcome, request)) in outcomes.iter().zip(&requests).enumerate() {
        assert_eq!(outcome["index"], index, "{outcome}");
        if [0, 4].contains(&index) {
            assert_eq!(outcome["status"], "accepted", "{outcome}");
            let warnings = outcome["warnings"].as_array().unwrap().iter();
            let pointers: Vec<_> = warnings.map(|warning| &warning["pointer"]).collect();
            let unchecked = ["/extra_options/new"];
            assert_eq!(pointers, unchecked[..usize::from(index == 4)]);
            continue;
        }
        assert_eq!(outcome["status"], "refused", "{outcome}");
        let mut alone = app.acme.transcribe(request).await.json();
        alone.as_object_mut().unwrap().remove("request_id");
        if index == 5 {
            let detail = outcome["problem"]["detail"].as_str().unwrap();
            assert!(detail.contains("JSON object"), "{detail}");
            alone["detail"] = json!(detail);
        }
        assert_eq!(outcome["problem"], alone);
    }

    let batch = wait_until_finished(&app.acme, &created).await;
    assert_eq!(batch["counts"]["done"], 2);
    assert_eq!(
        (&batch["requests"], &batch["accepted"], &batch["refused"]),
        (&json!(6), &json!(2), &json!(4))
    );
    assert_eq!(batch["created_at"], created["created_at"]);
    let refusals: Vec<_> = outcomes
        .iter()
        .filter(|outcome| outcome["status"] == "refused")
        .map(|outcome| json!({ "index": outcome["index"], "problem": outcome["problem"] }))
        .collect();
    assert_eq!(batch["refusals"], json!(refusals));
    let places = [0, 4].into_iter().zip(ids(&created));
    for (item, (index, id)) in batch["items"].as_array().unwrap().iter().zip(places) {
        let mut job = app.acme.job(&id).await;
        assert_eq!(job["batch_id"], created["id"]);
        assert_eq!(job["batch_index"], index);
        let events = app.events(&id).await;
        assert_eq!((&*events[0], &*events[1]), ("queued", "submitting"));
        assert_eq!(events.last().unwrap(), "done");
        job.as_object_mut().unwrap().remove("result").unwrap();
        assert_eq!(*item, job);
    }
    assert_eq!(app.rows("job_metadata").await, 1);
    let sent = app.upstream.jobs().await;
    let tickets = sent.iter().map(|job| &job["custom_metadata"]["ticket"]);
    assert_eq!(tickets.filter(|ticket| **ticket == "4711").count(), 1);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_are_sent_in_their_order_after_what_was_there_before() {
    let app = TestApp::builder().set("MAX_IN_FLIGHT", 1).start().await;
    app.pause_dispatch().await;
    app.acme.start("before.mp3").await;
    let names = || (0..40).map(|number| format!("{number}.mp3"));
    let body = batch_of(names());
    let created = app.acme.post("/v1/batches", &body).await.expect(202);
    app.acme.start("after.mp3").await;
    app.resume_dispatch().await;
    wait_until_finished(&app.acme, &created).await;
    app.upstream.wait_for("creates_accepted", 42).await;
    let jobs = app.upstream.jobs().await;
    let sent: Vec<_> = jobs.iter().map(|job| job["audio_url"].clone()).collect();
    let expected: Vec<_> = ["before.mp3".to_owned()]
        .into_iter()
        .chain(names())
        .chain(["after.mp3".to_owned()])
        .map(|name| json!(format!("https://audio.example/{name}")))
        .collect();
    assert_eq!(sent, expected);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_all_or_nothing_one_refused_request_refuses_them_all() {
    let app = TestApp::start().await;
    let mut body = batch_of((0..4).map(|number| format!("{number}.mp3")));
    body["all_or_nothing"] = json!(true);
    body["requests"][1]["diarisation"] = json!(true);
    body["requests"][1]["model"] = json!(7);
    body["requests"][3]["audio_url"] =
        json!(format!("{}file/unknown", app.upstream.simulator.url()));
    let once = async |body: &Value| {
        let request = app
            .acme
            .request(reqwest::Method::POST, "/v1/batches")
            .header("Idempotency-Key", "monday");
        Answer::to(request.json(body)).await
    };
    let problem = once(&body).await.problem(422, "invalid-request");
    let mut pointers: Vec<_> = problem["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|error| error["pointer"].as_str().unwrap())
        .collect();
    pointers.sort_unstable();
    assert_eq!(
        pointers,
        [
            "/requests/1/diarisation",
            "/requests/1/model",
            "/requests/3/audio_url"
        ]
    );
    for table in ["jobs", "batches", "events", "idempotency_keys"] {
        assert_eq!(app.rows(table).await, 0, "{table}");
    }
    // Its key is free for the same batch with its mistakes corrected.
    let mut right = batch_of((0..4).map(|number| format!("{number}.mp3")));
    right["all_or_nothing"] = json!(true);
    let created = once(&right).await.expect(202);
    assert_eq!(created["accepted"], 4);
    wait_until_finished(&app.acme, &created).await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_every_request_is_refused_nothing_is_made() {
    let app = TestApp::start().await;
    let body = json!({ "requests": [{ "audio_url": "nowhere" }, 7, { "model": "solaria-1" }] });
    let request = app
        .acme
        .request(reqwest::Method::POST, "/v1/batches")
        .header("Idempotency-Key", "monday");
    let answer = Answer::to(request.json(&body)).await;
    let problem = answer.problem(422, "invalid-request");
    let errors = problem["errors"].as_array().unwrap();
    let pointers: Vec<_> = errors.iter().map(|error| &error["pointer"]).collect();
    assert_eq!(
        pointers,
        [
            "/requests/0/audio_url",
            "/requests/1",
            "/requests/2/audio_url"
        ]
    );
    assert_eq!(app.rows("batches").await, 0);
    app.finish_with_nothing_kept().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_holds_1_to_1000_requests_and_nothing_else() {
    let app = TestApp::builder()
        .set("MAX_REQUEST_BYTES", 1000)
        .set("MAX_BATCH_BYTES", 100_000)
        .start()
        .await;
    let too_many = batch_of((0..1001).map(|number| format!("{number}.mp3")));
    let answer = app.acme.post("/v1/batches", &too_many).await;
    let rule = answer.violation(422, "invalid-request", "/requests");
    assert!(
        rule.contains("1 to 1000") && rule.contains("1001"),
        "{rule}"
    );
    for requests in [json!([]), json!({}), json!(null), json!("a")] {
        let body = json!({ "requests": requests });
        let answer = app.acme.post("/v1/batches", &body).await;
        answer.violation(422, "invalid-request", "/requests");
    }
    // Everything around the requests is told at once.
    let body =
        json!({ "all_or_nothing": "yes", "audio_url": "https://audio.example/a.mp3", "a/b~": 1 });
    let answer = app.acme.post("/v1/batches", &body).await;
    let told = answer.violations(422, "invalid-request");
    assert_eq!(
        told,
        ["/all_or_nothing", "/requests", "/a~1b~0", "/audio_url"]
    );
    let list = app.acme.post("/v1/batches", &json!([])).await;
    list.problem(400, "malformed-json");
    // The whole body has a limit of its own, also above that of a single request.
    let wide = |bytes: usize| {
        let mut body = batch_of(["a.mp3".to_owned()]).to_string();
        body.extend(std::iter::repeat_n(' ', bytes - body.len()));
        Answer::to(app.acme.raw("/v1/batches", "application/json", body))
    };
    let created = wide(100_000).await.expect(202);
    wide(100_001).await.problem(413, "payload-too-large");
    wait_until_finished(&app.acme, &created).await;
    assert_eq!(app.rows("jobs").await, 1);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_uses_the_files_of_its_own_tenant_alone() {
    let app = TestApp::start().await;
    let ours = app.acme.keep(audio::short(), "a.wav").await;
    let theirs = app.globex.keep(audio::short(), "b.wav").await;
    let body = json!({ "requests": [
        { "audio_url": theirs }, { "audio_url": ours }, { "audio_url": ours, "diarization": true },
    ] });
    let created = app.acme.post("/v1/batches", &body).await.expect(202);
    let refused = &created["outcomes"][0]["problem"];
    assert_eq!(
        refused["type"],
        "urn:gladia-gateway:problem:audio-not-found"
    );
    assert_eq!(refused["errors"][0]["pointer"], "/audio_url");
    let batch = wait_until_finished(&app.acme, &created).await;
    assert_eq!(batch["counts"]["done"], 2);
    for item in batch["items"].as_array().unwrap() {
        assert_eq!(item["file"]["filename"], "a.wav");
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_erased_meanwhile_costs_its_own_request_alone() {
    let app = TestApp::start().await;
    let url = app.acme.keep(audio::short(), "a.wav").await;
    // Another replica, in the middle of forgetting the file.
    let mut tx = app.pool.begin().await.unwrap();
    sqlx::query("DELETE FROM uploads")
        .execute(&mut *tx)
        .await
        .unwrap();
    let mut body = batch_of(["a.mp3".to_owned(), "b.mp3".to_owned()]);
    body["requests"][0]["audio_url"] = json!(url);
    let request = tokio::spawn({
        let caller = app.acme.clone();
        async move { caller.post("/v1/batches", &body).await }
    });
    until_statements_wait(&app, 1).await;
    tx.commit().await.unwrap();
    let created = request.await.unwrap().expect(202);
    let refused = &created["outcomes"][0]["problem"];
    assert_eq!(
        refused["type"],
        "urn:gladia-gateway:problem:audio-not-found"
    );
    assert_eq!(created["outcomes"][1]["status"], "accepted");
    wait_until_finished(&app.acme, &created).await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_requests_are_transcribed_within_the_cap() {
    let app = TestApp::builder().set("MAX_IN_FLIGHT", 20).start().await;
    let body = batch_of((0..1000).map(|number| format!("{number}.mp3")));
    let created = app.acme.post("/v1/batches", &body).await.expect(202);
    assert_eq!(ids(&created).len(), 1000);
    for hundreds in 1..=10 {
        eventually(
            &format!("{hundreds} hundred jobs that are done"),
            async || {
                let now = batch(&app.acme, &created).await;
                (now["counts"]["done"].as_i64()? >= 100 * hundreds).then_some(())
            },
        )
        .await;
    }
    assert_eq!(batch(&app.acme, &created).await["is_finished"], true);
    assert_eq!(app.upstream.count("creates_received").await, 1000);
    let most = app.upstream.count("max_in_flight_seen").await;
    assert!((2..=20).contains(&most), "{most}");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_tenants_job_does_not_wait_for_the_end_of_a_batch() {
    let app = TestApp::builder().set("MAX_IN_FLIGHT", 2).start().await;
    app.pause_dispatch().await;
    let body = batch_of((0..300).map(|number| format!("{number}.mp3")));
    app.acme.post("/v1/batches", &body).await.expect(202);
    let id = app.globex.start("single.mp3").await;
    app.resume_dispatch().await;
    app.globex.wait_until_done(&id).await;
    let order: Vec<uuid::Uuid> =
        sqlx::query_scalar("SELECT job_id FROM attempts ORDER BY created_at, id LIMIT 3")
            .fetch_all(&app.pool)
            .await
            .unwrap();
    let place = order.iter().position(|job| job.to_string() == id);
    assert!(place.is_some(), "{order:?} holds no {id}");
    app.stop().await;
}
