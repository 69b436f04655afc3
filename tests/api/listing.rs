//! The list of a tenant's jobs.

use std::collections::HashSet;

use serde_json::Value;

use crate::support::TestApp;

fn ids(page: &Value) -> Vec<String> {
    page["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|job| job["id"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_newest_come_first_and_a_cursor_walks_them_all_while_new_ones_come() {
    let app = TestApp::start().await;
    app.pause_dispatch().await;
    let mut made = Vec::new();
    for number in 0..12 {
        made.push(app.acme.start(&format!("{number}.mp3")).await);
    }
    // Several of the same instant must not be lost between two pages.
    app.execute("UPDATE jobs SET created_at = (SELECT min(created_at) FROM jobs) WHERE id IN (SELECT id FROM jobs ORDER BY id LIMIT 7)")
        .await;
    let mut walked = Vec::new();
    let mut path = "/v1/transcriptions?limit=5".to_owned();
    loop {
        let page = app.acme.get(&path).await.expect(200);
        walked.extend(ids(&page));
        app.acme.start("new.mp3").await;
        match page["next_cursor"].as_str() {
            Some(cursor) => path = format!("/v1/transcriptions?limit=5&cursor={cursor}"),
            None => break,
        }
    }
    assert_eq!(walked.len(), 12);
    assert_eq!(
        walked.iter().collect::<HashSet<_>>(),
        made.iter().collect::<HashSet<_>>()
    );
    let newest: Vec<_> = made[7..].iter().rev().cloned().collect();
    assert_eq!(walked[..5], newest);
    app.stop().await;
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
    let fault =
        serde_json::json!({ "operation": "create", "kind": "status", "status": 500, "times": 1 });
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
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_holds_no_results() {
    let app = TestApp::start().await;
    let id = app.acme.start("spoken.mp3").await;
    let mut job = app.acme.wait_until_done(&id).await;
    let list = app.acme.get("/v1/transcriptions").await;
    assert!(!list.text().contains("harbour"), "{}", list.text());
    // Otherwise it shows what the job itself does.
    job.as_object_mut().unwrap().remove("result").unwrap();
    assert_eq!(list.expect(200)["items"][0], job);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_list_is_a_page() {
    let app = TestApp::start().await;
    let page = app.acme.get("/v1/transcriptions").await.expect(200);
    assert_eq!(
        page,
        serde_json::json!({ "items": [], "next_cursor": null })
    );
    app.finish().await;
}
