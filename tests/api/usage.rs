//! What was used, and what Gladia bills for it.

use gladia_gateway::domain::access::Scope;
use serde_json::{Value, json};

use crate::support::{Answer, Caller, TestApp, audio, rows::success};

/// A job whose audio lasts a second, with metadata, done.
async fn done_with(caller: &Caller, metadata: &Value) -> String {
    let body = json!({ "audio_url": "https://audio.example/a.mp3", "custom_metadata": metadata });
    let job = caller.transcribe(&body).await.expect(202);
    let id = job["id"].as_str().unwrap().to_owned();
    caller.wait_until_done(&id).await;
    id
}

async fn usage(caller: &Caller, query: &str) -> Value {
    caller.get(&format!("/v1/usage?{query}")).await.expect(200)
}

async fn totals(caller: &Caller) -> Value {
    usage(caller, "").await["totals"].clone()
}

/// A canceled job that Gladia goes on with, and bills.
async fn billed_for_nothing(app: &TestApp, audio: &str) -> String {
    let id = app.acme.start(audio).await;
    app.acme.wait_until(&id, "processing").await;
    app.acme.cancel(&id).await.expect(200);
    let attempt = app.attempt(&id).await;
    let body = success(&attempt.gladia_id.unwrap(), "unwanted");
    assert_eq!(app.call_back(attempt.id, body).await.status, 200);
    id
}

async fn csv(caller: &Caller, query: &str, accept: Option<&str>) -> Answer {
    let mut request = caller.request(reqwest::Method::GET, &format!("/v1/usage?{query}"));
    if let Some(accept) = accept {
        request = request.header("accept", accept);
    }
    Answer::to(request).await
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_and_what_gladia_bills_for_them_are_counted_in_groups_that_add_up() {
    let app = TestApp::start().await;
    done_with(&app.acme, &json!({ "team": "support", "line": 7 })).await;
    done_with(&app.acme, &json!({ "team": "support", "line": "7" })).await;
    // In stereo each channel is billed.
    let options = json!({ "custom_metadata": { "team": "sales" } });
    let stereo = audio::wav(2.0, 8_000, 2);
    let answer = app.acme.upload(stereo, "two.wav", Some(&options)).await;
    let id = answer.expect(202)["id"].as_str().unwrap().to_owned();
    app.acme.wait_until_done(&id).await;
    let failed = app.acme.start("failing.mp3").await;
    app.acme.wait_until(&failed, "error").await;
    app.pause_dispatch().await;
    let canceled = app.acme.start("a.mp3").await;
    app.acme.cancel(&canceled).await.expect(200);
    // What has not ended is not counted.
    app.acme.start("a.mp3").await;

    let expected = json!({
        "jobs_done": 3, "jobs_error": 1, "jobs_canceled": 1,
        "audio_duration_seconds": 4.0, "billing_time_seconds": 6.0, "unused_billing_time_seconds": 0.0,
        "attempts_without_billing_time": 0,
    });
    let report = usage(&app.acme, "").await;
    assert_eq!(report["totals"], expected);
    assert_eq!(report["rows"], json!([expected]));
    assert_eq!(report["group_by"], json!([]));

    let report = usage(&app.acme, "group_by=metadata.team,metadata.line").await;
    assert_eq!(report["totals"], expected);
    let rows = report["rows"].as_array().unwrap();
    let group = |row: &Value| {
        let done = row["jobs_done"].as_i64().unwrap();
        let billed = row["billing_time_seconds"].as_f64().unwrap();
        (row["metadata"].clone(), done, billed.to_string())
    };
    let found: Vec<_> = rows.iter().map(group).collect();
    let expected = [
        (json!({ "team": "sales", "line": null }), 1, "4".to_owned()),
        // A number and its text are one value.
        (json!({ "team": "support", "line": "7" }), 2, "2".to_owned()),
        (json!({ "team": null, "line": null }), 0, "0".to_owned()),
    ];
    assert_eq!(found, expected);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_billed_and_gave_no_result_is_in_the_sum_and_told_apart() {
    let app = TestApp::start().await;
    let done = app.acme.start("a.mp3").await;
    app.acme.wait_until_done(&done).await;
    billed_for_nothing(&app, "endless-1.mp3").await;
    let erased = billed_for_nothing(&app, "endless-2.mp3").await;
    assert_eq!(app.acme.delete(&erased).await.status, 204);
    let expected = json!({
        "jobs_done": 1, "jobs_error": 0, "jobs_canceled": 2,
        "audio_duration_seconds": 1.0, "billing_time_seconds": 8.0, "unused_billing_time_seconds": 7.0,
        "attempts_without_billing_time": 0,
    });
    assert_eq!(totals(&app.acme).await, expected);
    // Canceled, and Gladia is still at work on it.
    let at_work = app.acme.start("endless-3.mp3").await;
    app.acme.wait_until(&at_work, "processing").await;
    app.acme.cancel(&at_work).await.expect(200);
    let now = totals(&app.acme).await;
    assert_eq!(now["jobs_canceled"], 3);
    assert_eq!(now["attempts_without_billing_time"], 1);
    assert_eq!(now["billing_time_seconds"], 8.0);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_job_that_gladia_had_twice_the_result_is_counted_once_and_billed_twice() {
    let app = TestApp::builder().doubles_a_job().start().await;
    let fault = json!({ "operation": "create", "kind": "drop_after", "times": 1 });
    app.upstream.fault(&fault).await;
    let id = app.acme.start("endless.mp3").await;
    let first = app.wait_for_attempt(&id, "unknown").await;
    // An operator is wrong about it.
    let admin = app.caller("operators", Scope::Admin).await;
    let path = format!("/v1/admin/attempts/{}/resolve", first.id);
    let wrong = json!({ "resolution": "not_sent" });
    admin.post(&path, &wrong).await.expect(200);
    app.resume_dispatch().await;
    let second = app.wait_for_attempt(&id, "accepted").await;
    let body = success(&second.gladia_id.unwrap(), "words");
    app.call_back(second.id, body).await;
    app.acme.wait_until_done(&id).await;
    let report = totals(&app.acme).await;
    assert_eq!(report["billing_time_seconds"], 3.5);

    let jobs = app.upstream.jobs().await;
    let of_first =
        |job: &&Value| job["custom_metadata"]["gladia_gateway_attempt"] == first.id.to_string();
    let surplus = jobs.iter().find(of_first).unwrap()["id"].as_str().unwrap();
    app.call_back(first.id, success(surplus, "again")).await;
    let report = totals(&app.acme).await;
    assert_eq!(report["jobs_done"], 1);
    assert_eq!(report["audio_duration_seconds"], 3.5);
    assert_eq!(report["billing_time_seconds"], 7.0);
    assert_eq!(report["unused_billing_time_seconds"], 3.5);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_erased_job_stays_counted_and_keeps_only_the_metadata_that_usage_is_counted_by() {
    let app = TestApp::builder()
        .set("USAGE_METADATA_KEYS", "team")
        .start()
        .await;
    let id = done_with(&app.acme, &json!({ "team": "support", "patient": "Jane" })).await;
    let long = "x".repeat(513);
    done_with(&app.acme, &json!({ "team": long, "patient": "Joe" })).await;
    let before = totals(&app.acme).await;
    assert_eq!(app.acme.delete(&id).await.status, 204);
    assert_eq!(totals(&app.acme).await, before);
    for (key, values) in [
        ("team", [json!("support"), Value::Null]),
        ("patient", [json!("Joe"), Value::Null]),
    ] {
        let report = usage(&app.acme, &format!("group_by=metadata.{key}")).await;
        let rows = report["rows"].as_array().unwrap();
        let found: Vec<_> = rows
            .iter()
            .map(|row| row["metadata"][key].clone())
            .collect();
        assert_eq!(found, values, "{key}");
        assert!(rows.iter().all(|row| row["jobs_done"] == 1), "{rows:?}");
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_sees_itself_and_an_operator_sees_all() {
    let app = TestApp::start().await;
    let admin = app.caller("operators", Scope::Admin).await;
    for caller in [&app.acme, &app.acme, &app.globex] {
        done_with(caller, &json!({})).await;
    }
    let reader = app.caller("acme", Scope::Read).await;
    for (caller, done) in [(&reader, 2), (&app.globex, 1), (&admin, 3)] {
        assert_eq!(totals(caller).await["jobs_done"], done);
    }
    let tenants = |report: &Value| -> Vec<(String, i64)> {
        let rows = report["rows"].as_array().unwrap().iter();
        rows.map(|row| {
            let tenant = row["tenant"].as_str().unwrap().to_owned();
            (tenant, row["jobs_done"].as_i64().unwrap())
        })
        .collect()
    };
    let report = usage(&admin, "group_by=tenant").await;
    let expected = [("acme".to_owned(), 2), ("globex".to_owned(), 1)];
    assert_eq!(tenants(&report), expected);
    let report = usage(&admin, "group_by=tenant&tenant=globex").await;
    assert_eq!(tenants(&report), expected[1..]);
    let report = usage(&app.acme, "group_by=tenant").await;
    assert_eq!(tenants(&report), expected[..1]);

    let answer = app.acme.get("/v1/usage?tenant=acme").await;
    answer.problem(403, "forbidden");
    let answer = admin.get("/v1/usage?tenant=nobody").await;
    let problem = answer.problem(400, "invalid-parameter");
    assert_eq!(problem["errors"][0]["parameter"], "tenant");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_counts_on_the_day_on_which_it_ended_and_the_end_of_a_period_is_not_in_it() {
    let app = TestApp::start().await;
    for (ended, created) in [
        ("2026-10-31 23:59:59.999999Z", "2026-10-31 12:00Z"),
        ("2026-11-01 00:00:00Z", "2026-10-31 12:00Z"),
        ("2026-11-30 23:59:59.999999Z", "2026-11-30 12:00Z"),
        ("2026-12-01 00:00:00Z", "2026-11-30 12:00Z"),
    ] {
        let id = app.acme.start("a.mp3").await;
        app.acme.wait_until_done(&id).await;
        let statement = format!(
            "UPDATE jobs SET finished_at = '{ended}', created_at = '{created}' WHERE id = '{id}'"
        );
        assert_eq!(app.execute(&statement).await, 1);
    }
    let november = "from=2026-11-01&to=2026-12-01";
    let report = usage(&app.acme, &format!("{november}&group_by=day")).await;
    let days: Vec<_> = report["rows"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["day"].as_str().unwrap())
        .collect();
    assert_eq!(days, ["2026-11-01", "2026-11-30"]);
    assert_eq!(report["from"], "2026-11-01T00:00:00Z");
    assert_eq!(report["to"], "2026-12-01T00:00:00Z");
    // The same instant in another place.
    let query = "from=2026-10-31T23:59:59.999999Z&to=2026-11-01T01:00:00%2B01:00";
    assert_eq!(usage(&app.acme, query).await["totals"]["jobs_done"], 1);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_is_retried_counts_when_it_ends_again_and_once() {
    let app = TestApp::start().await;
    let fault = json!({ "operation": "create", "kind": "status", "status": 400, "times": 1 });
    app.upstream.fault(&fault).await;
    let id = app.acme.start("a.mp3").await;
    app.acme.wait_until(&id, "error").await;
    assert_eq!(totals(&app.acme).await["jobs_error"], 1);
    app.pause_dispatch().await;
    app.acme.retry(&id).await.expect(202);
    assert_eq!(totals(&app.acme).await["jobs_error"], 0);
    app.resume_dispatch().await;
    app.acme.wait_until_done(&id).await;
    let totals = totals(&app.acme).await;
    let jobs = (&totals["jobs_done"], &totals["jobs_error"]);
    assert_eq!(jobs, (&json!(1), &json!(0)));
    assert_eq!(totals["billing_time_seconds"], 1.0);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sums_are_exact_to_the_millisecond_and_count_what_an_older_version_settled() {
    let app = TestApp::start().await;
    for _ in 0..3 {
        done_with(&app.acme, &json!({})).await;
    }
    app.execute(
        "UPDATE attempts SET billing_time_seconds = 0.1, audio_duration_seconds = 32.247528344",
    )
    .await;
    let report = totals(&app.acme).await;
    assert_eq!(report["billing_time_seconds"], 0.3);
    assert_eq!(report["audio_duration_seconds"], 96.744);
    // Its version kept the numbers with the job alone.
    app.execute("UPDATE attempts SET billing_time_seconds = NULL, audio_duration_seconds = NULL")
        .await;
    let report = totals(&app.acme).await;
    assert_eq!(report["billing_time_seconds"], 3.0);
    assert_eq!(report["audio_duration_seconds"], 3.0);
    assert_eq!(report["attempts_without_billing_time"], 0);
    // Numbers that nobody can have been billed spoil nothing.
    app.execute("UPDATE attempts SET billing_time_seconds = 1e300 WHERE id = (SELECT min(id::text)::uuid FROM attempts)")
        .await;
    assert_eq!(
        totals(&app.acme).await["billing_time_seconds"],
        1_000_000_002.0
    );
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_comes_as_csv_too_with_the_same_numbers() {
    let app = TestApp::start().await;
    let odd = "=says \"no\",\r\nthen = 1+1;@SUM(A1)";
    let id = done_with(&app.acme, &json!({ "team": odd })).await;
    done_with(&app.acme, &json!({})).await;
    app.execute(&format!(
        "UPDATE jobs SET finished_at = '2026-11-24 10:00Z' WHERE id = '{id}'"
    ))
    .await;
    app.execute(&format!(
        "UPDATE jobs SET finished_at = '2026-11-25 10:00Z' WHERE id <> '{id}'"
    ))
    .await;
    let query = "from=2026-11-01&to=2026-12-01&group_by=metadata.team&group_by=day";
    let answer = csv(&app.acme, query, Some("text/csv, */*;q=0.1")).await;
    assert_eq!(answer.status, 200);
    assert_eq!(
        answer.text(),
        "metadata.team,day,jobs_done,jobs_error,jobs_canceled,audio_duration_seconds,billing_time_seconds,\
         unused_billing_time_seconds,attempts_without_billing_time\r\n\
         \"'=says \"\"no\"\",\r\nthen = 1+1;'@SUM(A1)\",2026-11-24,1,0,0,1,1,0,0\r\n\
         ,2026-11-25,1,0,0,1,1,0,0\r\n"
    );
    assert_eq!(
        answer.header("content-type"),
        Some("text/csv; charset=utf-8; header=present")
    );
    assert_eq!(
        answer.header("content-disposition"),
        Some("attachment; filename=\"usage-2026-11-01-to-2026-12-01.csv\"")
    );
    // What the address says goes before what the program accepts.
    let by_address = csv(&app.acme, &format!("{query}&format=csv"), None).await;
    assert_eq!(by_address.bytes, answer.bytes);
    let json = csv(&app.acme, &format!("{query}&format=json"), Some("text/csv")).await;
    let report = json.expect(200);
    assert_eq!(report["rows"][0]["metadata"]["team"], odd);
    assert_eq!(report["rows"][0]["day"], "2026-11-24");
    // Where nothing was used, a file with a line of zeros.
    let nothing = csv(&app.globex, "format=csv", None).await.text();
    assert_eq!(nothing.lines().nth(1), Some("0,0,0,0,0,0,0"));
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_that_is_wrong_with_a_query_is_told_at_once() {
    let app = TestApp::start().await;
    let query = "from=november&to=2026-12-01&to=2027-01-01&group_by=day,week,metadata.&format=xml&tenant=A+B&status=done";
    let answer = app.acme.get(&format!("/v1/usage?{query}")).await;
    let problem = answer.problem(400, "invalid-parameter");
    let parameters: Vec<_> = problem["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|error| error["parameter"].as_str().unwrap())
        .collect();
    let expected = ["from", "to", "group_by", "format", "tenant", "status"];
    assert_eq!(parameters, expected);
    for (query, parameter) in [
        ("from=2026-11-02&to=2026-11-02", "from"),
        ("from=2026-11-03&to=2026-11-02", "from"),
        ("from=2024-01-01&to=2025-01-02", "from"),
        ("from=2300-01-01", "from"),
        ("group_by=", "group_by"),
        ("group_by=day&group_by=day", "group_by"),
        (
            "group_by=metadata.a,metadata.b,metadata.c,metadata.d",
            "group_by",
        ),
        ("group_by=metadata.%00", "group_by"),
    ] {
        let answer = app.acme.get(&format!("/v1/usage?{query}")).await;
        let problem = answer.problem(400, "invalid-parameter");
        assert_eq!(problem["errors"].as_array().unwrap().len(), 1, "{problem}");
        assert_eq!(problem["errors"][0]["parameter"], parameter, "{query}");
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_of_too_many_rows_is_refused() {
    let app = TestApp::start().await;
    let id = done_with(&app.acme, &json!({})).await;
    app.execute(
        "INSERT INTO jobs (id, tenant_id, api_key_id, status, request, audio_url, created_at, finished_at)
         SELECT gen_random_uuid(), tenant_id, api_key_id, 'canceled', '{}', 'https://audio.example/', created_at, finished_at
         FROM jobs, generate_series(1, 10000)",
    )
    .await;
    app.execute(
        "INSERT INTO job_metadata (job_id, key, value, tenant_id, created_at, kept_for_usage)
         SELECT id, 'ticket', id::text, tenant_id, created_at, false FROM jobs",
    )
    .await;
    let path = "/v1/usage?group_by=metadata.ticket";
    let answer = app.acme.get(path).await;
    let problem = answer.problem(400, "invalid-parameter");
    assert_eq!(problem["errors"][0]["parameter"], "group_by");
    app.execute(&format!("DELETE FROM job_metadata WHERE job_id = '{id}'"))
        .await;
    // The second one without a ticket makes no group of its own.
    app.execute("DELETE FROM job_metadata WHERE job_id = (SELECT id FROM jobs WHERE status = 'canceled' LIMIT 1)")
        .await;
    let report = app.acme.get(path).await.expect(200);
    assert_eq!(report["rows"].as_array().unwrap().len(), 10_000);
    assert_eq!(report["totals"]["jobs_canceled"], 10_000);
    app.finish().await;
}
