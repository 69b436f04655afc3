//! Pages of Gladia's list that are short although more follows: none of them is the last.

use serde_json::{Value, json};

use crate::support::{
    TestApp,
    builder::Builder,
    look_ups::{FILTER_REFUSED, start_unknown_without_list},
    rows::success,
};

/// Gateways whose unknown attempts are looked for within seconds.
fn builder() -> Builder {
    TestApp::builder()
        .set("SETTLING_SECONDS", 1)
        .set("SEND_WINDOW_SECONDS", 1)
}

/// An answer that shows nothing and says that there is more, to questions with this text.
fn withheld(pattern: &str) -> Value {
    json!({ "operation": "list", "kind": "status", "status": 200, "match": pattern,
        "body": r#"{"first":"","current":"","next":"https://api.example/v2/pre-recorded?offset=3","items":[]}"#,
        "headers": { "content-type": "application/json" } })
}

/// Starts a job that Gladia has, and behind which it lists ten newer ones, witnesses all. Then it answers no question with the
/// metadata filter, and its list is cut as these faults say.
async fn start_behind_ten_others(app: &TestApp, faults: &[Value]) -> String {
    let (id, _) = start_unknown_without_list(app).await;
    for number in 0..10 {
        let newer = app.acme.start(&format!("newer-{number}.mp3")).await;
        app.acme.wait_until_done(&newer).await;
    }
    let filter_refused = json!({ "operation": "list", "kind": "status", "status": 400, "match": "custom_metadata",
        "body": FILTER_REFUSED, "headers": { "content-type": "application/json" } });
    let faults: Vec<&Value> = [&filter_refused].into_iter().chain(faults).collect();
    app.upstream.fault(&json!(faults)).await;
    app.execute("UPDATE attempts SET next_look_at = gateway_now() WHERE state = 'unknown'")
        .await;
    id
}

async fn wait_until_found(app: &TestApp, id: &str) {
    app.acme.wait_until(id, "processing").await;
    assert_eq!(app.attempts(id).await.len(), 1, "it was sent again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_short_page_is_not_the_last_where_another_one_follows() {
    let app = builder().start().await;
    let short = json!({ "operation": "list", "kind": "short_page", "job": "newer-3.mp3" });
    let id = start_behind_ten_others(&app, &[short]).await;
    wait_until_found(&app, &id).await;
    app.end(&id).await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_that_no_page_shows_do_not_end_a_walk_wherever_they_stand() {
    let app = builder().start().await;
    // The newest alone shows, and behind it a whole page is empty.
    let hidden = (0..9).map(|number| {
        let job = format!("newer-{number}.mp3");
        json!({ "operation": "list", "kind": "short_page", "job": job })
    });
    let id = start_behind_ten_others(&app, &hidden.collect::<Vec<_>>()).await;
    wait_until_found(&app, &id).await;

    // Nothing of the first page shows.
    let all = json!({ "operation": "list", "kind": "short_page", "job": "newer-" });
    let other = start_behind_ten_others(&app, &[all]).await;
    wait_until_found(&app, &other).await;
    for id in [&id, &other] {
        app.end(id).await;
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_says_for_ever_that_there_is_more_proves_nothing() {
    let app = builder().start().await;
    let id = start_behind_ten_others(&app, &[withheld("after_date")]).await;
    let unknown = app.wait_for_attempt(&id, "unknown").await;
    app.wait_for_unknown_reason(unknown.id, "list_unavailable")
        .await;
    app.wait_for_another_look_up(unknown.id).await;
    assert_eq!(app.absences(&id).await, 0);
    assert_eq!(app.attempts(&id).await.len(), 1, "it was sent again");
    app.call_back(unknown.id, success("late", "after all"))
        .await;
    app.acme.wait_until_done(&id).await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_another_page_follows_makes_nobody_absent() {
    let app = builder().start().await;
    let (id, unknown) = start_unknown_without_list(&app).await;
    // Its witness is shown to whoever asks for that.
    let fault = withheld(&unknown.id.to_string());
    app.upstream.fault(&fault).await;
    let witness = app.acme.start("endless-2.mp3").await;
    wait_until_found(&app, &id).await;
    for id in [&id, &witness] {
        app.end(id).await;
    }
    app.finish().await;
}
