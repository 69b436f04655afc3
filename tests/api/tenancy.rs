//! Nobody reaches another's jobs or files.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, TestApp, audio};

#[tokio::test(flavor = "multi_thread")]
async fn another_tenants_job_is_not_there() {
    let app = TestApp::start().await;
    let done = app.acme.start("a.mp3").await;
    app.acme.wait_until_done(&done).await;
    let running = app.acme.start("endless.mp3").await;
    app.acme.wait_until(&running, "processing").await;
    for id in [&done, &running] {
        let address = format!("/v1/transcriptions/{id}");
        for answer in [
            app.globex.get(&address).await,
            app.globex.result(id).await,
            app.globex.get(&format!("{address}/audio")).await,
            app.globex.get(&format!("{address}/timeline")).await,
            app.globex.cancel(id).await,
            app.globex.retry(id).await,
            app.globex.delete(id).await,
        ] {
            answer.problem(404, "not-found");
        }
    }
    assert_eq!(app.acme.job(&done).await["status"], "done");
    assert_eq!(app.acme.job(&running).await["status"], "processing");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_shows_the_tenants_own() {
    let app = TestApp::start().await;
    let ours = app.acme.start("a.mp3").await;
    let theirs = app.globex.start("b.mp3").await;
    for (caller, own) in [(&app.acme, &ours), (&app.globex, &theirs)] {
        let list = caller.get("/v1/transcriptions").await.expect(200);
        let ids: Vec<&str> = list["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|job| job["id"].as_str().unwrap())
            .collect();
        assert_eq!(ids, [own]);
        caller.wait_until_done(own).await;
    }
    // A cursor of one tenant shows another nothing of it.
    app.acme.start("c.mp3").await;
    let page = app.acme.get("/v1/transcriptions?limit=1").await.expect(200);
    let cursor = page["next_cursor"].as_str().unwrap();
    let list = app
        .globex
        .get(&format!("/v1/transcriptions?cursor={cursor}"))
        .await
        .expect(200);
    assert!(!list.to_string().contains(&ours), "{list}");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_can_be_used_by_the_tenant_that_uploaded_it_alone() {
    let app = TestApp::start().await;
    let url = app.acme.keep(audio::short(), "a.wav").await;
    let body = json!({ "audio_url": url });
    let refused = app.globex.transcribe(&body).await;
    refused.violation(404, "audio-not-found", "/audio_url");
    for _ in 0..2 {
        let job = app.acme.transcribe(&body).await.expect(202);
        app.acme.wait_until_done(job["id"].as_str().unwrap()).await;
    }
    // The file of a transcription belongs to its tenant as well.
    let job = app
        .acme
        .upload(audio::short(), "b.wav", None)
        .await
        .expect(202);
    let body = json!({ "audio_url": job["audio_url"] });
    let refused = app.globex.transcribe(&body).await;
    refused.violation(404, "audio-not-found", "/audio_url");
    app.acme.transcribe(&body).await.expect(202);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_gladias_that_came_another_way_cannot_be_used() {
    let app = TestApp::start().await;
    let base = app.upstream.simulator.url();
    let known = app.acme.keep(audio::short(), "a.wav").await;
    for url in [
        format!("{base}file/01890000-0000-4000-8000-000000000000"),
        format!("{base}v2/pre-recorded"),
        // The same file by other spellings, which would slip past the table of uploads.
        format!("{known}?x"),
        format!("{known}#x"),
        known.replacen("/file/", "//file/", 1),
        known.replacen("http://", "HTTP://", 1),
        "https://api.gladia.io/file/01890000-0000-4000-8000-000000000000".to_owned(),
        "https://API.gladia.io/file/01890000-0000-4000-8000-000000000000".to_owned(),
        "http://api.gladia.io./file/01890000-0000-4000-8000-000000000000".to_owned(),
        "https://api.eu-west.GLADIA.io/file/01890000-0000-4000-8000-000000000000".to_owned(),
        "https://gladia.io/file/01890000-0000-4000-8000-000000000000".to_owned(),
        "https://api.gladia%2Eio:8443/file/01890000-0000-4000-8000-000000000000".to_owned(),
    ] {
        for caller in [&app.globex, &app.acme] {
            let answer = caller.transcribe(&json!({ "audio_url": url })).await;
            assert_eq!(answer.status, 404, "{url}: {}", answer.text());
            answer.violation(404, "audio-not-found", "/audio_url");
        }
    }
    assert_eq!(app.rows("jobs").await, 0);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_samples_of_gladias_documentation_are_everybodys() {
    let app = TestApp::start().await;
    // Nothing of it is fetched.
    app.pause_dispatch().await;
    let body = json!({
        "audio_url": "http://files.gladia.io/example/audio-transcription/split_infinity.wav",
    });
    for caller in [&app.globex, &app.acme] {
        let job = caller.transcribe(&body).await.expect(202);
        assert_eq!(job["audio_url"], body["audio_url"]);
        caller
            .post("/v1/transcriptions/validate", &body)
            .await
            .expect(200);
        let jobs = caller
            .post("/v1/batches", &json!({ "requests": [body] }))
            .await;
        assert_eq!(jobs.expect(202)["refused"], 0);
        caller.v2_start(&body).await;
    }
    assert_eq!(app.rows("jobs").await, 6);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_keys_of_a_tenant_see_the_same() {
    let app = TestApp::start().await;
    let id = app.acme.start("a.mp3").await;
    let colleague = app
        .caller("acme", gladia_gateway::domain::access::Scope::Write)
        .await;
    let done: Value = colleague.wait_until_done(&id).await;
    assert_eq!(done["id"], id.as_str());
    let path = format!("/v1/transcriptions/{id}");
    let answer = Answer::to(colleague.request(Method::DELETE, &path)).await;
    assert_eq!(answer.status, 204);
    app.acme
        .get(&path)
        .await
        .problem(410, "transcription-deleted");
    app.finish().await;
}
