//! The list of a tenant's jobs.

use std::collections::HashSet;

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{
    Answer, TestApp,
    lists::{ids, list, start_with},
};

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
    assert_eq!(page, json!({ "items": [], "next_cursor": null }));
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_walk_shows_no_job_twice_while_jobs_move() {
    let app = TestApp::start().await;
    app.pause_dispatch().await;
    let mut made = Vec::new();
    for _ in 0..6 {
        made.push(app.acme.start("a.mp3").await);
    }
    let first = list(&app, "status=queued&limit=2").await.expect(200);
    assert_eq!(ids(&first), [made[5].clone(), made[4].clone()]);
    // One that was shown leaves, one that was not leaves, and a new one comes.
    for id in [&made[5], &made[2]] {
        app.acme.cancel(id).await.expect(200);
    }
    app.acme.start("new.mp3").await;
    let cursor = first["next_cursor"].as_str().unwrap();
    let rest = list(&app, &format!("status=queued&cursor={cursor}")).await;
    assert_eq!(
        ids(&rest.expect(200)),
        [made[3].clone(), made[1].clone(), made[0].clone()]
    );
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_goes_on_in_its_own_list_alone() {
    let app = TestApp::start().await;
    app.pause_dispatch().await;
    for _ in 0..2 {
        start_with(&app, json!({ "team": "sales" })).await;
    }
    let filters = "status=queued&metadata[team]=sales";
    let page = list(&app, &format!("{filters}&limit=1")).await.expect(200);
    let cursor = page["next_cursor"].as_str().unwrap();
    for other in [
        "",
        "status=queued",
        "status=queued&metadata[team]=Sales",
        "status=queued&status=done&metadata[team]=sales",
        "status=queued&metadata[team]=sales&created_after=2026-01-01T00:00:00Z",
    ] {
        let answer = list(&app, &format!("{other}&cursor={cursor}")).await;
        let problem = answer.problem(400, "invalid-parameter");
        assert_eq!(problem["errors"][0]["parameter"], "cursor");
        let rule = problem["errors"][0]["rule"].as_str().unwrap();
        assert!(rule.contains("other filters"), "{rule}");
    }
    // The number on a page is no filter.
    let rest = list(&app, &format!("{filters}&limit=7&cursor={cursor}")).await;
    assert_eq!(ids(&rest.expect(200)).len(), 1);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_that_is_wrong_with_a_query_is_told_at_once() {
    let app = TestApp::start().await;
    let query = "limit=0&status=running&status=done&error_type=none&batch_id=x&created_after=now&metadata[]=x&page=2\
                 &cursor=nonsense&limit=5&limit=6";
    let problem = list(&app, query).await.problem(400, "invalid-parameter");
    let errors = problem["errors"].as_array().unwrap();
    let parameters: Vec<&str> = errors
        .iter()
        .map(|error| error["parameter"].as_str().unwrap())
        .collect();
    assert_eq!(
        parameters,
        [
            "limit",
            "status",
            "error_type",
            "batch_id",
            "created_after",
            "metadata[]",
            "page",
            "cursor",
            "limit"
        ]
    );
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains('9'), "{detail}");
    // Without an end there is an end.
    let many = "nonsense=1&".repeat(3000);
    let problem = list(&app, &many).await.problem(400, "invalid-parameter");
    assert_eq!(problem["errors"].as_array().unwrap().len(), 50);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_ends_early_where_what_was_asked_for_is_large() {
    let app = TestApp::start().await;
    app.pause_dispatch().await;
    let much = "m".repeat(900_000);
    let requests: Vec<Value> = (0..6)
        .map(|nth| {
            json!({
                "audio_url": format!("https://audio.example/{nth}.mp3"), "custom_metadata": { "team": "sales" },
                "extra_options": { "of_tomorrow": much, "nth": nth },
            })
        })
        .collect();
    let requests = json!({ "requests": requests });
    let batch = app.acme.post("/v1/batches", &requests).await.expect(202);
    let id = batch["id"].as_str().unwrap();
    for (path, is_newest_first) in [
        ("/v1/transcriptions?limit=50".to_owned(), true),
        ("/v1/transcriptions?limit=50&status=queued".to_owned(), true),
        (
            "/v1/transcriptions?limit=50&metadata=team:sales".to_owned(),
            true,
        ),
        (format!("/v1/transcriptions?limit=50&batch_id={id}"), true),
        (format!("/v1/batches/{id}?limit=50"), false),
    ] {
        let (mut pages, mut seen, mut cursor) = (Vec::new(), Vec::new(), String::new());
        loop {
            let page = app.acme.get(&format!("{path}{cursor}")).await.expect(200);
            let items = page["items"].as_array().unwrap();
            pages.push(items.len());
            for item in items {
                assert_eq!(
                    item["options"]["custom_metadata"]["team"], "sales",
                    "{path}"
                );
                assert_eq!(item["extra_options"]["of_tomorrow"], much, "{path}");
                seen.push(item["extra_options"]["nth"].as_i64().unwrap());
            }
            let Some(next) = page["next_cursor"].as_str() else {
                break;
            };
            cursor = format!("&cursor={next}");
        }
        if is_newest_first {
            seen.reverse();
        }
        assert_eq!(
            (pages, seen),
            (vec![5, 1], vec![0, 1, 2, 3, 4, 5]),
            "{path}"
        );
    }
    let in_gladias_shape = app.acme.v2(Method::GET, "/v2/pre-recorded?limit=50");
    let page = Answer::to(in_gladias_shape).await.expect(200);
    assert_eq!(page["items"].as_array().unwrap().len(), 6);
    app.stop().await;
}
