//! `GET /v1/events`: every change that others see, once, in one order, on whichever replica it is asked for.

use std::time::{Duration, Instant};

use gladia_gateway::domain::access::Scope;
use serde_json::json;

use crate::support::{
    TestApp,
    events::{all_after, all_told, changes_of, number, page, types_of},
    waiting::{look_in_place, until_somebody_waits},
};

#[tokio::test(flavor = "multi_thread")]
async fn every_replica_tells_the_same_events_in_the_same_order() {
    let app = TestApp::builder().replicas(2).start().await;
    let other = app.acme.at(&app.replicas[1].base);
    let mut ids = Vec::new();
    for number in 0..4 {
        let caller = if number % 2 == 0 { &app.acme } else { &other };
        ids.push(caller.start(&format!("{number}.mp3")).await);
    }
    for id in &ids {
        app.acme.wait_until_done(id).await;
    }
    let events = all_told(&app).await;
    assert_eq!(all_after(&other, "evt_0").await, events);
    assert!(
        events.is_sorted_by(|a, b| number(a) < number(b)),
        "{events:#?}"
    );
    for id in &ids {
        let types = types_of(&events, id);
        assert_eq!(types, changes_of(&app, id).await);
        assert_eq!((types[0], types[types.len() - 1]), ("queued", "done"));
    }
    // Byte for byte, and wherever a reader begins.
    let whole = app.acme.get("/v1/events").await;
    assert_eq!(other.get("/v1/events?limit=500").await.text(), whole.text());
    let middle = events[4]["id"].as_str().unwrap();
    assert_eq!(all_after(&other, middle).await, events[5..]);
    let done = events
        .iter()
        .find(|event| event["type"] == "transcription.done")
        .unwrap();
    let id = done["data"]["transcription_id"].as_str().unwrap();
    assert_eq!(
        done["data"],
        json!({
            "transcription_id": id, "status": "done", "status_reason": null, "error": null, "batch_id": null,
            "links": {
                "transcription": format!("/v1/transcriptions/{id}"),
                "result": format!("/v1/transcriptions/{id}/result"),
            },
        })
    );
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_change_that_others_see_is_told_once_and_no_other() {
    let app = TestApp::start().await;
    let failing = app.acme.start("failing.mp3").await;
    app.acme.wait_until(&failing, "error").await;
    app.acme.retry_at_any_cost(&failing).await.expect(202);
    app.acme.wait_until(&failing, "error").await;
    let canceled = app.acme.start("endless.mp3").await;
    app.acme.wait_until(&canceled, "processing").await;
    app.acme.cancel(&canceled).await.expect(200);
    app.acme.delete(&canceled).await.expect(204);
    let events = all_told(&app).await;
    let types = types_of(&events, &failing);
    assert_eq!(types, changes_of(&app, &failing).await);
    // Those in between may be passed over where a callback is quick.
    let told = |kind: &str| types.iter().filter(|told| **told == kind).count();
    assert_eq!((told("queued"), told("error")), (2, 2), "{types:?}");
    let private = app.events(&failing).await;
    assert!(private.contains(&"submitting".to_owned()), "{private:?}");
    let error = events
        .iter()
        .find(|event| event["type"] == "transcription.error")
        .unwrap();
    assert_eq!(error["data"]["status"], "error");
    assert_eq!(
        error["data"]["error"],
        json!({ "type": "transcription_failed", "code": 422 })
    );
    assert_eq!(
        types_of(&events, &canceled),
        ["queued", "processing", "canceled", "deleted"]
    );
    let only = page(
        &app.acme,
        "types=transcription.canceled,transcription.deleted&types=transcription.error",
    )
    .await;
    let only = only["events"].as_array().unwrap();
    assert_eq!(only.len(), 4, "{only:#?}");
    // The simulator goes on with what nobody wants any more.
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_is_committed_late_is_not_missed() {
    let app = TestApp::builder().replicas(2).start().await;
    let id = app.acme.start("a.mp3").await;
    app.acme.wait_until_done(&id).await;
    let before = all_told(&app).await;
    let last = before.last().unwrap()["id"].as_str().unwrap().to_owned();

    // It has its place in the database before the others, and is seen after them.
    let mut late = app.pool.begin().await.unwrap();
    sqlx::query(
        "INSERT INTO events (tenant_id, job_id, type) SELECT tenant_id, id, 'transcription.deleted' FROM jobs WHERE id = $1::uuid",
    )
    .bind(&id)
    .execute(&mut *late)
    .await
    .unwrap();
    let other = app.acme.start("b.mp3").await;
    app.acme.wait_until_done(&other).await;
    all_told(&app).await;
    let seen = all_after(&app.acme, &last).await;
    assert_eq!(types_of(&seen, &other), changes_of(&app, &other).await);
    assert_eq!(types_of(&seen, &id).len(), 0);
    let latest = seen.last().unwrap()["id"].as_str().unwrap();
    let waiting = tokio::spawn({
        let (caller, after) = (app.acme.at(&app.replicas[1].base), latest.to_owned());
        async move { page(&caller, &format!("after={after}&wait=15")).await }
    });
    late.commit().await.unwrap();
    let news = waiting.await.unwrap();
    let events = news["events"].as_array().unwrap();
    assert_eq!(types_of(events, &id), ["deleted"], "{news}");
    assert!(number(&events[0]) > number(seen.last().unwrap()));
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_sees_its_own_events_and_a_key_that_may_read_is_enough() {
    let app = TestApp::start().await;
    let id = app.acme.start("a.mp3").await;
    app.acme.wait_until_done(&id).await;
    all_told(&app).await;
    let nothing = page(&app.globex, "").await;
    assert_eq!(nothing["events"], json!([]));
    assert_eq!(nothing["has_more"], false);
    // It is a place to go on from all the same.
    let waiting = app.globex.clone();
    let after = nothing["next_after"].as_str().unwrap().to_owned();
    let waiting =
        tokio::spawn(async move { page(&waiting, &format!("after={after}&wait=15")).await });
    let more = app.acme.start("b.mp3").await;
    app.acme.wait_until_done(&more).await;
    let theirs = app.globex.start("c.mp3").await;
    let news = waiting.await.unwrap();
    for event in news["events"].as_array().unwrap() {
        assert_eq!(event["data"]["transcription_id"], theirs);
    }
    app.globex.wait_until_done(&theirs).await;

    let reader = app.caller("acme", Scope::Read).await;
    assert_eq!(all_after(&reader, "evt_0").await, all_told(&app).await);
    let nobody = app.acme.with_key(None);
    nobody.get("/v1/events").await.problem(401, "unauthorized");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_waits_hears_at_once_what_happens_at_another_replica() {
    const ROUNDS: u32 = 12;
    let app = TestApp::builder().replicas(2).start().await;
    app.pause_dispatch().await;
    let other = app.acme.at(&app.replicas[1].base);
    let mut after = "latest".to_owned();
    let mut in_all = Duration::ZERO;
    let mut ids = Vec::new();
    for _ in 0..ROUNDS {
        // Its own look at what is there comes before the news.
        let start = page(&other, &format!("after={after}")).await;
        after = start["next_after"].as_str().unwrap().to_owned();
        let waiting = tokio::spawn({
            let (other, query) = (other.clone(), format!("after={after}&wait=15"));
            async move { page(&other, &query).await }
        });
        let started = Instant::now();
        let id = app.acme.start("a.mp3").await;
        let news = waiting.await.unwrap();
        in_all += started.elapsed();
        assert_eq!(
            types_of(news["events"].as_array().unwrap(), &id),
            ["queued"],
            "{news}"
        );
        after = news["next_after"].as_str().unwrap().to_owned();
        ids.push(id);
    }
    // Who only looks once a second waits half of one each time.
    assert!(in_all < Duration::from_millis(250) * ROUNDS, "{in_all:?}");
    app.resume_dispatch().await;
    for id in &ids {
        app.acme.wait_until_done(id).await;
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_for_some_types_is_not_woken_by_others() {
    let app = TestApp::start().await;
    let waiting = tokio::spawn({
        let caller = app.acme.clone();
        async move { page(&caller, "after=latest&types=transcription.done&wait=15").await }
    });
    let first = app.acme.start("endless.mp3").await;
    app.acme.wait_until(&first, "processing").await;
    let second = app.acme.start("a.mp3").await;
    let news = waiting.await.unwrap();
    let events = news["events"].as_array().unwrap();
    assert_eq!(types_of(events, &second), ["done"], "{news}");
    assert_eq!(events.len(), 1);
    // In the end there is an empty page, and what was passed over is not looked at again.
    let after = news["next_after"].as_str().unwrap().to_owned();
    app.acme.cancel(&first).await.expect(200);
    all_told(&app).await;
    let started = Instant::now();
    let nothing = page(
        &app.acme,
        &format!("after={after}&types=transcription.done&wait=1"),
    )
    .await;
    assert!(started.elapsed() >= Duration::from_secs(1));
    assert_eq!(
        (&nothing["events"], &nothing["has_more"]),
        (&json!([]), &json!(false))
    );
    let next = nothing["next_after"].as_str().unwrap();
    assert_ne!(next, after);
    assert_eq!(
        page(&app.acme, &format!("after={next}")).await["events"],
        json!([])
    );
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_rare_is_found_behind_very_many_others() {
    let app = TestApp::start().await;
    let id = app.acme.start("a.mp3").await;
    app.acme.wait_until_done(&id).await;
    all_told(&app).await;
    app.execute(&format!(
        "WITH made AS (
             INSERT INTO events (tenant_id, job_id, type, number, data)
             SELECT j.tenant_id, j.id,
                    CASE WHEN n = 25000 THEN 'transcription.canceled' ELSE 'transcription.processing' END, 100 + n, '{{}}'
             FROM jobs j, generate_series(1, 25000) n WHERE j.id = '{id}'
             RETURNING number
         )
         UPDATE event_sequence SET last_number = (SELECT max(number) FROM made)"
    ))
    .await;
    let found = page(&app.acme, "types=transcription.canceled").await;
    let ids: Vec<i64> = found["events"]
        .as_array()
        .unwrap()
        .iter()
        .map(number)
        .collect();
    assert_eq!(ids, [25100]);
    assert_eq!(found["has_more"], false);
    let most = page(&app.acme, "types=transcription.processing&limit=500").await;
    assert_eq!(most["events"].as_array().unwrap().len(), 500);
    assert_eq!(most["has_more"], true);
    assert_eq!(most["next_after"], most["events"][499]["id"]);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn parameters_that_break_rules_are_named_all_at_once() {
    let app = TestApp::start().await;
    let query = "after=42&types=transcription.done,done&limit=501&wait=61&order=desc&limit=1";
    let answer = app.acme.get(&format!("/v1/events?{query}")).await;
    let problem = answer.problem(400, "invalid-parameter");
    let errors = problem["errors"].as_array().unwrap();
    let rule = |index: usize| {
        let error = &errors[index];
        (
            error["parameter"].as_str().unwrap(),
            error["rule"].as_str().unwrap(),
        )
    };
    assert_eq!(
        rule(0),
        (
            "after",
            "must be the id of an event, such as evt_42, or latest"
        )
    );
    assert!(rule(1).1.contains("transcription.processing"), "{problem}");
    assert_eq!(rule(2), ("limit", "must be a whole number from 1 to 500"));
    assert_eq!(
        rule(3),
        ("wait", "must be a whole number of seconds from 0 to 60")
    );
    assert_eq!(
        rule(4),
        (
            "order",
            "is not known here: use after, types, limit and wait"
        )
    );
    for wrong in [
        "after=",
        "after=evt_",
        "after=evt_-1",
        "after=evt_01",
        "after=evt_99999999999999999999",
        "after=LATEST",
        "types=",
        "types=transcription.done,",
        "limit=0",
        "limit=a",
        "wait=-1",
        "wait=1.5",
        "wait=",
        "after=evt_0&after=evt_0",
        "wait=1&wait=2",
    ] {
        let answer = app.acme.get(&format!("/v1/events?{wrong}")).await;
        let problem = answer.problem(400, "invalid-parameter");
        assert_eq!(
            problem["errors"].as_array().map(Vec::len),
            Some(1),
            "{wrong}: {problem}"
        );
    }
    app.finish_with_nothing_kept().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_that_is_ahead_of_the_log_is_told_where_to_go_on() {
    let app = TestApp::start().await;
    let id = app.acme.start("a.mp3").await;
    app.acme.wait_until_done(&id).await;
    let events = all_told(&app).await;
    let last = events.last().unwrap();
    let ahead = format!("evt_{}", number(last) + 1);
    let answer = app
        .acme
        .get(&format!("/v1/events?after={ahead}&wait=15"))
        .await;
    let problem = answer.problem(410, "event-cursor-expired");
    assert_eq!(problem["oldest_after"], last["id"]);
    let at_the_end = page(
        &app.acme,
        &format!("after={}", last["id"].as_str().unwrap()),
    )
    .await;
    assert_eq!(
        at_the_end,
        json!({ "events": [], "next_after": last["id"], "has_more": false })
    );
    assert_eq!(page(&app.acme, "after=latest").await, at_the_end);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_the_process_ends_the_wait() {
    let app = TestApp::builder()
        .set("MAX_WAITING_REQUESTS", 1)
        .replicas(2)
        .start()
        .await;
    let other = app.acme.at(&app.replicas[1].base);
    let waiting = look_in_place(&other, "/v1/events?wait=15");
    until_somebody_waits(&other).await;
    let started = Instant::now();
    assert!(app.replicas[1].stop(Duration::from_secs(10)).await);
    assert!(started.elapsed() < Duration::from_secs(10));
    let nothing = waiting.await.unwrap().expect(200);
    assert_eq!(nothing["events"], json!([]));
    app.finish().await;
}
