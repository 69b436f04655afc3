//! What the list of jobs can be filtered by.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{
    TestApp, eventually,
    lists::{ids, list, start_with},
};

/// The jobs that a query lists, as their places in `made`, newest first.
async fn found(app: &TestApp, made: &[String], query: &str) -> Vec<usize> {
    let page = list(app, query).await.expect(200);
    assert_eq!(page["next_cursor"], Value::Null, "{query}");
    ids(&page)
        .iter()
        .map(|id| made.iter().position(|known| known == id).unwrap())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_list_can_be_filtered_by_status() {
    let app = TestApp::start().await;
    let done = app.acme.start("a.mp3").await;
    app.acme.wait_until_done(&done).await;
    let failed = app.acme.start("failing.mp3").await;
    app.acme.wait_until(&failed, "error").await;
    let processing = app.acme.start("endless.mp3").await;
    app.acme.wait_until(&processing, "processing").await;
    let fault = json!({ "operation": "create", "kind": "status", "status": 500, "times": 1 });
    app.upstream.fault(&fault).await;
    let unknown = app.acme.start("b.mp3").await;
    app.acme
        .wait_until_reason(&unknown, "outcome_unknown")
        .await;
    app.pause_dispatch().await;
    let queued = app.acme.start("c.mp3").await;
    let canceled = app.acme.start("d.mp3").await;
    app.acme.cancel(&canceled).await.expect(200);
    let deleted = app.acme.start("e.mp3").await;
    assert_eq!(app.acme.delete(&deleted).await.status, 204);
    for (status, expected) in [
        ("done", vec![&done]),
        ("error", vec![&failed]),
        ("processing", vec![&processing]),
        // What is not known to be at Gladia is queued to its caller.
        ("queued", vec![&queued, &unknown]),
        ("canceled", vec![&canceled]),
    ] {
        let page = app
            .acme
            .get(&format!("/v1/transcriptions?status={status}"))
            .await
            .expect(200);
        assert_eq!(ids(&page).iter().collect::<Vec<_>>(), expected, "{status}");
        assert_eq!(page["next_cursor"], Value::Null);
    }
    let page = list(&app, "status=error&status=done&status=canceled").await;
    assert_eq!(
        ids(&page.expect(200)),
        [canceled, failed.clone(), done.clone()]
    );
    // Page by page the same.
    let first = list(&app, "status=done&status=error&limit=1").await;
    let first = first.expect(200);
    assert_eq!(ids(&first), [failed]);
    let cursor = first["next_cursor"].as_str().unwrap();
    let second = list(
        &app,
        &format!("status=error&limit=5&status=done&cursor={cursor}"),
    )
    .await;
    assert_eq!(ids(&second.expect(200)), [done]);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_list_can_be_filtered_by_metadata() {
    let app = TestApp::start().await;
    app.pause_dispatch().await;
    let made = [
        start_with(&app, json!({ "team": "sales", "order": 7 })).await,
        start_with(
            &app,
            json!({ "team": "sales", "order": "7", "a[b] & c": "é ✓" }),
        )
        .await,
        start_with(&app, json!({ "team": "Sales", "urgent": true })).await,
        start_with(
            &app,
            json!({ "team": "support", "order": 7.5, "nested": { "team": "sales" } }),
        )
        .await,
        app.acme.start("a.mp3").await,
    ];
    for (query, expected) in [
        ("metadata[team]=sales", vec![1, 0]),
        ("metadata%5Bteam%5D=sales", vec![1, 0]),
        ("metadata=team:sales", vec![1, 0]),
        ("metadata=team%3Asales&metadata=order:7", vec![1, 0]),
        ("metadata=order:7.5&metadata[team]=support", vec![3]),
        ("metadata=team:sales:north", vec![]),
        ("metadata[order]=7", vec![1, 0]),
        ("metadata[order]=7.5", vec![3]),
        ("metadata[urgent]=true", vec![2]),
        ("metadata[team]=sales&metadata[order]=7", vec![1, 0]),
        ("metadata[order]=7.5&metadata[team]=support", vec![3]),
        ("metadata[order]=7.5&metadata[team]=sales", vec![]),
        ("metadata[a[b]%20%26%20c]=%C3%A9+%E2%9C%93", vec![1]),
        ("metadata[team]=", vec![]),
        ("metadata[nested]=sales", vec![]),
        ("metadata[team]=%25", vec![]),
    ] {
        assert_eq!(found(&app, &made, query).await, expected, "{query}");
    }
    let rule = async |query: String| {
        let problem = list(&app, &query).await.problem(400, "invalid-parameter");
        problem["errors"][0]["rule"].as_str().unwrap().to_owned()
    };
    let long = rule(format!("metadata[team]={}", "x".repeat(513))).await;
    assert!(long.contains("512"), "{long}");
    let long = rule(format!("metadata[{}]=x", "k".repeat(257))).await;
    assert!(long.contains("256"), "{long}");
    let many: Vec<String> = (0..11).map(|key| format!("metadata[{key}]=x")).collect();
    let many = rule(many.join("&")).await;
    assert!(many.contains("10"), "{many}");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_list_can_be_filtered_by_time() {
    let app = TestApp::start().await;
    app.pause_dispatch().await;
    let mut made = Vec::new();
    for minute in 0..4 {
        let id = app.acme.start("a.mp3").await;
        app.execute(&format!(
            "UPDATE jobs SET created_at = '2026-11-26 15:0{minute}:00.000001Z' WHERE id = '{id}'"
        ))
        .await;
        made.push(id);
    }
    for (query, expected) in [
        ("created_after=2026-11-26T15:02:00.000001Z", vec![3, 2]),
        ("created_after=2026-11-26T15:02:00.0000011Z", vec![3]),
        ("created_before=2026-11-26T15:02:00.000001Z", vec![1, 0]),
        ("created_before=2026-11-26T15:02:00.0000011Z", vec![2, 1, 0]),
        (
            "created_after=2026-11-26T17:01:00%2B02:00&created_before=2026-11-26T15:03:00Z",
            vec![2, 1],
        ),
        (
            "created_after=2026-11-27T00:00:00Z&created_before=2026-11-26T00:00:00Z",
            vec![],
        ),
        (
            "created_after=0000-01-01T00:00:00Z&created_before=9999-12-31T23:59:59Z",
            vec![3, 2, 1, 0],
        ),
    ] {
        assert_eq!(found(&app, &made, query).await, expected, "{query}");
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn filters_combine() {
    let app = TestApp::start().await;
    let fault = json!({ "operation": "create", "kind": "status", "status": 400, "times": 2 });
    app.upstream.fault(&fault).await;
    let metadata = json!({ "team": "sales" });
    let mut made = Vec::new();
    for _ in 0..2 {
        made.push(start_with(&app, metadata.clone()).await);
    }
    for id in &made {
        app.acme.wait_until(id, "error").await;
    }
    made.push(app.acme.start("failing.mp3").await);
    app.acme.wait_until(&made[2], "error").await;
    app.pause_dispatch().await;
    made.push(start_with(&app, metadata.clone()).await);
    made.push(app.acme.start("a.mp3").await);
    let batch = Uuid::now_v7();
    app.execute(&format!(
        "INSERT INTO batches (id, tenant_id, requests, refused) VALUES ('{batch}', '{}', 3, '[]')",
        app.acme.tenant_id
    ))
    .await;
    for (index, id) in [&made[1], &made[2], &made[3]].iter().enumerate() {
        app.execute(&format!(
            "UPDATE jobs SET batch_id = '{batch}', batch_index = {index} WHERE id = '{id}'"
        ))
        .await;
    }
    let time = app.acme.job(&made[1]).await["created_at"]
        .as_str()
        .unwrap()
        .to_owned();
    for (query, expected) in [
        (String::new(), vec![4, 3, 2, 1, 0]),
        ("error_type=gladia_refused".to_owned(), vec![1, 0]),
        (
            "error_type=gladia_refused&error_type=transcription_failed".to_owned(),
            vec![2, 1, 0],
        ),
        (
            "error_type=gladia_refused&status=error&status=done".to_owned(),
            vec![1, 0],
        ),
        ("error_type=gladia_refused&status=queued".to_owned(), vec![]),
        (
            format!("error_type=gladia_refused&created_after={time}"),
            vec![1],
        ),
        (format!("status=error&created_before={time}"), vec![0]),
        ("status=error&metadata[team]=sales".to_owned(), vec![1, 0]),
        ("status=queued&metadata[team]=sales".to_owned(), vec![3]),
        (
            format!("error_type=gladia_refused&metadata[team]=sales&created_before={time}"),
            vec![0],
        ),
        (format!("batch_id={batch}"), vec![3, 2, 1]),
        (format!("batch_id={batch}&status=error"), vec![2, 1]),
        (
            format!("batch_id={batch}&error_type=transcription_failed"),
            vec![2],
        ),
        (format!("batch_id={batch}&metadata[team]=sales"), vec![3, 1]),
        (
            format!("batch_id={batch}&metadata[team]=sales&status=queued&created_after={time}"),
            vec![3],
        ),
        (format!("batch_id={batch}&created_before={time}"), vec![]),
        (format!("batch_id={}", Uuid::now_v7()), vec![]),
    ] {
        assert_eq!(found(&app, &made, &query).await, expected, "{query}");
    }
    // Another tenant finds nothing by the same words.
    for query in [
        format!("batch_id={batch}"),
        "metadata[team]=sales".to_owned(),
        "error_type=gladia_refused".to_owned(),
    ] {
        let page = app
            .globex
            .get(&format!("/v1/transcriptions?{query}"))
            .await
            .expect(200);
        assert_eq!(page["items"], json!([]), "{query}");
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_filter_can_be_walked_page_by_page() {
    let app = TestApp::start().await;
    app.pause_dispatch().await;
    let mut made = Vec::new();
    for _ in 0..7 {
        made.push(start_with(&app, json!({ "team": "sales", "kind": "call" })).await);
    }
    app.execute("UPDATE jobs SET created_at = (SELECT min(created_at) FROM jobs) WHERE id IN (SELECT id FROM jobs ORDER BY id LIMIT 4)")
        .await;
    app.execute(
        "UPDATE job_metadata m SET created_at = j.created_at FROM jobs j WHERE j.id = m.job_id",
    )
    .await;
    app.execute(&format!(
        "INSERT INTO batches (id, tenant_id, requests, refused) SELECT '{}', tenant_id, 7, '[]' FROM jobs LIMIT 1",
        Uuid::nil()
    ))
    .await;
    app.execute(&format!(
        "UPDATE jobs SET batch_id = '{}', batch_index = 0, status = 'error', error_type = 'gladia_refused', finished_at = created_at",
        Uuid::nil()
    ))
    .await;
    let newest: Vec<String> = made.iter().rev().cloned().collect();
    for filter in [
        "status=error&status=done".to_owned(),
        "error_type=gladia_refused".to_owned(),
        format!("batch_id={}", Uuid::nil()),
        "metadata[team]=sales".to_owned(),
        "metadata[team]=sales&metadata[kind]=call".to_owned(),
        "created_after=2020-01-01T00:00:00Z".to_owned(),
    ] {
        let mut walked = Vec::new();
        let mut query = format!("{filter}&limit=2");
        loop {
            let page = list(&app, &query).await.expect(200);
            walked.extend(ids(&page));
            let Some(cursor) = page["next_cursor"].as_str() else {
                break;
            };
            query = format!("{filter}&limit=2&cursor={cursor}");
        }
        assert_eq!(walked, newest, "{filter}");
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_erased_job_is_found_by_no_filter() {
    let app = TestApp::builder()
        .set("USAGE_METADATA_KEYS", "team")
        .start()
        .await;
    let id = start_with(&app, json!({ "team": "sales" })).await;
    app.acme.wait_until_done(&id).await;
    assert_eq!(app.acme.delete(&id).await.status, 204);
    // What usage is counted by is still there.
    assert_eq!(app.rows("job_metadata").await, 1);
    for query in ["", "status=done", "metadata[team]=sales"] {
        let page = list(&app, query).await.expect(200);
        assert_eq!(page["items"], json!([]), "{query}");
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn few_failures_among_many_jobs_with_the_same_metadata_are_found() {
    let app = TestApp::start().await;
    let failed = start_with(&app, json!({ "team": "sales", "order": 7 })).await;
    app.acme.wait_until_done(&failed).await;
    // Many more like it, all of which are done.
    app.execute(
        "INSERT INTO jobs (id, tenant_id, api_key_id, status, request, audio_url, finished_at)
         SELECT gen_random_uuid(), tenant_id, api_key_id, 'done', request, audio_url, gateway_now()
         FROM jobs, generate_series(1, 600)",
    )
    .await;
    app.execute(
        "INSERT INTO job_metadata (job_id, key, value, tenant_id, created_at, kept_for_usage)
         SELECT id, 'team', 'sales', tenant_id, created_at, false FROM jobs ON CONFLICT DO NOTHING",
    )
    .await;
    app.execute(&format!(
        "UPDATE jobs SET status = 'error', error_type = 'gladia_refused', result_callback_id = NULL WHERE id = '{failed}'"
    ))
    .await;
    for query in [
        "metadata[team]=sales&status=error",
        "metadata[team]=sales&error_type=gladia_refused",
        "metadata[team]=sales&metadata[order]=7&status=error",
        "metadata[team]=sales&status=error&status=queued",
    ] {
        let made = std::slice::from_ref(&failed);
        assert_eq!(found(&app, made, query).await, [0], "{query}");
    }
    for query in [
        "metadata[team]=support&status=error",
        "metadata[team]=sales&status=canceled",
        "metadata[team]=sales&metadata[order]=8&error_type=gladia_refused",
    ] {
        assert_eq!(found(&app, &[], query).await, [0; 0], "{query}");
    }
    let page = list(&app, "metadata[team]=sales&status=done&limit=100")
        .await
        .expect(200);
    assert_eq!(ids(&page).len(), 100);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_left_of_erased_jobs_for_usage_is_not_walked_through_for_a_list_by_metadata() {
    let app = TestApp::builder()
        .set("USAGE_METADATA_KEYS", "team")
        .start()
        .await;
    let body =
        json!({ "audio_url": "https://audio.example/a.mp3", "custom_metadata": { "team": "x" } });
    let mut made = Vec::new();
    for _ in 0..2 {
        let job = app.acme.transcribe(&body).await.expect(202);
        made.push(job["id"].as_str().unwrap().to_owned());
    }
    let erased = &made[0];
    app.acme.wait_until_done(erased).await;
    assert_eq!(app.acme.delete(erased).await.status, 204);
    app.execute(&format!(
        "WITH erased AS (
             INSERT INTO jobs (id, tenant_id, api_key_id, status, created_at, finished_at, deleted_at, erased_by)
             SELECT gen_random_uuid(), tenant_id, api_key_id, 'canceled', created_at, finished_at, deleted_at, erased_by
             FROM jobs, generate_series(1, 5000) WHERE id = '{erased}' RETURNING id, tenant_id, created_at
         )
         INSERT INTO job_metadata (job_id, key, value, tenant_id, created_at, kept_for_usage)
         SELECT id, 'team', 'x', tenant_id, created_at, true FROM erased"
    ))
    .await;
    // A session counts what it has read about once a second.
    let read = eventually("list that is counted", async || {
        assert_eq!(found(&app, &made, "metadata[team]=x").await, [1]);
        let read: Option<i64> = app
            .scalar(
                "SELECT CASE WHEN idx_scan > 0 THEN idx_tup_read END FROM pg_stat_user_indexes
                 WHERE indexrelname = 'job_metadata_list'",
            )
            .await;
        read
    })
    .await;
    assert!(read < 5000, "{read}");
    app.finish().await;
}
