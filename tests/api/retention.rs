//! What the end of the retention erases.

use serde_json::{Value, json};

use crate::support::{TestApp, audio, builder::DRAIN, eventually, rows::success};

/// Waits until the job is erased, and gives the receipt.
async fn wait_until_erased(app: &TestApp, id: &str) -> Value {
    let address = format!("/v1/transcriptions/{id}");
    eventually("erased job", async || {
        let answer = app.acme.get(&address).await;
        (answer.status == 410).then(|| {
            let problem = answer.problem(410, "transcription-deleted");
            problem["erased"].clone()
        })
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_ended_longer_ago_than_the_retention_is_erased_by_any_replica() {
    let app = TestApp::builder()
        .set("RETENTION_SECONDS", 3600)
        .replicas(2)
        .start()
        .await;
    let file = app.acme.upload(audio::short(), "a.wav", None).await;
    let file = file.expect(202)["id"].as_str().unwrap().to_owned();
    let mut ids = vec![file];
    for audio in ["a.mp3", "failing.mp3", "b.mp3"] {
        ids.push(app.acme.start(audio).await);
    }
    for id in &ids {
        eventually("end", async || {
            let job = app.acme.job(id).await;
            (!job["finished_at"].is_null()).then_some(())
        })
        .await;
    }
    let at_work = app.acme.start("endless.mp3").await;
    app.acme.wait_until(&at_work, "processing").await;
    app.set_clock_ahead("30 minutes").await;
    let young = app.acme.start("c.mp3").await;
    app.acme.wait_until_done(&young).await;
    app.set_clock_ahead("61 minutes").await;
    for id in &ids {
        let receipt = wait_until_erased(&app, id).await;
        assert_eq!(receipt["by"], "retention");
        assert_eq!(
            receipt["gladia"],
            json!({ "status": "kept", "at": null }),
            "Gladia's copy follows its own retention"
        );
        let deleted = app.events(id).await;
        let times = deleted.iter().filter(|event| *event == "deleted").count();
        assert_eq!(times, 1, "{deleted:?}");
    }
    // The file went with its job.
    assert_eq!(app.rows("uploads").await, 0);
    assert_eq!(app.rows("callbacks WHERE body IS NOT NULL").await, 1);
    assert_eq!(app.upstream.count("deletes").await, 0);
    app.acme.job(&young).await;
    assert_eq!(app.acme.job(&at_work).await["status"], "processing");
    let attempt = app.attempt(&at_work).await;
    app.call_back(attempt.id, success(&attempt.gladia_id.unwrap(), "words"))
        .await;
    app.acme.wait_until_done(&at_work).await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_that_cannot_be_erased_keep_no_other_from_it_however_many_they_are() {
    let app = TestApp::builder()
        .set("RETENTION_SECONDS", 3600)
        .start()
        .await;
    let id = app.acme.start("a.mp3").await;
    app.acme.wait_until_done(&id).await;
    // More than are taken in one go, and all of them of one instant before it.
    app.execute(
        "INSERT INTO jobs (id, tenant_id, api_key_id, status, request, audio_url, finished_at)
         SELECT gen_random_uuid(), tenant_id, api_key_id, 'canceled', request, audio_url, finished_at - interval '1 minute'
         FROM jobs, generate_series(1, 250)",
    )
    .await;
    app.execute(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'damaged'; END $$",
    )
    .await;
    app.execute(
        "CREATE TRIGGER refuse BEFORE UPDATE ON jobs FOR EACH ROW WHEN (OLD.status = 'canceled') EXECUTE FUNCTION refuse()",
    )
    .await;
    app.set_clock_ahead("62 minutes").await;
    wait_until_erased(&app, &id).await;
    // Once they can be, they go as well.
    app.execute("DROP TRIGGER refuse ON jobs").await;
    eventually("erased jobs", async || {
        (app.rows("jobs WHERE deleted_at IS NULL").await == 0).then_some(())
    })
    .await;
    // They have no history, as those that were accepted have.
    let made = "SELECT id FROM jobs WHERE status = 'canceled'";
    app.execute(&format!("DELETE FROM events WHERE job_id IN ({made})"))
        .await;
    app.execute("DELETE FROM jobs WHERE status = 'canceled'")
        .await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn gladias_copy_goes_along_where_that_is_wanted() {
    let app = TestApp::builder()
        .set("RETENTION_SECONDS", 3600)
        .set("RETENTION_DELETES_AT_GLADIA", true)
        .start()
        .await;
    let id = app.acme.start("a.mp3").await;
    app.acme.wait_until_done(&id).await;
    app.set_clock_ahead("61 minutes").await;
    wait_until_erased(&app, &id).await;
    app.upstream.wait_for("deletes", 1).await;
    eventually("receipt", async || {
        let receipt = wait_until_erased(&app, &id).await;
        (receipt["gladia"]["status"] == "deleted" && receipt["by"] == "retention").then_some(())
    })
    .await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_leaves_gladias_copies_alone_takes_back_no_deletion_of_another() {
    let mut app = TestApp::builder()
        .set("RETENTION_SECONDS", 3600)
        .set("RETENTION_DELETES_AT_GLADIA", true)
        .start()
        .await;
    app.add_replica(&[
        ("RETENTION_SECONDS", ""),
        ("RETENTION_DELETES_AT_GLADIA", "false"),
    ])
    .await;
    let fault = json!({ "operation": "delete", "kind": "status", "status": 503 });
    app.upstream.fault(&fault).await;
    let id = app.acme.start("a.mp3").await;
    app.acme.wait_until_done(&id).await;
    app.set_clock_ahead("61 minutes").await;
    assert_eq!(wait_until_erased(&app, &id).await["by"], "retention");
    app.upstream.wait_for("deletes", 1).await;
    // The other one has looked since.
    tokio::time::sleep(std::time::Duration::from_millis(1500)).await;
    app.upstream.clear_faults().await;
    app.set_clock_ahead("3 hours").await;
    eventually("receipt", async || {
        let receipt = wait_until_erased(&app, &id).await;
        (receipt["gladia"]["status"] == "deleted").then_some(())
    })
    .await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_older_version_asks_of_gladia_against_the_settings_is_not_carried_out() {
    let app = TestApp::builder()
        .set("RETENTION_SECONDS", 3600)
        .start()
        .await;
    let kept = app.acme.start("a.mp3").await;
    app.acme.wait_until_done(&kept).await;
    app.set_clock_ahead("61 minutes").await;
    wait_until_erased(&app, &kept).await;
    // As it does where a callback comes late, and takes back itself.
    app.execute(
        "INSERT INTO upstream_deletions (gladia_id, job_id, reason)
         SELECT gladia_id, job_id, 'retention' FROM attempts",
    )
    .await;
    // What is due after it is carried out.
    let deleted = app.acme.start("b.mp3").await;
    app.acme.wait_until_done(&deleted).await;
    assert_eq!(app.acme.delete(&deleted).await.status, 204);
    app.upstream.wait_for("deletes", 1).await;
    app.set_clock_ahead("3 hours").await;
    eventually("receipt", async || {
        let receipt = wait_until_erased(&app, &deleted).await;
        (receipt["gladia"]["status"] == "deleted").then_some(())
    })
    .await;
    assert_eq!(app.upstream.count("deletes").await, 1);
    let receipt = wait_until_erased(&app, &kept).await;
    assert_eq!(receipt["gladia"], json!({ "status": "kept", "at": null }));
    app.execute("DELETE FROM upstream_deletions WHERE finished_at IS NULL")
        .await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_callback_after_the_retention_leaves_its_hash_alone() {
    let app = TestApp::builder()
        .set("RETENTION_SECONDS", 3600)
        .start()
        .await;
    let body = json!({ "audio_url": "https://audio.example/a.mp3" });
    let job = app.acme.transcribe_once("order-7", &body).await.expect(202);
    let id = job["id"].as_str().unwrap();
    app.acme.wait_until_done(id).await;
    app.set_clock_ahead("61 minutes").await;
    wait_until_erased(&app, id).await;
    let attempt = app.attempt(id).await;
    let late = success(&attempt.gladia_id.unwrap(), "late words");
    assert_eq!(app.call_back(attempt.id, late).await.status, 200);
    assert_eq!(app.callback_outcomes(id).await, ["completed", "discarded"]);
    assert_eq!(app.rows("callbacks WHERE body IS NOT NULL").await, 0);
    // What nobody wants deleted is not asked for, whoever tells of it.
    eventually("end of deletions", async || {
        (app.rows("upstream_deletions").await == 0).then_some(())
    })
    .await;
    assert_eq!(app.upstream.count("deletes").await, 0);
    // A repeated request is told so, rather than billed again.
    let again = app.acme.transcribe_once("order-7", &body).await;
    let problem = again.problem(410, "transcription-deleted");
    assert_eq!(problem["erased"]["by"], "retention");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_their_own_go_by_their_own_age_unless_a_job_needs_them() {
    let mut app = TestApp::start().await;
    let unused = app.acme.keep(audio::short(), "unused.wav").await;
    let used = app.acme.keep(audio::short(), "used.wav").await;
    app.pause_dispatch().await;
    let body = json!({ "audio_url": used });
    let waiting = app.acme.transcribe(&body).await.expect(202);
    app.set_clock_ahead("61 minutes").await;
    let young = app.acme.keep(audio::short(), "young.wav").await;
    app.add_replica(&[("RETENTION_SECONDS", "3600")]).await;
    eventually("erased file", async || {
        (app.rows("uploads").await == 2).then_some(())
    })
    .await;
    let body = json!({ "audio_url": unused });
    let answer = app.acme.transcribe(&body).await;
    answer.problem(404, "audio-not-found");
    for audio_url in [used, young] {
        let known = app
            .rows(&format!("uploads WHERE audio_url = '{audio_url}'"))
            .await;
        assert_eq!(known, 1, "{audio_url}");
    }
    app.resume_dispatch().await;
    let id = waiting["id"].as_str().unwrap();
    app.acme.wait_until_done(id).await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_jobs_use_are_walked_past_once_however_many_go() {
    const USED: i64 = 700;
    const UNUSED: i64 = 50;
    let mut app = TestApp::start().await;
    let file = app.acme.keep(audio::short(), "used.wav").await;
    app.pause_dispatch().await;
    let job = app.acme.transcribe(&json!({ "audio_url": file })).await;
    let id = job.expect(202)["id"].as_str().unwrap().to_owned();
    app.acme.cancel(&id).await.expect(200);
    app.set_clock_ahead("61 minutes").await;
    // The files that jobs use are the oldest ones, and are walked past first.
    let files = "INSERT INTO uploads (id, tenant_id, audio_url, is_standalone, filename, size_bytes, created_at)
                 SELECT gen_random_uuid(), tenant_id, 'https://gladia.example/file/' || n, true, 'a.wav', 1,
                        created_at - make_interval(secs => n) FROM uploads";
    app.execute(&format!(
        "WITH file AS ({files}, generate_series(1, {USED}) n RETURNING id)
         INSERT INTO jobs
         SELECT (jsonb_populate_record(job, jsonb_build_object(
                     'id', gen_random_uuid(), 'upload_id', file.id, 'finished_at', gateway_now()))).*
         FROM jobs job, file"
    ))
    .await;
    app.execute(&format!(
        "{files}, generate_series(1 - {UNUSED}, 0) n WHERE audio_url NOT LIKE 'https://gladia.example/%'"
    ))
    .await;
    app.add_replica(&[("RETENTION_SECONDS", "3600")]).await;
    eventually("end of the files without jobs", async || {
        (app.rows("uploads").await == USED).then_some(())
    })
    .await;
    // What a connection has counted is told at its end at the latest.
    app.replicas[1].stop(DRAIN).await;
    let looked_up = eventually("count of what was looked up", async || {
        let looked_up: i64 = app
            .scalar("SELECT pg_stat_get_numscans('jobs_upload'::regclass)")
            .await;
        (looked_up >= USED).then_some(looked_up)
    })
    .await;
    assert!(looked_up < 4 * (USED + UNUSED), "{looked_up}");
    app.finish().await;
}
