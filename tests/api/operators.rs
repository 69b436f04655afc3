//! What whoever runs the gateway can find out, and get rid of.

use std::fs;

use gladia_gateway::domain::access::Scope;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{
    Answer, TestApp,
    builder::DRAIN,
    callbacks::processing,
    command::{run, run_with},
    eventually,
    process::Process,
    resting_deliveries::Row,
    rows::success,
    spool::SpoolDirectory,
};

/// What no callback of Gladia's is.
const GARBAGE: &str = "{\"event\": \"mäh\"}\r\n\n";

/// The log's lines of a process that has ended.
async fn log_of(process: Process) -> Vec<Value> {
    process.terminate();
    let lines = process.log().await;
    let parsed = lines.iter().map(|line| serde_json::from_str(line).unwrap());
    parsed.collect()
}

/// Waits until so many are shown: what was counted before is for a second.
async fn until_quarantined(app: &TestApp, count: u32) {
    let line = format!("gateway_callbacks_quarantined {count}");
    eventually(&line, async || {
        let metrics = app.acme.with_key(None).get("/metrics").await.text();
        metrics.lines().any(|shown| shown == line).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kept_callback_that_nobody_needs_any_more_is_shown_and_dismissed() {
    let app = TestApp::start().await;
    let (id, attempt, gladia_id) = processing(&app).await;
    assert_eq!(app.call_back(attempt.id, GARBAGE).await.status, 200);
    let words = success(&gladia_id, "words");
    assert_eq!(app.call_back(attempt.id, words).await.status, 200);
    app.acme.wait_until_done(&id).await;
    until_quarantined(&app, 1).await;
    let (_, table) = run(&app, &["callbacks", "list"]).await;
    let row = table.lines().find(|line| line.contains(&id)).unwrap();
    let callback = row.split_whitespace().next().unwrap();

    let (shown, body) = run(&app, &["callbacks", "show", callback]).await;
    assert!(shown && body == GARBAGE, "{body:?}");
    let still = ["callbacks", "replay", callback];
    let (mended, told) = run(&app, &still).await;
    assert!(!mended && told.contains("still quarantined"), "{told}");
    for _ in 0..2 {
        let (dismissed, told) = run(&app, &["callbacks", "dismiss", callback]).await;
        assert!(dismissed && told.contains(&id), "{told}");
    }
    until_quarantined(&app, 0).await;
    let (_, table) = run(&app, &["callbacks", "list"]).await;
    assert_eq!(table.lines().count(), 1, "{table}");
    let admin = app.caller("operators", Scope::Admin).await;
    let listed = admin.get("/v1/admin/callbacks").await.expect(200);
    assert_eq!(listed["items"], json!([]));
    // It is there all the same, and so is the result.
    let (mended, told) = run(&app, &still).await;
    assert!(!mended && told.contains("still quarantined"), "{told}");
    until_quarantined(&app, 0).await;
    let (_, body) = run(&app, &["callbacks", "show", callback]).await;
    assert_eq!(body, GARBAGE);
    let result = app.acme.job(&id).await;
    assert_eq!(
        result["result"]["transcription"]["full_transcript"],
        "words"
    );

    app.acme.delete(&id).await.expect(204);
    for command in ["show", "dismiss"] {
        let (done, _, told) = run_with(&app, &["callbacks", command, callback], &[]).await;
        assert!(
            !done && told.contains("no quarantined callback"),
            "{command}: {told}"
        );
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dismissed_callback_that_can_be_carried_out_after_all_still_is() {
    let app = TestApp::start().await;
    let admin = app.caller("operators", Scope::Admin).await;
    let (id, attempt, gladia_id) = processing(&app).await;
    app.execute("ALTER TABLE jobs ADD CONSTRAINT a_mistake_of_ours CHECK (status <> 'done')")
        .await;
    app.call_back(attempt.id, success(&gladia_id, "words"))
        .await;
    app.execute("ALTER TABLE jobs DROP CONSTRAINT a_mistake_of_ours")
        .await;
    let listed = admin.get("/v1/admin/callbacks").await.expect(200);
    let callback = listed["items"][0]["id"].as_str().unwrap();
    let path = |verb: &str| format!("/v1/admin/callbacks/{callback}/{verb}");
    let dismissed = admin.post(&path("dismiss"), &json!({})).await.expect(200);
    assert_eq!(dismissed, json!({ "transcription_id": id }));
    until_quarantined(&app, 0).await;
    let replayed = admin.post(&path("replay"), &json!({})).await.expect(200);
    assert_eq!(replayed["outcome"], "completed");
    app.acme.wait_until_done(&id).await;
    let again = admin.post(&path("dismiss"), &json!({})).await;
    again.problem(404, "not-found");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_says_who_asked_and_why_a_callback_was_kept() {
    let app = TestApp::start().await;
    let (id, attempt, _) = processing(&app).await;
    let mut process = Process::serve(&app, &[("LOG_FORMAT", "json")]);
    let base = format!("http://{}", process.address().await);
    let caller = app.acme.at(&base);
    // Known to nobody yet, and then known already.
    for name in ["endless-1.mp3", "endless-2.mp3"] {
        caller.start(name).await;
    }
    let nobody = caller.with_key(Some("gg_nobody"));
    let refused = nobody.get("/v1/transcriptions").await;
    refused.problem(401, "unauthorized");
    let url = app.callback_url(0, attempt.id);
    let url = url.replace(&app.replicas[0].base, &base);
    let kept = Answer::to(app.http.post(url).body(GARBAGE)).await;
    assert_eq!(kept.status, 200);

    let lines = log_of(process).await;
    let created: Vec<_> = lines
        .iter()
        .filter(|line| line["message"] == "POST /v1/transcriptions 202")
        .collect();
    assert_eq!(created.len(), 2, "{lines:#?}");
    for line in created {
        assert_eq!(line["tenant.id"], app.acme.tenant_id.to_string(), "{line}");
        assert_eq!(
            line["api_key.id"],
            app.acme.api_key_id.to_string(),
            "{line}"
        );
    }
    let refused = lines
        .iter()
        .find(|line| line["message"] == "GET /v1/transcriptions 401")
        .unwrap();
    assert_eq!(refused["tenant.id"], Value::Null);
    let kept: Vec<_> = lines
        .iter()
        .filter(|line| line["attempt.id"] == attempt.id.to_string())
        .collect();
    let [kept] = &kept[..] else {
        panic!("{kept:#?}")
    };
    let reason: String = app.scalar("SELECT reason FROM callbacks").await;
    assert_eq!(
        (&kept["level"], &kept["reason"]),
        (&json!("WARN"), &json!(reason))
    );
    assert!(!kept.to_string().contains("mäh"), "{kept}");
    assert_eq!(app.acme.job(&id).await["status"], "processing");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn operators_find_out_whose_everything_is() {
    let app = TestApp::builder().set("MAX_IN_FLIGHT", 1).start().await;
    let (id, attempt, gladia_id) = processing(&app).await;
    let globex = app.caller("globex", Scope::Write).await;
    for name in ["endless-1.mp3", "endless-2.mp3"] {
        globex.start(name).await;
    }
    let (_, shown) = run(&app, &["limits", "show"]).await;
    let words = |start: &str| -> Vec<String> {
        let line = shown.lines().find(|line| line.starts_with(start));
        let line = line.unwrap_or_else(|| panic!("{shown}"));
        line.split_whitespace().map(str::to_owned).collect()
    };
    assert_eq!(words("acme"), ["acme", "1", "0", "-"]);
    assert_eq!(words("globex")[..3], ["globex", "0", "2"]);
    assert!(words("globex")[3].ends_with('Z'), "{shown}");

    let (_, table) = run(&app, &["attempts", "list", "--in-flight"]).await;
    let rows: Vec<_> = table.lines().skip(1).collect();
    let row: Vec<_> = rows[0].split_whitespace().collect();
    assert_eq!(rows.len(), 1, "{table}");
    assert_eq!(row[..3], [&attempt.id.to_string(), id.as_str(), "acme"]);
    assert_eq!(row[5..], ["accepted", "processing"]);

    app.call_back(attempt.id, GARBAGE).await;
    let callback: Uuid = app.scalar("SELECT id FROM callbacks").await;
    let endpoint = app.resting_endpoint(&app.acme).await;
    let row = Row {
        endpoint: Some(endpoint),
        job: Some(id.clone()),
        ..Row::default()
    };
    let delivery = app.insert_delivery(&app.acme, &row).await;
    let batch = Uuid::now_v7();
    let tenant = app.acme.tenant_id;
    app.execute(&format!(
        "INSERT INTO batches (id, tenant_id, requests, refused) VALUES ('{batch}', '{tenant}', 1, '[]')"
    ))
    .await;
    for (asked, what) in [
        (id.clone(), "transcription"),
        (attempt.id.to_string(), "attempt"),
        (gladia_id, "job at Gladia"),
        (callback.to_string(), "callback"),
        (endpoint.to_string(), "webhook endpoint"),
        (delivery.clone(), "delivery"),
        (batch.to_string(), "batch"),
        (app.acme.api_key_id.to_string(), "API key"),
        (tenant.to_string(), "tenant"),
    ] {
        let (found, told) = run(&app, &["whose", &asked]).await;
        for line in [
            format!("what           {what}\n"),
            format!("tenant         acme\ntenant id      {tenant}\n"),
        ] {
            assert!(found && told.contains(&line), "{asked}:\n{told}");
        }
        if !["webhook endpoint", "batch", "API key", "tenant"].contains(&what) {
            assert!(told.contains(&format!("transcription  {id}\n")), "{told}");
        }
    }
    let (_, told) = run(&app, &["whose", &delivery]).await;
    assert!(
        told.ends_with("receiver       http://127.0.0.1:1\n"),
        "{told}"
    );
    let (found, _, told) = run_with(&app, &["whose", "none"], &[]).await;
    assert!(!found && told.contains("none"), "{told}");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_ends_says_what_it_leaves_in_its_spool_and_another_can_take_that() {
    let (directory, left) = (SpoolDirectory::new(), SpoolDirectory::new());
    let app = TestApp::with_spool(&directory).await;
    let (id, attempt, gladia_id) = processing(&app).await;
    let variables = [
        ("LOG_FORMAT", "json"),
        ("CALLBACK_SPOOL_DIR", left.setting()),
    ];
    let mut process = Process::serve(&app, &variables);
    let base = format!("http://{}", process.address().await);
    app.database_relay().cut().await;
    let url = app.callback_url(0, attempt.id);
    let url = url.replace(&app.replicas[0].base, &base);
    let kept = Answer::to(app.http.post(url).body(success(&gladia_id, "words"))).await;
    assert_eq!(kept.status, 200);
    let lines = log_of(process).await;
    let last = lines.last().unwrap();
    assert_eq!(
        (&last["level"], &last["callbacks"]),
        (&json!("ERROR"), &json!(1)),
        "{lines:#?}"
    );
    let files = left.files("callback");
    let [file] = &files[..] else {
        panic!("{files:?}")
    };
    let moved = directory.path().join(file.file_name().unwrap());
    fs::rename(file, moved).unwrap();
    app.database_relay().mend();
    app.acme.wait_until_done(&id).await;
    directory.wait_until_empty().await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_a_callback_key_is_lost_any_secret_in_its_place_lets_results_be_asked_for() {
    let mut app = TestApp::start().await;
    let id = app.start_and_lose_callback("spoken.mp3").await;
    assert!(app.replicas[0].stop(DRAIN).await);
    let new = "new:00000000000000000000000000000000";
    let refused = app.try_replica(&[("CALLBACK_KEYS", new)]).await;
    let refused = format!("{:#}", refused.unwrap_err());
    assert!(
        refused.contains("need the key(s) test") && refused.contains("is lost"),
        "{refused}"
    );
    let made_up = format!("{new},test:ffffffffffffffffffffffffffffffff");
    app.add_replica(&[("CALLBACK_KEYS", &made_up)]).await;
    app.set_clock_ahead("4 minutes").await;
    app.acme
        .at(&app.replicas[1].base)
        .wait_until_done(&id)
        .await;
    app.finish().await;
}
