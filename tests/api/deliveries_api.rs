//! What was sent to whom: lists of deliveries, and each with its tries.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{TestApp, lists::ids, resting_deliveries::Row};
use gladia_gateway::domain::access::Scope;

async fn listed(app: &TestApp, query: &str) -> Vec<String> {
    let path = format!("/v1/deliveries?{query}");
    ids(&app.acme.get(&path).await.expect(200))
}

/// Deliveries of every kind, the newest last: to two endpoints and a callback, of the ends of two jobs.
struct Deliveries {
    endpoints: Vec<Uuid>,
    jobs: Vec<String>,
    events: Vec<i64>,
    made: Vec<String>,
}

async fn some(app: &TestApp) -> Deliveries {
    let mut jobs = Vec::new();
    let mut events = Vec::new();
    for _ in 0..2 {
        let (job, event) = app.done_and_told().await;
        jobs.push(job);
        events.push(event);
    }
    let endpoints = vec![
        app.resting_endpoint(&app.acme).await,
        app.resting_endpoint(&app.acme).await,
    ];
    app.resting_lane(
        &app.acme,
        app.acme.tenant_id,
        Some("https://caller.example"),
    )
    .await;
    let rows = [
        (Some(0), 0, "delivered"),
        (Some(1), 0, "pending"),
        (None, 0, "dead"),
        (Some(0), 1, "dead"),
        (Some(1), 1, "delivered"),
        (None, 1, "pending"),
    ];
    let mut made = Vec::new();
    for (number, (endpoint, job, status)) in rows.into_iter().enumerate() {
        let row = Row {
            endpoint: endpoint.map(|index: usize| endpoints[index]),
            job: Some(jobs[job].clone()),
            event: events[job],
            status,
            dead_reason: (status == "dead").then_some("exhausted"),
            age: format!("{} minutes", 10 - number),
        };
        made.push(app.insert_delivery(&app.acme, &row).await);
    }
    Deliveries {
        endpoints,
        jobs,
        events,
        made,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn filters_combine_and_the_newest_come_first() {
    let app = TestApp::start().await;
    let Deliveries {
        endpoints,
        jobs,
        events,
        made,
    } = some(&app).await;
    let strangers = app.resting_endpoint(&app.globex).await;
    let row = Row {
        endpoint: Some(strangers),
        event: events[0],
        ..Row::default()
    };
    app.insert_delivery(&app.globex, &row).await;
    // One that tells of no job.
    let row = Row {
        endpoint: Some(endpoints[0]),
        event: 9000,
        age: "1 hour".to_owned(),
        ..Row::default()
    };
    let of_no_job = app.insert_delivery(&app.acme, &row).await;
    let listed_of = listed(&app, "event_id=evt_9000").await;
    assert_eq!(listed_of, [of_no_job.as_str()]);
    app.execute(&format!("DELETE FROM deliveries WHERE id = '{of_no_job}'"))
        .await;
    let (first, second) = (endpoints[0], endpoints[1]);
    let (earlier, later) = (events[0], events[1]);
    for (query, expected) in [
        (String::new(), vec![5, 4, 3, 2, 1, 0]),
        ("status=dead".to_owned(), vec![3, 2]),
        ("status=pending".to_owned(), vec![5, 1]),
        ("status=delivered".to_owned(), vec![4, 0]),
        (format!("endpoint_id={first}"), vec![3, 0]),
        (format!("endpoint_id={second}&status=pending"), vec![1]),
        (format!("transcription_id={}", jobs[0]), vec![2, 1, 0]),
        (format!("transcription_id={}&status=dead", jobs[0]), vec![2]),
        (
            format!("transcription_id={}&endpoint_id={second}", jobs[1]),
            vec![4],
        ),
        (format!("event_id=evt_{later}"), vec![5, 4, 3]),
        (format!("event_id=evt_{later}&endpoint_id={first}"), vec![3]),
        (
            format!("event_id=evt_{later}&transcription_id={}", jobs[0]),
            vec![],
        ),
        (format!("event_id=evt_{earlier}&status=dead"), vec![2]),
        ("event_id=evt_9999".to_owned(), vec![]),
        (format!("endpoint_id={strangers}"), vec![]),
    ] {
        let expected: Vec<String> = expected
            .into_iter()
            .map(|index: usize| made[index].clone())
            .collect();
        assert_eq!(listed(&app, &query).await, expected, "{query}");
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_show_each_delivery_once_whatever_the_filter() {
    let app = TestApp::start().await;
    let Deliveries {
        endpoints,
        jobs,
        events,
        ..
    } = some(&app).await;
    for query in [
        String::new(),
        "status=dead".to_owned(),
        format!("endpoint_id={}", endpoints[0]),
        format!("transcription_id={}", jobs[0]),
        format!("event_id=evt_{}", events[0]),
    ] {
        let whole = listed(&app, &query).await;
        assert!(whole.len() > 1, "{query}");
        let mut seen = Vec::new();
        let mut path = format!("/v1/deliveries?limit=1&{query}");
        loop {
            let page = app.acme.get(&path).await.expect(200);
            seen.extend(ids(&page));
            let Some(cursor) = page["next_cursor"].as_str() else {
                break;
            };
            path = format!("/v1/deliveries?limit=1&{query}&cursor={cursor}");
        }
        assert_eq!(seen, whole, "{query}");
    }
    // A cursor goes on in its own list only.
    let page = app.acme.get("/v1/deliveries?limit=1").await.expect(200);
    let cursor = page["next_cursor"].as_str().unwrap();
    let elsewhere = format!("/v1/deliveries?limit=1&status=dead&cursor={cursor}");
    app.acme
        .get(&elsewhere)
        .await
        .problem(400, "invalid-parameter");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_parameter_that_breaks_a_rule_is_named() {
    let app = TestApp::start().await;
    let query = "endpoint_id=7&transcription_id=x&event_id=42&status=lost&limit=101&state=dead";
    let answer = app.acme.get(&format!("/v1/deliveries?{query}")).await;
    let problem = answer.problem(400, "invalid-parameter");
    let errors = problem["errors"].as_array().unwrap();
    let rules: Vec<(&str, &str)> = errors
        .iter()
        .map(|error| {
            (
                error["parameter"].as_str().unwrap(),
                error["rule"].as_str().unwrap(),
            )
        })
        .collect();
    for ((name, rule), (wrong, words)) in rules.iter().zip([
        ("endpoint_id", "the id of a webhook endpoint"),
        ("transcription_id", "the id of a transcription"),
        ("event_id", "evt_42"),
        ("status", "pending, delivered, dead"),
        ("limit", "from 1 to 100"),
        (
            "state",
            "use endpoint_id, transcription_id, event_id, status, limit and cursor",
        ),
    ]) {
        assert_eq!(*name, wrong);
        assert!(rule.contains(words), "{name}: {rule}");
    }
    assert_eq!(rules.len(), 6);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_is_shown_with_each_of_its_tries() {
    let app = TestApp::start().await;
    let Deliveries {
        endpoints,
        jobs,
        events,
        made,
    } = some(&app).await;
    for attempt in [
        "(2, gateway_now(), 31, 204, NULL, NULL, '')",
        "(1, gateway_now() - interval '5 seconds', 15000, NULL, 'timeout', 'no answer within 15 s', NULL)",
    ] {
        let values = attempt.replacen('(', &format!("('{}', ", made[0]), 1);
        app.execute(&format!("INSERT INTO delivery_attempts VALUES {values}"))
            .await;
    }
    let reader = app.caller("acme", Scope::Read).await;
    let shown = reader
        .get(&format!("/v1/deliveries/{}", made[0]))
        .await
        .expect(200);
    let mut tries = shown["attempts"].clone();
    for attempt in tries.as_array_mut().unwrap() {
        assert!(attempt["started_at"].take().is_string());
    }
    assert_eq!(
        tries,
        json!([
            { "number": 1, "started_at": null, "duration_ms": 15000, "http_status": null, "error": "timeout",
              "error_detail": "no answer within 15 s", "response_start": null },
            { "number": 2, "started_at": null, "duration_ms": 31, "http_status": 204, "error": null,
              "error_detail": null, "response_start": "" },
        ])
    );
    let mut alone = shown.as_object().unwrap().clone();
    alone.remove("attempts");
    let list = app.acme.get("/v1/deliveries").await.expect(200);
    assert_eq!(list["items"][5], Value::Object(alone.clone()));
    for name in ["created_at", "finished_at"] {
        assert!(alone.remove(name).unwrap().is_string(), "{name}");
    }
    assert_eq!(
        Value::Object(alone),
        json!({
            "id": made[0], "event_id": format!("evt_{}", events[0]), "event_type": "transcription.done",
            "transcription_id": jobs[0], "kind": "webhook", "endpoint_id": endpoints[0], "origin": null,
            "status": "delivered", "dead_reason": null, "tries": 3, "next_try_at": null,
        })
    );
    // Of a callback no more than the origin of its address.
    let callback = &list["items"][0];
    assert_eq!(
        [
            &callback["kind"],
            &callback["endpoint_id"],
            &callback["origin"]
        ],
        [
            &json!("callback"),
            &Value::Null,
            &json!("https://caller.example")
        ]
    );
    assert!(callback["next_try_at"].is_string() && callback["finished_at"].is_null());
    assert_eq!(list["items"][2]["dead_reason"], "exhausted");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_endless_tries_the_latest_are_shown() {
    let app = TestApp::start().await;
    let Deliveries { made, .. } = some(&app).await;
    app.execute(&format!(
        "INSERT INTO delivery_attempts (delivery_id, number, started_at, duration_ms)
         SELECT '{}', number, gateway_now(), 1 FROM generate_series(1, 150) AS number",
        made[0]
    ))
    .await;
    let shown = app.acme.get(&format!("/v1/deliveries/{}", made[0])).await;
    let shown = shown.expect(200);
    let tries = shown["attempts"].as_array().unwrap();
    assert_eq!(tries.len(), 100);
    assert_eq!(
        (&tries[0]["number"], &tries[99]["number"]),
        (&json!(51), &json!(150))
    );
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_sees_anothers_deliveries() {
    let app = TestApp::start().await;
    let Deliveries { made, .. } = some(&app).await;
    let path = format!("/v1/deliveries/{}", made[0]);
    app.globex.get(&path).await.problem(404, "not-found");
    app.acme
        .get("/v1/deliveries/no-id")
        .await
        .problem(404, "not-found");
    assert_eq!(
        app.globex.get("/v1/deliveries").await.expect(200)["items"],
        json!([])
    );
    let nobody = app.acme.with_key(None);
    for path in [path.as_str(), "/v1/deliveries"] {
        nobody.get(path).await.problem(401, "unauthorized");
    }
    app.finish().await;
}
