//! How far a batch is, and the walk through its jobs.

use gladia_gateway::domain::access::Scope;
use serde_json::json;

use crate::{
    batches::{batch, batch_of, ids, wait_until_finished},
    support::{
        TestApp,
        rows::{failure, success},
    },
};

#[tokio::test(flavor = "multi_thread")]
async fn the_counts_follow_the_jobs() {
    let app = TestApp::builder().set("MAX_IN_FLIGHT", 5).start().await;
    let names = [
        "endless-0.mp3",
        "endless-1.mp3",
        "endless-2.mp3",
        "endless-3.mp3",
        "endless-4.mp3",
        "endless-5.mp3",
    ];
    let body = batch_of(names.map(str::to_owned));
    let created = app.acme.post("/v1/batches", &body).await.expect(202);
    let ids = ids(&created);
    for id in &ids[..5] {
        app.acme.wait_until(id, "processing").await;
    }
    let counts =
        json!({ "queued": 1, "processing": 5, "done": 0, "error": 0, "canceled": 0, "deleted": 0 });
    let now = batch(&app.acme, &created).await;
    assert_eq!(
        (&now["counts"], &now["is_finished"]),
        (&counts, &json!(false))
    );

    app.acme.cancel(&ids[5]).await.expect(200);
    app.acme.cancel(&ids[4]).await.expect(200);
    assert_eq!(app.acme.delete(&ids[3]).await.status, 204);
    for (id, fails) in [(&ids[0], false), (&ids[1], true)] {
        let attempt = app.attempt(id).await;
        let gladia_id = attempt.gladia_id.unwrap();
        let body = if fails {
            failure(&gladia_id, 422, "The audio holds nothing that can be heard")
        } else {
            success(&gladia_id, "words")
        };
        assert_eq!(app.call_back(attempt.id, body).await.status, 200);
    }
    let now = batch(&app.acme, &created).await;
    let counts =
        json!({ "queued": 0, "processing": 1, "done": 1, "error": 1, "canceled": 2, "deleted": 1 });
    assert_eq!(
        (&now["counts"], &now["is_finished"]),
        (&counts, &json!(false))
    );

    // An erased job that had a result counts as deleted as well, and the batch is finished once nothing is under way.
    assert_eq!(app.acme.delete(&ids[0]).await.status, 204);
    app.acme.cancel(&ids[2]).await.expect(200);
    let now = batch(&app.acme, &created).await;
    let counts =
        json!({ "queued": 0, "processing": 0, "done": 0, "error": 1, "canceled": 3, "deleted": 2 });
    assert_eq!(
        (&now["counts"], &now["is_finished"]),
        (&counts, &json!(true))
    );
    assert_eq!(now["accepted"], 6);
    let shown: Vec<_> = now["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["id"].as_str().unwrap())
        .collect();
    assert_eq!(shown, [&ids[1], &ids[2], &ids[4], &ids[5]]);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_walks_the_jobs_in_the_order_of_the_requests() {
    let app = TestApp::start().await;
    app.pause_dispatch().await;
    let body = batch_of((0..23).map(|number| format!("{number}.mp3")));
    let created = app.acme.post("/v1/batches", &body).await.expect(202);
    let other = app.acme.post("/v1/batches", &body).await.expect(202);
    let made = ids(&created);
    let address = format!("/v1/batches/{}", created["id"].as_str().unwrap());
    let mut walked: Vec<String> = Vec::new();
    let mut cursor = None;
    for page in 0.. {
        let path = match &cursor {
            None => format!("{address}?limit=6"),
            Some(cursor) => format!("{address}?limit=6&cursor={cursor}"),
        };
        let shown = app.acme.get(&path).await.expect(200);
        assert_eq!(shown["counts"]["queued"], 23 - i64::from(page > 0));
        let items = shown["items"].as_array().unwrap();
        walked.extend(
            items
                .iter()
                .map(|item| item["id"].as_str().unwrap().to_owned()),
        );
        if page == 0 {
            // The walk goes on after a job that is gone.
            assert_eq!(app.acme.delete(&made[5]).await.status, 204);
        }
        match shown["next_cursor"].as_str() {
            Some(next) => cursor = Some(next.to_owned()),
            None => break,
        }
    }
    assert_eq!(walked, made);
    let elsewhere = format!(
        "/v1/batches/{}?cursor={}",
        other["id"].as_str().unwrap(),
        cursor.unwrap()
    );
    for path in [
        elsewhere,
        format!("{address}?cursor=x"),
        format!("{address}?limit=101"),
        format!("{address}?status=done"),
    ] {
        app.acme.get(&path).await.problem(400, "invalid-parameter");
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_else_finds_a_batch_and_a_reader_makes_none() {
    let app = TestApp::start().await;
    let body = batch_of(["a.mp3".to_owned()]);
    let created = app.acme.post("/v1/batches", &body).await.expect(202);
    let address = format!("/v1/batches/{}", created["id"].as_str().unwrap());
    app.globex.get(&address).await.problem(404, "not-found");
    let nobodys = app.acme.get("/v1/batches/7").await;
    nobodys.problem(404, "not-found");
    let reader = app.caller("acme", Scope::Read).await;
    reader.get(&address).await.expect(200);
    reader
        .post("/v1/batches", &body)
        .await
        .problem(403, "forbidden");
    assert_eq!(app.rows("batches").await, 1);
    wait_until_finished(&app.acme, &created).await;
    app.finish().await;
}
