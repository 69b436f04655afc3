//! The list as programs see it that were written for Gladia.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::support::{
    TestApp,
    lists::{ids, start_with},
    v2::{assert_same_shape, fixture},
};

const PAGE: &str = include_str!("../fixtures/gladia/list-response.json");

/// Which of these jobs a list shows, by their places.
async fn shown(app: &TestApp, made: &[String], query: &str) -> Vec<usize> {
    let page = app.acme.v2_list(query).await;
    let place = |id: &String| made.iter().position(|one| one == id).unwrap();
    ids(&page).iter().map(place).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_has_the_jobs_with_their_results_the_newest_first() {
    let app = TestApp::builder()
        .set("API_URL", "https://gateway.example/base/")
        .start()
        .await;
    let done = start_with(&app, json!({ "tenant": "acme", "order": "A-1009" })).await;
    app.acme.wait_until_done(&done).await;
    let failed = app.acme.start("failing.mp3").await;
    app.acme.wait_until(&failed, "error").await;
    let page = app.acme.v2_list("?status=done&status=error&limit=2").await;
    let link =
        "https://gateway.example/base/v2/pre-recorded?status=done&status=error&offset=0&limit=2";
    assert_eq!(page["first"], link);
    assert_eq!(page["current"], link);
    assert_eq!(page["next"], Value::Null);
    assert_eq!(ids(&page), [failed.clone(), done.clone()]);
    assert_eq!(page["items"][0], app.acme.v2_job(&failed).await);
    assert_eq!(page["items"][1], app.acme.v2_job(&done).await);
    let expected = fixture(PAGE);
    assert_same_shape(&page["items"][0], &expected["items"][0], "failed");
    // The one differs in what was asked for, which others test.
    let mut one = page["items"][1].clone();
    let mut other = expected["items"][1].clone();
    for field in ["request_params", "result", "file"] {
        assert!(one[field].is_object(), "{field}");
        (one[field], other[field]) = (Value::Null, Value::Null);
    }
    assert_same_shape(&one, &other, "done");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_follows_the_links_sees_every_job_once() {
    let app = TestApp::start().await;
    app.pause_dispatch().await;
    let mut made = Vec::new();
    for _ in 0..45 {
        made.push(start_with(&app, json!({ "team": "sales", "nested": { "a": 1 } })).await);
    }
    made.reverse();
    for (query, limit) in [
        (String::new(), 20),
        ("?limit=7&status=queued,processing".to_owned(), 7),
        ("?limit=21&custom_metadata[team]=sales".to_owned(), 21),
        ("?limit=9&custom_metadata[nested][a]=1".to_owned(), 9),
        ("?limit=45".to_owned(), 45),
        ("?limit=1000".to_owned(), 45),
    ] {
        let mut seen = Vec::new();
        let mut next = format!("{}/v2/transcription{query}", app.acme.base);
        let mut pages = 0;
        loop {
            let path = next
                .strip_prefix(&app.acme.base)
                .expect("links lead back here");
            let page = app.acme.v2_get(path).await.expect(200);
            seen.extend(ids(&page));
            pages += 1;
            let Some(link) = page["next"].as_str() else {
                break;
            };
            next = link.to_owned();
        }
        assert_eq!(seen, made, "{query}");
        assert_eq!(pages, made.len().div_ceil(limit), "{query}");
    }
    let beyond = app.acme.v2_list("?offset=45").await;
    assert_eq!(
        (&beyond["items"], &beyond["next"]),
        (&json!([]), &Value::Null)
    );
    let beyond = app
        .acme
        .v2_list("?offset=99999999999999999999&status=done")
        .await;
    assert_eq!(beyond["items"], json!([]));
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_are_found_by_their_metadata_in_both_spellings() {
    let app = TestApp::start().await;
    app.pause_dispatch().await;
    let made = [
        start_with(
            &app,
            json!({ "user": "John Doe", "order": 7, "word": "True" }),
        )
        .await,
        start_with(
            &app,
            json!({ "user": "John Doe", "order": "7", "x": { "y": "z", "n": 1 } }),
        )
        .await,
        start_with(
            &app,
            json!({ "user": "Jane Doe", "urgent": true, "tags": ["a", "b"] }),
        )
        .await,
        app.acme.start("a.mp3").await,
    ];
    for (query, expected) in [
        ("?custom_metadata[user]=John+Doe", vec![1, 0]),
        ("?custom_metadata%5Buser%5D=John%20Doe", vec![1, 0]),
        (r#"?custom_metadata={"user":"John Doe"}"#, vec![1, 0]),
        (
            r#"?custom_metadata={"user": "John Doe", "order": 7}"#,
            vec![1, 0],
        ),
        (r#"?custom_metadata={"order":"7"}"#, vec![1, 0]),
        (
            "?custom_metadata[order]=7&custom_metadata[user]=Jane+Doe",
            vec![],
        ),
        (r#"?custom_metadata={"urgent":true}"#, vec![2]),
        ("?custom_metadata[urgent]=true&status=queued", vec![2]),
        // What the Python SDK makes of a boolean is a text.
        ("?custom_metadata[urgent]=True", vec![]),
        ("?custom_metadata[word]=True&limit=1", vec![0]),
        (r#"?custom_metadata={"x":{"y":"z"}}"#, vec![1]),
        (
            r#"?custom_metadata={"x":{"n":"1"},"user":"John Doe"}"#,
            vec![1],
        ),
        ("?custom_metadata[x][y]=z", vec![1]),
        (r#"?custom_metadata={"x":{"y":"a"}}"#, vec![]),
        (r#"?custom_metadata={"tags":["a","b"]}"#, vec![2]),
        // What the SDKs make of nested values, which matches nothing there either.
        ("?custom_metadata[x]=[object+Object]", vec![]),
        ("?custom_metadata[x]={'y':+'z'}", vec![]),
        ("?custom_metadata={}", vec![3, 2, 1, 0]),
        ("?custom_metadata[%00]=a", vec![]),
    ] {
        assert_eq!(shown(&app, &made, query).await, expected, "{query}");
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_are_found_by_when_they_came_and_by_where_they_are() {
    let app = TestApp::start().await;
    let done = app.acme.start("a.mp3").await;
    app.acme.wait_until_done(&done).await;
    let failed = app.acme.start("failing.mp3").await;
    app.acme.wait_until(&failed, "error").await;
    let processing = app.acme.start("endless.mp3").await;
    app.acme.wait_until(&processing, "processing").await;
    app.pause_dispatch().await;
    let canceled = app.acme.start("b.mp3").await;
    app.acme.cancel(&canceled).await.expect(200);
    let queued = app.acme.start("c.mp3").await;
    let made = [done, failed, processing, canceled, queued];
    for (place, id) in made.iter().enumerate() {
        app.execute(&format!(
            "UPDATE jobs SET created_at = '2026-03-0{}T12:00:00Z' WHERE id = '{id}'",
            place + 1
        ))
        .await;
    }
    for (query, expected) in [
        ("?status=done", vec![0]),
        ("?status=error", vec![3, 1]),
        ("?status=error,done", vec![3, 1, 0]),
        ("?status[]=queued&status[]=processing", vec![4, 2]),
        ("?status[0]=queued&status%5B1%5D=processing", vec![4, 2]),
        ("?date=2026-03-02", vec![1]),
        ("?date=2026-03-02T23:00:00Z", vec![1]),
        ("?after_date=2026-03-03T12:00:00Z", vec![4, 3, 2]),
        ("?after_date=2026-03-03T12:00:00.001Z", vec![4, 3]),
        ("?before_date=2026-03-03T12:00:00Z", vec![1, 0]),
        ("?after_date=2026-03-02&before_date=2026-03-04", vec![2, 1]),
        (
            "?after_date=2026-03-02T13:00:00%2B01:00&before_date=2026-03-03",
            vec![1],
        ),
        (
            "?after_date=2026-03-02T13:00:00+01:00&before_date=2026-03-03",
            vec![1],
        ),
        ("?after_date=2026-03-03T12:00Z", vec![4, 3, 2]),
        ("?after_date=2026-03-03T12:01", vec![4, 3]),
        ("?after_date=2026-03-03T14:00:00%2B0200", vec![4, 3, 2]),
        ("?status=error&after_date=2026-03-03", vec![3]),
        ("?unheard=of", vec![4, 3, 2, 1, 0]),
    ] {
        assert_eq!(shown(&app, &made, query).await, expected, "{query}");
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_that_breaks_rules_is_refused_in_gladias_words() {
    let app = TestApp::start().await;
    for (query, rule) in [
        ("offset=-1", "offset must not be less than 0"),
        ("limit=0", "limit must not be less than 1"),
        ("limit=1001", "limit must not be greater than 1000"),
        ("limit=ten", "limit must be an integer number"),
        ("date=today", "date must be a valid ISO 8601 date string"),
        (
            "status=canceled",
            "each value in status must be one of the following values: queued, processing, done, error",
        ),
        ("custom_metadata=7", "custom_metadata must be an object"),
    ] {
        let answer = app.acme.v2_get(&format!("/v2/pre-recorded?{query}")).await;
        let message = "Invalid parameter(s). See validation_errors for more details.";
        let body = answer.gladia_error(400, message);
        assert_eq!(body["validation_errors"], json!([rule]));
        assert_eq!(body["path"], "/v2/pre-recorded");
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_cannot_be_read_to_its_end_breaks_off() {
    let app = TestApp::start().await;
    let mut made = BTreeSet::new();
    for _ in 0..3 {
        let id = app.acme.start("spoken.mp3").await;
        app.acme.wait_until_done(&id).await;
        made.insert(id);
    }
    let page = app.acme.v2_list("").await;
    assert_eq!(ids(&page).into_iter().collect::<BTreeSet<_>>(), made);
    let oldest = made.first().unwrap();
    app.execute(&format!(
        "UPDATE callbacks SET body = 'x' WHERE attempt_id IN (SELECT id FROM attempts WHERE job_id = '{oldest}')"
    ))
    .await;
    let request = app.acme.v2(reqwest::Method::GET, "/v2/pre-recorded");
    // How much of it has come by then, and whether its head has, is a matter of the moment.
    let page = async {
        let response = request.send().await?;
        assert_eq!(response.status(), 200);
        response.bytes().await
    };
    page.await
        .expect_err("half a page must not pass for a whole one");
    app.finish().await;
}
