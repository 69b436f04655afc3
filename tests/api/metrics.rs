//! What `/metrics` shows: names that dashboards rest on, and what they count.

use std::ops::Range;

use reqwest::Method;
use serde_json::json;

use crate::support::{
    Answer, TestApp, eventually, process::Process, receiver::Receiver, rows::success,
    spool::SpoolDirectory, sse::EventStream,
};

/// What a job's life shows. Dashboards rest on these names.
const METRICS: [&str; 31] = [
    "gateway_answers_cut_off_total",
    "gateway_attempts_awaiting_decision",
    "gateway_attempts_unknown",
    "gateway_callbacks_quarantined",
    "gateway_callbacks_total",
    "gateway_database_oldest_snapshot_transactions",
    "gateway_database_up",
    "gateway_deliveries_oldest_pending_seconds",
    "gateway_deliveries_pending",
    "gateway_dispatch_paused",
    "gateway_events_unnumbered",
    "gateway_http_request_duration_seconds",
    "gateway_http_requests_total",
    "gateway_job_state_seconds_count",
    "gateway_jobs",
    "gateway_lanes_open",
    "gateway_oldest_queued_seconds",
    "gateway_reconciled_total",
    "gateway_requests_shed_total",
    "gateway_slots_expired_total",
    "gateway_slots_in_use",
    "gateway_slots_max",
    "gateway_streams_open",
    "gateway_submission_duration_seconds",
    "gateway_submissions_total",
    "gateway_surplus_jobs",
    "gateway_transcriptions_accepted_total",
    "gateway_upload_bytes_total",
    "gateway_uploads_total",
    "gateway_upstream_deletions_pending",
    "gateway_upstream_deletions_total",
];

#[tokio::test(flavor = "multi_thread")]
async fn metrics_have_their_names_and_no_secrets() {
    let app = TestApp::builder().set("MAX_IN_FLIGHT", 7).start().await;
    let file = crate::support::audio::short();
    let job = app.acme.upload(file, "a.wav", None).await.expect(202);
    app.acme.wait_until_done(job["id"].as_str().unwrap()).await;
    let deleted = app.acme.start("a.mp3").await;
    app.acme.wait_until_done(&deleted).await;
    app.acme.delete(&deleted).await;
    app.upstream.wait_for("deletes", 1).await;
    let lost = app.acme.start("endless.mp3").await;
    app.acme.wait_until(&lost, "processing").await;
    app.set_clock_ahead("3 hours").await;
    app.acme.wait_until(&lost, "error").await;

    let answer = app.acme.with_key(None).get("/metrics").await;
    assert_eq!(answer.status, 200);
    let content_type = answer.header("content-type").unwrap();
    assert!(content_type.starts_with("text/plain"), "{content_type}");
    let text = answer.text();
    for name in METRICS {
        assert!(
            text.lines().any(|line| line.starts_with(name)),
            "no {name} in\n{text}"
        );
    }
    for line in text.lines() {
        let Some(named) = line.strip_prefix("# TYPE gateway_") else {
            continue;
        };
        let (name, _) = named.split_once(' ').unwrap();
        assert!(text.contains(&format!("# HELP gateway_{name} ")), "{name}");
    }
    // Routes are told by their pattern: neither ids nor tokens become labels.
    for secret in [
        job["id"].as_str().unwrap(),
        "/callbacks/gladia/0",
        "audio.example",
        "acme",
    ] {
        assert!(!text.contains(secret), "{secret}");
    }
    assert!(
        text.contains("/callbacks/gladia/{attempt}/{token}"),
        "{text}"
    );
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_say_what_waits_and_for_how_long() {
    let app = TestApp::builder().set("MAX_IN_FLIGHT", 1).start().await;
    let metrics = async || app.acme.with_key(None).get("/metrics").await.text();
    let gauge = async |name: &str| -> f64 {
        let text = metrics().await;
        let value = text.lines().find_map(|line| line.strip_prefix(name));
        let value = value.unwrap_or_else(|| panic!("no {name} in\n{text}"));
        value.trim().parse().unwrap()
    };
    // What was counted before is shown for a second.
    let comes_to = async |name: &str, values: Range<f64>| {
        eventually(&format!("{name} in {values:?}"), async || {
            values.contains(&gauge(name).await).then_some(())
        })
        .await;
    };
    let at_work = app.acme.start("endless.mp3").await;
    app.acme.wait_until(&at_work, "processing").await;
    let waiting = app.acme.start("a.mp3").await;
    let jobs = [
        ("queued", 1.0),
        ("submitting", 0.0),
        ("unknown", 0.0),
        ("processing", 1.0),
    ];
    for (status, count) in jobs {
        let name = format!("gateway_jobs{{status=\"{status}\"}}");
        comes_to(&name, count..count + 0.5).await;
    }
    app.set_clock_ahead("100 seconds").await;
    comes_to("gateway_oldest_queued_seconds", 100.0..160.0).await;

    // The outbox: one that waits for its receiver, one that is done, and one receiver that is left alone.
    let tenant = app.acme.tenant_id;
    app.execute(&format!(
        "INSERT INTO delivery_lanes (id, tenant_id, origin, last_failure_at, open_until)
         SELECT gen_random_uuid(), '{tenant}', 'https://' || host, gateway_now(), gateway_now() + left_alone::interval
         FROM (VALUES ('a', '1 min'), ('b', NULL), ('c', '-1 min')) lanes (host, left_alone)"
    ))
    .await;
    app.execute(&format!(
        "INSERT INTO deliveries (id, tenant_id, lane_id, event_number, event_type, status, next_try_at, queued_at, finished_at)
         SELECT gen_random_uuid(), '{tenant}', l.id, 1, 'transcription.done', d.status, gateway_now() + interval '1 hour',
                gateway_now() - d.age::interval, CASE WHEN d.status = 'delivered' THEN gateway_now() END
         FROM delivery_lanes l, (VALUES ('pending', '50 s'), ('delivered', '1 hour')) d (status, age)
         WHERE l.origin = 'https://a'"
    ))
    .await;
    comes_to("gateway_deliveries_pending", 1.0..1.5).await;
    comes_to("gateway_lanes_open", 1.0..1.5).await;
    comes_to("gateway_deliveries_oldest_pending_seconds", 50.0..110.0).await;
    // What is committed gets its number soon.
    comes_to("gateway_events_unnumbered", 0.0..0.5).await;

    let attempt = app.attempt(&at_work).await;
    let end = success(&attempt.gladia_id.unwrap(), "words");
    assert_eq!(app.call_back(attempt.id, end).await.status, 200);
    app.acme.wait_until_done(&waiting).await;
    for name in [
        "gateway_jobs{status=\"queued\"}",
        "gateway_oldest_queued_seconds",
    ] {
        comes_to(name, 0.0..0.001).await;
    }
    // The metrics of every test of this process are in there.
    for (state, at_least) in [("queued", 100.0), ("submitting", 0.0), ("processing", 0.0)] {
        let sum = format!("gateway_job_state_seconds_sum{{state=\"{state}\"}}");
        let count = format!("gateway_job_state_seconds_count{{state=\"{state}\"}}");
        assert!(gauge(&sum).await >= at_least, "{state}");
        assert!(gauge(&count).await >= 2.0, "{state}");
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_rows_know_is_not_told_while_the_database_is_away() {
    let app = TestApp::builder().with_database_relay().start().await;
    let tells = async |lines: [&str; 2]| {
        eventually(&format!("metrics with {lines:?}"), async || {
            let text = app.acme.with_key(None).get("/metrics").await.text();
            let all = lines
                .iter()
                .all(|wanted| text.lines().any(|line| line == *wanted));
            all.then_some(())
        })
        .await;
    };
    tells(["gateway_database_up 1", "gateway_slots_in_use 0"]).await;
    app.database_relay().cut().await;
    tells(["gateway_database_up 0", "gateway_slots_in_use NaN"]).await;
    app.database_relay().mend();
    tells(["gateway_database_up 1", "gateway_slots_in_use 0"]).await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_time_until_callers_know_is_measured_from_the_callback_in_each_way() {
    let app = TestApp::start().await;
    let receiver = Receiver::start().await;
    let endpoint = app
        .add_endpoint(&app.acme, &receiver.url(), &["transcription.done"])
        .await;
    let mut stream = EventStream::open(&app.acme, "/v1/events/stream").await;
    let body = json!({ "audio_url": "https://audio.example/a.mp3" });
    let waiting = app
        .acme
        .request(Method::POST, "/v1/transcriptions?wait=15")
        .json(&body);
    Answer::to(waiting).await.expect(200);
    app.wait_for_deliveries(&endpoint, &["delivered"]).await;
    while stream.next().await.kind != "transcription.done" {}
    let is_of_the_callback: bool = app
        .scalar(
            "SELECT (e.data ->> 'received_at')::timestamptz = c.received_at
             FROM events e JOIN jobs j ON j.id = e.job_id JOIN callbacks c ON c.id = j.result_callback_id
             WHERE e.type = 'transcription.done'",
        )
        .await;
    assert!(is_of_the_callback);
    for way in ["webhook", "stream", "wait"] {
        let metrics = app.acme.get("/metrics").await.text();
        let name = format!("gateway_told_seconds_count{{way=\"{way}\"}}");
        let told = metrics.lines().find_map(|line| line.strip_prefix(&name));
        let told: u64 = told
            .unwrap_or_else(|| panic!("no {name}"))
            .trim()
            .parse()
            .unwrap();
        assert!(told > 0, "{name}");
    }
    app.finish().await;
}

/// The metrics of docs/metrics.md, each with its labels.
fn documented_metrics() -> Vec<(String, String)> {
    let documented = std::fs::read_to_string("docs/metrics.md").unwrap();
    let rows = documented
        .lines()
        .filter(|line| line.starts_with("| `gateway_"));
    rows.flat_map(|row| {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let names = quoted(cells[1]).into_iter();
        let labels = cells[2].to_owned();
        names
            .map(move |name| (name.to_owned(), labels.clone()))
            .collect::<Vec<_>>()
    })
    .collect()
}

/// What stands in backticks.
fn quoted(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

/// Which values of a metric's labels are shown and stand in no list, where its row has one that says to be whole.
fn undocumented_values<'a>(text: &'a str, name: &str, labels: &str) -> Vec<&'a str> {
    let lists = labels.split(';').filter_map(|label| label.split_once(':'));
    let whole = lists.filter(|(_, values)| !values.contains("and what"));
    let of_label = |(label, documented): (&str, &str)| {
        let begin = format!("{}=\"", quoted(label)[0]);
        let documented: Vec<String> = quoted(documented).into_iter().map(Into::into).collect();
        text.lines()
            .filter(|line| {
                line.strip_prefix(name)
                    .is_some_and(|rest| rest.starts_with('{'))
            })
            .filter_map(|line| line.split_once(&begin)?.1.split_once('"'))
            .map(|(value, _)| value)
            .filter(|value| !documented.iter().any(|known| known == value))
            .collect::<Vec<_>>()
    };
    whole.flat_map(of_label).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_has_done_nothing_shows_every_counter_that_is_documented() {
    let directory = SpoolDirectory::new();
    let app = TestApp::start().await;
    let settings = [
        ("CALLBACK_SPOOL_DIR", directory.setting()),
        ("PUBLIC_URL_CHECK", "warn"),
    ];
    let mut process = Process::serve(&app, &settings);
    let base = format!("http://{}", process.address().await);
    // Whether it gets back to itself is shown once it has looked, with large callbacks last.
    let text = eventually("look at the public address", async || {
        let text = app.acme.at(&base).with_key(None).get("/metrics").await;
        let text = text.text();
        text.contains("\ngateway_public_url_takes_large_callbacks ")
            .then_some(text)
    })
    .await;
    let shown = |name: &str, label: &str| {
        let mut lines = text.lines().filter(|line| {
            line.strip_prefix(name)
                .is_some_and(|rest| rest.starts_with([' ', '{']) && rest.contains(label))
        });
        lines.next().is_some_and(|first| first.ends_with(" 0"))
            && lines.all(|line| line.ends_with(" 0"))
    };
    let counters: Vec<_> = documented_metrics()
        .into_iter()
        .filter(|(name, labels)| name.ends_with("_total") && !labels.contains("`route`"))
        .collect();
    assert!(counters.len() > 25, "{counters:?}");
    for (name, labels) in counters {
        assert!(shown(&name, ""), "no {name} of 0 in\n{text}");
        for part in labels.split(';').filter_map(|label| label.split_once(':')) {
            let label = quoted(part.0)[0];
            for value in quoted(part.1) {
                let label = format!("{label}=\"{value}\"");
                assert!(shown(&name, &label), "no {name} with {label} in\n{text}");
            }
        }
        assert_eq!(
            undocumented_values(&text, &name, &labels),
            Vec::<&str>::new()
        );
    }

    // Alerts ask for nothing else.
    let guide = std::fs::read_to_string("docs/operations.md").unwrap();
    let (_, rules) = guide.split_once("```yaml\n").unwrap();
    let (rules, _) = rules.split_once("```").unwrap();
    let is_name = |c: char| c.is_ascii_lowercase() || c == '_';
    let mut asked = 0;
    for (start, _) in rules.match_indices("gateway_") {
        let rest = &rules[start..];
        let (name, rest) = rest.split_at(rest.find(|c| !is_name(c)).unwrap());
        let label = rest.strip_prefix('{').and_then(|rest| rest.split_once('}'));
        let has = |label: &str| {
            text.lines()
                .any(|line| line.starts_with(name) && line.contains(label))
        };
        match label.map(|(label, _)| label) {
            Some(label) if label.contains("!~") => {
                let (_, values) = label.split_once("!~").unwrap();
                for value in values.trim_matches('"').split('|') {
                    assert!(has(&format!("=\"{value}\"")), "{name} {value}");
                }
            }
            // Any value may come: here it counts that there is such a label.
            Some(label) if label.contains("=~") || label.contains("!=") => {
                for matcher in label.split(',') {
                    let (label, _) = matcher.split_once(['=', '!']).unwrap();
                    let label = format!("`{label}`");
                    let is_documented = documented_metrics()
                        .into_iter()
                        .any(|(documented, labels)| documented == name && labels.contains(&label));
                    assert!(is_documented, "{name} {label}");
                }
            }
            label => assert!(has(label.unwrap_or_default()), "{name} {label:?}"),
        }
        asked += 1;
    }
    assert!(asked > 8, "{asked}");
    process.terminate();
    process.log().await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn how_long_requests_take_is_told_apart_from_how_long_they_wish_to_wait() {
    let app = TestApp::start().await;
    let id = app.acme.start("endless.mp3").await;
    app.acme.wait_until(&id, "processing").await;
    let waits = format!("/v1/transcriptions/{id}?wait=1");
    assert_eq!(app.acme.get(&waits).await.status, 200);
    let text = app.acme.with_key(None).get("/metrics").await.text();
    let sum = |waits: bool| -> f64 {
        let name = format!(
            "gateway_http_request_duration_seconds_sum{{method=\"GET\",route=\"/v1/transcriptions/{{id}}\",waits=\"{waits}\"}} "
        );
        let value = text.lines().find_map(|line| line.strip_prefix(&name));
        let value = value.unwrap_or_else(|| panic!("no {name} in\n{text}"));
        value.parse().unwrap()
    };
    assert!(sum(true) >= 1.0);
    assert!(sum(false) > 0.0);
    app.stop().await;
}
