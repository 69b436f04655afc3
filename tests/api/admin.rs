//! What waits for whoever runs the gateway, over HTTP and by commands.

use gladia_gateway::{
    db::attempts::decisions::{self, Decided, Decision},
    domain::access::Scope,
};
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};

use crate::support::{
    Answer, Caller, TestApp,
    command::{run, run_with},
    rows::success,
    spool::SpoolDirectory,
    upstream::GLADIA_KEY,
};

async fn resolve(admin: &Caller, attempt: impl std::fmt::Display, body: &Value) -> Answer {
    let path = format!("/v1/admin/attempts/{attempt}/resolve");
    admin.post(&path, body).await
}

/// A job whose create was never answered, though Gladia has it; and Gladia's id of it.
async fn unknown_job(app: &TestApp, audio: &str) -> (String, uuid::Uuid, String) {
    let fault = json!({ "operation": "create", "kind": "drop_after", "times": 1 });
    app.upstream.fault(&fault).await;
    let id = app.acme.start(audio).await;
    let attempt = app.wait_for_attempt(&id, "unknown").await;
    let jobs = app.upstream.jobs().await;
    let gladia_id = jobs
        .iter()
        .find(|job| job["custom_metadata"]["gladia_gateway_attempt"] == attempt.id.to_string())
        .map(|job| job["id"].as_str().unwrap().to_owned());
    (id, attempt.id, gladia_id.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn only_an_admin_key_opens_the_admin_api() {
    let app = TestApp::start().await;
    let id = uuid::Uuid::now_v7();
    for (method, path) in [
        (Method::GET, "/v1/admin/callbacks".to_owned()),
        (Method::POST, format!("/v1/admin/callbacks/{id}/replay")),
        (Method::POST, format!("/v1/admin/callbacks/{id}/dismiss")),
        (Method::GET, "/v1/admin/attempts".to_owned()),
        (Method::POST, format!("/v1/admin/attempts/{id}/resolve")),
    ] {
        let answer = Answer::to(app.acme.request(method.clone(), &path)).await;
        answer.problem(403, "forbidden");
        let answer = Answer::to(app.acme.with_key(None).request(method, &path)).await;
        answer.problem(401, "unauthorized");
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quarantined_callback_is_listed_page_by_page_and_replayed() {
    let app = TestApp::start().await;
    let admin = app.caller("operators", Scope::Admin).await;
    let id = app.acme.start("endless.mp3").await;
    app.acme.wait_until(&id, "processing").await;
    let attempt = app.attempt(&id).await;
    app.execute("ALTER TABLE jobs ADD CONSTRAINT a_mistake_of_ours CHECK (status <> 'done')")
        .await;
    let body = success(attempt.gladia_id.as_deref().unwrap(), "words");
    app.call_back(attempt.id, body).await;
    for garbage in ["one", "two"] {
        app.call_back(attempt.id, garbage).await;
    }
    let mut seen: Vec<Value> = Vec::new();
    let mut path = "/v1/admin/callbacks?limit=1".to_owned();
    loop {
        let page = admin.get(&path).await.expect(200);
        seen.extend(page["items"].as_array().unwrap().iter().cloned());
        let Some(cursor) = page["next_cursor"].as_str() else {
            break;
        };
        path = format!("/v1/admin/callbacks?limit=1&cursor={cursor}");
    }
    assert_eq!(seen.len(), 3, "{seen:?}");
    assert_eq!(seen[0]["transcription_id"], id.as_str());
    assert_eq!(seen[0]["attempt_id"], attempt.id.to_string());
    assert_eq!(seen[0]["outcome"], "quarantined");
    assert!(seen[0]["reason"].is_string() && seen[0]["body_bytes"].as_i64() > Some(100));
    let refused = admin.get("/v1/admin/callbacks?status=done").await;
    refused.problem(400, "invalid-parameter");

    let callback = seen[0]["id"].as_str().unwrap();
    let path = format!("/v1/admin/callbacks/{callback}/replay");
    let replayed = admin.post(&path, &json!({})).await.expect(200);
    assert_eq!(replayed["outcome"], "quarantined");
    app.execute("ALTER TABLE jobs DROP CONSTRAINT a_mistake_of_ours")
        .await;
    let replayed = admin.post(&path, &json!({})).await.expect(200);
    assert_eq!(replayed["outcome"], "completed");
    app.acme.wait_until_done(&id).await;
    let again = admin.post(&path, &json!({})).await;
    again.problem(404, "not-found");
    let page = admin.get("/v1/admin/callbacks").await.expect(200);
    assert_eq!(page["items"].as_array().unwrap().len(), 2);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_that_an_operator_found_at_gladia_goes_on_under_its_id() {
    let app = TestApp::start().await;
    let admin = app.caller("operators", Scope::Admin).await;
    let (id, attempt, gladia_id) = unknown_job(&app, "endless.mp3").await;
    let page = admin.get("/v1/admin/attempts").await.expect(200);
    let shown = &page["items"][0];
    assert_eq!(shown["id"], attempt.to_string());
    assert_eq!(shown["transcription_id"], id.as_str());
    assert!(shown["detail"].is_string() && shown["send_until"].is_string());
    assert_eq!(page["next_cursor"], Value::Null);

    for (body, pointer) in [
        (json!({}), "/resolution"),
        (json!({ "resolution": "perhaps" }), "/resolution"),
        (json!({ "resolution": "accepted" }), "/gladia_id"),
        (
            json!({ "resolution": "accepted", "gladia_id": "a b" }),
            "/gladia_id",
        ),
        (
            json!({ "resolution": "failed", "gladia_id": "g" }),
            "/gladia_id",
        ),
        (json!({ "resolution": "failed", "why": "x" }), "/why"),
    ] {
        let answer = resolve(&admin, attempt, &body).await;
        answer.violation(422, "invalid-request", pointer);
    }
    let all_wrong = json!({ "resolution": "perhaps", "gladia_id": "a b", "why": "x" });
    let answer = resolve(&admin, attempt, &all_wrong).await;
    let told = answer.violations(422, "invalid-request");
    assert_eq!(told, ["/resolution", "/gladia_id", "/why"]);
    let body = json!({ "resolution": "accepted", "gladia_id": gladia_id });
    let resolved = resolve(&admin, attempt, &body).await.expect(200);
    assert_eq!(resolved["transcription_id"], id.as_str());
    let job = app.acme.wait_until(&id, "processing").await;
    assert_eq!(job["gladia_id"], gladia_id.as_str());
    let settled_by: String = app.scalar("SELECT settled_by FROM attempts").await;
    assert_eq!(settled_by, "operator");
    let again = resolve(&admin, attempt, &body).await;
    let problem = again.problem(409, "attempt-settled");
    assert!(problem["detail"].as_str().unwrap().contains("accepted"));
    let nobody = resolve(&admin, uuid::Uuid::now_v7(), &body).await;
    nobody.problem(404, "not-found");
    // One job of Gladia's answers for one attempt.
    let (_, other, _) = unknown_job(&app, "endless-2.mp3").await;
    let answer = resolve(&admin, other, &body).await;
    answer.problem(409, "gladia-id-taken");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_gladia_has_not_or_that_no_gateway_made_is_nobodys_result() {
    let app = TestApp::start().await;
    let admin = app.caller("operators", Scope::Admin).await;
    let (id, attempt, gladia_id) = unknown_job(&app, "endless.mp3").await;
    let create = app
        .http
        .post(format!("{}v2/pre-recorded", app.upstream.simulator.url()))
        .header("x-gladia-key", GLADIA_KEY)
        .json(&json!({
            "audio_url": "https://audio.example/endless.mp3",
            "custom_metadata": { "foreign": true },
        }));
    let theirs = Answer::to(create).await.expect(201)["id"].clone();
    let theirs = theirs.as_str().unwrap();
    let typed = "12345678-90ab-cdef-1234-567890abcdef";
    for wrong in [theirs, typed] {
        let body = json!({ "resolution": "accepted", "gladia_id": wrong });
        let answer = resolve(&admin, attempt, &body).await;
        answer.violation(422, "invalid-request", "/gladia_id");
        let (resolved, told) = accept_by_command(&app, attempt, wrong).await;
        assert!(!resolved, "{told}");
    }
    let fault = json!({ "operation": "get", "kind": "status", "status": 500, "times": 1 });
    app.upstream.fault(&fault).await;
    let body = json!({ "resolution": "accepted", "gladia_id": gladia_id });
    let answer = resolve(&admin, attempt, &body).await;
    assert!((502..=503).contains(&answer.status), "{}", answer.status);
    assert_eq!(app.attempt(&id).await.state, "unknown");
    let (resolved, told) = accept_by_command(&app, attempt, &gladia_id).await;
    assert!(resolved, "{told}");
    app.acme.wait_until(&id, "processing").await;
    app.stop().await;
}

/// Whether the command has done it, and what it said.
async fn accept_by_command(app: &TestApp, attempt: uuid::Uuid, gladia_id: &str) -> (bool, String) {
    let attempt = attempt.to_string();
    let arguments = [
        "attempts",
        "resolve",
        &attempt,
        "--as",
        "accepted",
        "--gladia-id",
        gladia_id,
    ];
    let gladia_url = app.upstream.simulator.url();
    let settings = [
        ("GLADIA_API_URL", gladia_url.as_str()),
        ("GLADIA_API_KEY", GLADIA_KEY),
    ];
    let (resolved, out, told) = run_with(app, &arguments, &settings).await;
    (resolved, out + &told)
}

/// Decides without asking Gladia.
async fn decide(app: &TestApp, attempt: uuid::Uuid, decision: Decision<'_>) {
    let mut conn = PgConnection::connect(app.database_url()).await.unwrap();
    let decided = decisions::decide(&mut conn, attempt.into(), decision).await;
    assert!(matches!(decided, Ok(Decided::Resolved { .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn with_zero_data_retention_a_callback_corrects_a_slip_of_the_operators() {
    let spool = SpoolDirectory::new();
    let app = TestApp::builder()
        .set("GLADIA_ZERO_DATA_RETENTION", true)
        .set("CALLBACK_SPOOL_DIR", spool.setting())
        .start()
        .await;
    let admin = app.caller("operators", Scope::Admin).await;
    let (id, attempt, gladia_id) = unknown_job(&app, "endless.mp3").await;
    // Nobody is asked about it, so it has to be one by its looks at least.
    for nonsense in ["../../x", "x?y"] {
        let body = json!({ "resolution": "accepted", "gladia_id": nonsense });
        let answer = resolve(&admin, attempt, &body).await;
        answer.violation(422, "invalid-request", "/gladia_id");
        let (resolved, told) = accept_by_command(&app, attempt, nonsense).await;
        assert!(!resolved && told.contains("must be an id"), "{told}");
    }
    let body = json!({ "resolution": "accepted", "gladia_id": "typed-in-haste" });
    resolve(&admin, attempt, &body).await.expect(200);
    app.acme.wait_until(&id, "processing").await;
    app.call_back(attempt, success(&gladia_id, "words")).await;
    let done = app.acme.wait_until_done(&id).await;
    assert_eq!(done["gladia_id"], gladia_id.as_str());
    assert_eq!(app.callback_outcomes(&id).await, ["completed"]);
    // From then on it is Gladia's word.
    let other = success("another", "words");
    assert_eq!(app.call_back(attempt, other).await.status, 200);
    assert_eq!(
        app.callback_outcomes(&id).await,
        ["completed", "quarantined"]
    );
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_that_gladia_does_not_have_is_sent_again_ahead_of_later_jobs() {
    let app = TestApp::builder().set("MAX_IN_FLIGHT", 1).start().await;
    let admin = app.caller("operators", Scope::Admin).await;
    // Broken off before Gladia took it: the gateway cannot know.
    let fault = json!({ "operation": "create", "kind": "drop_before", "times": 1 });
    app.upstream.fault(&fault).await;
    let first = app.acme.start("lengthy-1.mp3").await;
    let attempt = app.wait_for_attempt(&first, "unknown").await;
    let second = app.acme.start("lengthy-2.mp3").await;
    assert_eq!(app.slots_held().await, 1);
    let body = json!({ "resolution": "not_sent" });
    resolve(&admin, attempt.id, &body).await.expect(200);
    app.set_clock_ahead("2 minutes").await;
    for id in [&first, &second] {
        app.acme.wait_until_done(id).await;
    }
    let jobs = app.upstream.jobs().await;
    assert!(
        jobs[0]["audio_url"].as_str().unwrap().contains("lengthy-1"),
        "{jobs:?}"
    );
    assert_eq!(app.attempts(&first).await[0].state, "not_sent");
    let again = resolve(&admin, attempt.id, &body).await;
    again.problem(409, "attempt-settled");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn operators_settle_attempts_by_command_too() {
    let app = TestApp::start().await;
    let (failed, attempt, _) = unknown_job(&app, "endless-1.mp3").await;
    let (_, table) = run(&app, &["attempts", "list"]).await;
    let row = table
        .lines()
        .find(|line| line.contains(&failed))
        .unwrap_or_else(|| panic!("{table}"));
    assert!(row.starts_with(&attempt.to_string()), "{row}");
    let attempt = attempt.to_string();
    let wrong = [
        "attempts",
        "resolve",
        &attempt,
        "--as",
        "failed",
        "--gladia-id",
        "g",
    ];
    assert!(!run(&app, &wrong).await.0);
    let wrong = ["attempts", "resolve", &attempt, "--as", "accepted"];
    assert!(!run(&app, &wrong).await.0);
    let resolve = ["attempts", "resolve", &attempt, "--as", "failed"];
    let (resolved, told) = run(&app, &resolve).await;
    assert!(resolved && told.contains(&failed), "{told}");
    let job = app.acme.wait_until(&failed, "error").await;
    assert_eq!(job["error"]["type"], "outcome_unknown");
    assert_eq!(app.slots_held().await, 0);
    let (resolved, _, told) = run_with(&app, &resolve, &[]).await;
    assert!(!resolved && told.contains("expired"), "{told}");

    // Of a canceled job the attempt alone is settled.
    let (canceled, attempt, _) = unknown_job(&app, "endless-2.mp3").await;
    app.acme.cancel(&canceled).await.expect(200);
    let attempt = attempt.to_string();
    let resolve = ["attempts", "resolve", &attempt, "--as", "not-sent"];
    assert!(run(&app, &resolve).await.0);
    assert_eq!(app.acme.job(&canceled).await["status"], "canceled");
    assert_eq!(app.attempts(&canceled).await.len(), 1);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_zero_data_retention_an_attempt_that_finds_no_free_slot_ends_all_the_same() {
    let spool = SpoolDirectory::new();
    let app = TestApp::builder()
        .set("GLADIA_ZERO_DATA_RETENTION", true)
        .set("CALLBACK_SPOOL_DIR", spool.setting())
        .set("MAX_IN_FLIGHT", 1)
        .start()
        .await;
    let admin = app.caller("operators", Scope::Admin).await;
    let (id, attempt, gladia_id) = unknown_job(&app, "endless.mp3").await;
    app.set_clock_ahead("3 hours").await;
    app.wait_for_unknown_reason(attempt, "awaiting_decision")
        .await;
    let other = app.acme.start("endless.mp3").await;
    app.acme.wait_until(&other, "processing").await;
    let body = json!({ "resolution": "accepted", "gladia_id": gladia_id });
    resolve(&admin, attempt, &body).await.expect(200);
    app.set_clock_ahead("9 hours").await;
    for id in [&other, &id] {
        let job = app.acme.wait_until(id, "error").await;
        assert_eq!(job["error"]["type"], "result_missing");
    }
    // A success that arrives later still completes it.
    app.call_back(attempt, success(&gladia_id, "late")).await;
    app.acme.wait_until_done(&id).await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_whose_gladia_job_was_given_to_another_by_mistake_waits_for_an_operator() {
    let app = TestApp::start().await;
    let admin = app.caller("operators", Scope::Admin).await;
    let (robbed, attempt, gladia_id) = unknown_job(&app, "endless-1.mp3").await;
    let (mistaken, other, _) = unknown_job(&app, "endless-2.mp3").await;
    // Gladia says otherwise, so nothing is decided; with zero data retention it would not be asked.
    let body = json!({ "resolution": "accepted", "gladia_id": gladia_id });
    let answer = resolve(&admin, other, &body).await;
    answer.problem(409, "gladia-id-taken");
    let gladia_id = gladia_id.as_str();
    decide(&app, other, Decision::Accepted { gladia_id }).await;
    app.acme.wait_until(&mistaken, "processing").await;

    app.set_clock_ahead("3 minutes").await;
    let job = app
        .acme
        .wait_until_reason(&robbed, "awaiting_decision")
        .await;
    assert_eq!(job["status"], "queued");
    app.wait_for_unknown_reason(attempt, "awaiting_decision")
        .await;
    // It is asked for now and then, not every second, and nothing is sent again.
    let rests: bool = app
        .scalar(&format!(
            "SELECT next_look_at > gateway_now() + interval '50 minutes' FROM attempts WHERE id = '{attempt}'"
        ))
        .await;
    assert!(rests);
    assert_eq!(app.upstream.count("creates_received").await, 2);
    app.stop().await;
}
