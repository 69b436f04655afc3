//! Webhook endpoints as their tenants have them: made, shown, changed, and nobody else's.

use base64::{Engine, prelude::BASE64_STANDARD};
use gladia_gateway::domain::access::Scope;
use serde_json::{Value, json};

use crate::support::{Answer, TestApp, caller::Caller, endpoints::NOBODY, lists};

/// The pointers and rules of a problem with the body.
fn violations(problem: &Value) -> Vec<(&str, &str)> {
    let errors = problem["errors"].as_array().unwrap();
    errors
        .iter()
        .map(|error| {
            (
                error["pointer"].as_str().unwrap(),
                error["rule"].as_str().unwrap(),
            )
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_is_made_shown_and_deleted() {
    let app = TestApp::start().await;
    let body = json!({
        "url": "https://receiver.invalid/told?token=mine",
        "description": "Müller's, for billing",
        "event_types": ["transcription.error", "transcription.done", "transcription.done"],
        "include_result": true,
    });
    let answer = app.acme.create_endpoint(&body).await;
    let mut made = answer.expect(201);
    let id = made["id"].as_str().unwrap().to_owned();
    let path = format!("/v1/webhook-endpoints/{id}");
    assert_eq!(answer.header("location"), Some(path.as_str()));
    let secret = made.as_object_mut().unwrap().remove("secret").unwrap();
    let encoded = secret.as_str().unwrap().strip_prefix("whsec_").unwrap();
    assert_eq!(BASE64_STANDARD.decode(encoded).unwrap().len(), 32);

    let shown = app.acme.endpoint_now(&id).await;
    assert_eq!(shown, made);
    for (field, value) in [
        ("url", json!("https://receiver.invalid/told?token=mine")),
        ("description", json!("Müller's, for billing")),
        // Each once, in the order of a transcription's life.
        (
            "event_types",
            json!(["transcription.done", "transcription.error"]),
        ),
        ("include_result", json!(true)),
        ("status", json!("enabled")),
        ("disabled_reason", Value::Null),
        ("disabled_at", Value::Null),
        ("consecutive_failures", json!(0)),
        ("failing_since", Value::Null),
        ("retry_at", Value::Null),
        ("last_success_at", Value::Null),
        ("last_failure_at", Value::Null),
    ] {
        assert_eq!(shown[field], value, "{field}");
    }
    let list = app.acme.get("/v1/webhook-endpoints").await.expect(200);
    assert_eq!(list, json!({ "items": [shown], "next_cursor": null }));

    assert_eq!(app.acme.delete_endpoint(&id).await.status, 204);
    app.acme
        .delete_endpoint(&id)
        .await
        .problem(404, "not-found");
    app.acme.get(&path).await.problem(404, "not-found");
    for table in ["webhook_endpoints", "signing_secrets", "delivery_lanes"] {
        assert_eq!(app.rows(table).await, 0, "{table}");
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_of_which_only_the_url_is_given_is_sent_every_event_without_results() {
    let app = TestApp::start().await;
    let nulls =
        json!({ "url": NOBODY, "description": null, "event_types": null, "include_result": null });
    for body in [json!({ "url": NOBODY }), nulls] {
        let made = app.acme.create_endpoint(&body).await.expect(201);
        assert_eq!(made["description"], "");
        assert_eq!(made["event_types"], Value::Null);
        assert_eq!(made["include_result"], false);
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_that_is_wrong_with_a_body_is_told_at_once() {
    let app = TestApp::start().await;
    let (id, _) = app.acme.endpoint().await;
    let body = json!({
        "url": "ftp://receiver.invalid/",
        "description": 7,
        "event_types": ["transcription.done", "transcription.submitting", 3],
        "include_result": "yes",
        "secret": "mine",
        "a/b~c": 1,
    });
    let expected = [
        "/url",
        "/description",
        "/event_types/1",
        "/event_types/2",
        "/include_result",
        "/a~1b~0c",
        "/secret",
    ];
    for answer in [
        app.acme.create_endpoint(&body).await,
        app.acme.change_endpoint(&id, &body).await,
    ] {
        let problem = answer.problem(422, "invalid-request");
        let mut pointers: Vec<_> = violations(&problem).iter().map(|(at, _)| *at).collect();
        pointers[5..].sort_unstable();
        assert_eq!(pointers, expected);
        let allowed = problem["errors"][2]["allowed"].as_array().unwrap();
        assert!(allowed.contains(&json!("transcription.done")), "{problem}");
        assert!(
            !allowed.contains(&json!("transcription.submitting")),
            "{problem}"
        );
    }
    assert_eq!(app.rows("webhook_endpoints").await, 1);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_field_has_its_rules() {
    let app = TestApp::start().await;
    let (id, _) = app.acme.endpoint().await;
    let long_url = format!("https://receiver.invalid/{}", "a".repeat(2048));
    let long_text = "ü".repeat(501);
    for (field, value, words) in [
        (
            "url",
            json!("receiver.invalid"),
            "absolute http or https URL",
        ),
        ("url", json!(long_url), "2048 bytes"),
        (
            "url",
            json!("https://me:secret@receiver.invalid/"),
            "user name",
        ),
        ("url", json!("https://receiver.invalid/#part"), "fragment"),
        (
            "url",
            json!("https://receiver.invalid/\u{0}"),
            "control characters",
        ),
        (
            "url",
            json!(["https://receiver.invalid/"]),
            "must be a string",
        ),
        // What is certain to be refused at each try.
        ("url", json!("http://10.0.0.7/told"), "public addresses"),
        ("url", json!("http://169.254.169.254/"), "public addresses"),
        ("url", json!("http://0x0a000007/told"), "public addresses"),
        (
            "url",
            json!("https://[::ffff:10.0.0.7]/"),
            "public addresses",
        ),
        ("url", json!("https://9.9.9.9:22/"), "one of the ports"),
        ("description", json!(long_text), "500 characters"),
        ("description", json!("a\u{0}b"), "control characters"),
        ("description", json!("a\nb"), "control characters"),
        ("event_types", json!([]), "null, for all"),
        (
            "event_types",
            json!("transcription.done"),
            "list of event types",
        ),
        ("include_result", json!(1), "true or false"),
    ] {
        let mut body = json!({ "url": NOBODY });
        body[field] = value.clone();
        let pointer = format!("/{field}");
        for answer in [
            app.acme.create_endpoint(&body).await,
            app.acme
                .change_endpoint(&id, &json!({ field: value }))
                .await,
        ] {
            let rule = answer.violation(422, "invalid-request", &pointer);
            assert!(rule.contains(words), "{body}: {rule}");
        }
    }
    let rule = app.acme.create_endpoint(&json!({})).await;
    let rule = rule.violation(422, "invalid-request", "/url");
    assert!(rule.contains("is required"), "{rule}");
    app.acme
        .create_endpoint(&json!([]))
        .await
        .problem(400, "malformed-json");
    let text = app.acme.raw("/v1/webhook-endpoints", "text/plain", "{}");
    Answer::to(text)
        .await
        .problem(415, "unsupported-media-type");
    assert_eq!(app.rows("webhook_endpoints").await, 1);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_left_out_of_a_change_stays() {
    let app = TestApp::start().await;
    let body = json!({
        "url": NOBODY, "description": "one", "event_types": ["transcription.done"], "include_result": true,
    });
    let made = app.acme.create_endpoint(&body).await.expect(201);
    let id = made["id"].as_str().unwrap();
    let mut expected = app.acme.endpoint_now(id).await;
    for (field, value) in [
        ("description", json!("two")),
        ("include_result", json!(false)),
        ("event_types", Value::Null),
        ("event_types", json!(["webhook_endpoint.disabled"])),
        ("url", json!("https://elsewhere.invalid/")),
    ] {
        let changed = app.acme.change_endpoint(id, &json!({ field: value })).await;
        let changed = changed.expect(200);
        expected[field] = value;
        assert!(changed["updated_at"].as_str() > expected["updated_at"].as_str());
        expected["updated_at"] = changed["updated_at"].clone();
        assert_eq!(changed, expected);
        assert_eq!(app.acme.endpoint_now(id).await, expected);
    }
    for field in ["url", "description", "include_result"] {
        let refused = app.acme.change_endpoint(id, &json!({ field: null })).await;
        refused.violation(422, "invalid-request", &format!("/{field}"));
    }
    app.finish().await;
}

/// Every operation on an endpoint that this caller does not reach.
async fn assert_out_of_reach(caller: &Caller, id: &str) {
    let path = format!("/v1/webhook-endpoints/{id}");
    caller.get(&path).await.problem(404, "not-found");
    for answer in [
        caller
            .change_endpoint(id, &json!({ "description": "mine" }))
            .await,
        caller.tell_endpoint(id, "enable").await,
        caller.tell_endpoint(id, "disable").await,
        caller.tell_endpoint(id, "test").await,
        caller.tell_endpoint(id, "rotate-secret").await,
        caller.delete_endpoint(id).await,
    ] {
        answer.problem(404, "not-found");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_tenants_endpoint_is_not_there() {
    let app = TestApp::start().await;
    let (id, secret) = app.acme.endpoint().await;
    let before = app.acme.endpoint_now(&id).await;
    for id in [id.as_str(), "0190f5fe-0000-7000-8000-000000000000", "mine"] {
        assert_out_of_reach(&app.globex, id).await;
    }
    let list = app.globex.get("/v1/webhook-endpoints").await.expect(200);
    assert_eq!(list["items"], json!([]));
    assert_eq!(app.acme.endpoint_now(&id).await, before);
    assert_eq!(app.usable_secrets(&app.acme, Some(&id)).await, [secret]);
    assert_eq!(app.rows("events").await, 0);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_may_only_look_changes_nothing() {
    let app = TestApp::start().await;
    let (id, _) = app.acme.endpoint().await;
    let reader = app.caller("acme", Scope::Read).await;
    reader.get("/v1/webhook-endpoints").await.expect(200);
    let before = reader.endpoint_now(&id).await;
    for answer in [
        reader.create_endpoint(&json!({ "url": NOBODY })).await,
        reader
            .change_endpoint(&id, &json!({ "description": "mine" }))
            .await,
        reader.tell_endpoint(&id, "enable").await,
        reader.tell_endpoint(&id, "disable").await,
        reader.tell_endpoint(&id, "test").await,
        reader.tell_endpoint(&id, "rotate-secret").await,
        reader.post("/v1/callback-secret/rotate", &json!({})).await,
        reader.delete_endpoint(&id).await,
    ] {
        answer.problem(403, "forbidden");
    }
    assert_eq!(reader.endpoint_now(&id).await, before);
    assert_eq!(app.rows("signing_secrets").await, 1);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_list_comes_in_pages_newest_first() {
    let app = TestApp::start().await;
    let mut made = Vec::new();
    for _ in 0..5 {
        made.push(app.acme.endpoint().await.0);
    }
    made.reverse();
    let mut seen = Vec::new();
    let mut path = "/v1/webhook-endpoints?limit=2".to_owned();
    loop {
        let page = app.acme.get(&path).await.expect(200);
        seen.extend(lists::ids(&page));
        let Some(cursor) = page["next_cursor"].as_str() else {
            break;
        };
        path = format!("/v1/webhook-endpoints?limit=2&cursor={cursor}");
    }
    assert_eq!(seen, made);
    app.acme
        .get("/v1/webhook-endpoints?status=enabled")
        .await
        .problem(400, "invalid-parameter");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_has_twenty_endpoints_at_most_whoever_asks_at_once() {
    let app = TestApp::start().await;
    app.execute(&format!(
        "INSERT INTO webhook_endpoints (id, tenant_id, url, description, includes_result, status)
         SELECT gen_random_uuid(), '{}', '{NOBODY}', '', false, 'enabled' FROM generate_series(1, 17)",
        app.acme.tenant_id
    ))
    .await;
    let body = json!({ "url": NOBODY });
    let asking = (0..8).map(|_| app.acme.create_endpoint(&body));
    let answers = futures_util::future::join_all(asking).await;
    let made = answers.iter().filter(|answer| answer.status == 201).count();
    assert_eq!(made, 3);
    for refused in answers.iter().filter(|answer| answer.status != 201) {
        refused.problem(409, "too-many-webhook-endpoints");
    }
    assert_eq!(app.rows("webhook_endpoints").await, 20);
    assert_eq!(app.rows("signing_secrets").await, 3);
    app.globex.create_endpoint(&body).await.expect(201);
    app.finish().await;
}
