//! The spans of a job's way, as a collector gets them.

use serde_json::{Value, json};

use crate::support::{
    Answer, Caller, TestApp,
    builder::DRAIN,
    collector::{COLLECTOR_KEY, CollectedSpan, Collector},
    process::Process,
    upstream::GLADIA_KEY,
};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const BATCH_TRACE: &str = "1af7651916cd43dd8448eb211c80319c";
const UNSAMPLED_TRACE: &str = "2af7651916cd43dd8448eb211c80319c";
const FAILING_TRACE: &str = "3af7651916cd43dd8448eb211c80319c";
const CALLERS_SPAN: &str = "b7ad6b7169203331";

/// Starts a process that exports to a collector, and no span before it ends.
fn serve(app: &TestApp, collector: &Collector, name: &str) -> Process {
    let (key, value) = COLLECTOR_KEY;
    Process::serve(
        app,
        &[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.endpoint()),
            ("OTEL_EXPORTER_OTLP_HEADERS", &format!("{key}={value}")),
            ("OTEL_BSP_SCHEDULE_DELAY", "3600000"),
            ("OTEL_SERVICE_NAME", name),
            ("LOG_FORMAT", "json"),
        ],
    )
}

async fn post(caller: &Caller, path: &str, trace: Option<(&str, &str)>, body: &Value) -> Value {
    let mut request = caller.request(reqwest::Method::POST, path).json(body);
    if let Some((trace, flags)) = trace {
        request = request
            .header("traceparent", format!("00-{trace}-{CALLERS_SPAN}-{flags}"))
            .header("tracestate", "vendor=1");
    }
    Answer::to(request).await.expect(202)
}

fn audio(name: &str) -> Value {
    json!({ "audio_url": format!("https://audio.example/{name}?signature=a-secret") })
}

fn names(spans: &[CollectedSpan]) -> Vec<&str> {
    spans.iter().map(|span| span.name.as_str()).collect()
}

async fn traceparent(app: &TestApp, id: &str) -> String {
    app.scalar(&format!("SELECT traceparent FROM jobs WHERE id = '{id}'"))
        .await
}

fn id_of(job: &Value) -> &str {
    job["id"].as_str().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_trace_shows_a_jobs_way_whichever_processes_it_passes_through() {
    let app = TestApp::start().await;
    let collector = Collector::start().await;
    assert!(app.replicas[0].stop(DRAIN).await);

    // One process takes the jobs and ends.
    app.pause_dispatch().await;
    let mut first = serve(&app, &collector, "first");
    let caller = app.acme.at(&format!("http://{}", first.address().await));
    let path = "/v1/transcriptions";
    let traced = post(&caller, path, Some((TRACE, "01")), &audio("a.mp3")).await;
    let unsampled = Some((UNSAMPLED_TRACE, "00"));
    let unsampled = post(&caller, path, unsampled, &audio("a.mp3")).await;
    let failing = Some((FAILING_TRACE, "01"));
    let failing = post(&caller, path, failing, &audio("failing.mp3")).await;
    let untraced = post(&caller, path, None, &audio("a.mp3")).await;
    let requests = json!({ "requests": [audio("a.mp3"), audio("a.mp3")] });
    let batch = Some((BATCH_TRACE, "01"));
    post(&caller, "/v1/batches", batch, &requests).await;
    first.terminate();
    let log = first.log().await;
    assert_eq!(names(&collector.trace(TRACE)), ["accept"]);

    // Another one does the rest.
    app.resume_dispatch().await;
    let mut second = serve(&app, &collector, "second");
    let address = second.address().await;
    app.front.set_targets(vec![address]);
    let caller = app.acme.at(&format!("http://{address}"));
    for job in [&traced, &unsampled, &untraced] {
        caller.wait_until_done(id_of(job)).await;
    }
    caller.wait_until(id_of(&failing), "error").await;
    crate::support::eventually("batch that is done", async || {
        (app.rows("jobs WHERE status = 'done'").await == 5).then_some(())
    })
    .await;
    second.terminate();
    second.log().await;

    let spans = collector.trace(TRACE);
    let expected = ["accept", "complete", "queue", "submit", "upstream_wait"];
    assert_eq!(names(&spans), expected, "{spans:#?}");
    let [accept, complete, queue, submit, upstream_wait] = &spans[..] else {
        unreachable!()
    };
    assert_eq!(accept.parent_id, CALLERS_SPAN);
    assert_eq!(accept.service, "first");
    let below = format!("00-{TRACE}-{}-01", accept.span_id);
    assert_eq!(traceparent(&app, id_of(&traced)).await, below);
    for span in [complete, queue, submit, upstream_wait] {
        assert_eq!(span.parent_id, accept.span_id, "{span:?}");
        assert_eq!(span.service, "second", "{span:?}");
        assert_eq!(span.attributes["attempt.number"], "1", "{span:?}");
        let attempt = app.attempt(id_of(&traced)).await.id.to_string();
        assert_eq!(span.attributes["attempt.id"], attempt, "{span:?}");
    }
    for span in &spans {
        assert_eq!(span.tracestate, "vendor=1", "{span:?}");
        assert_eq!(span.attributes["job.id"], id_of(&traced), "{span:?}");
        assert!(span.began_at <= span.ended_at && !span.failed, "{span:?}");
    }
    assert_eq!(submit.attributes["outcome"], "accepted");
    assert_eq!(complete.attributes["outcome"], "completed");
    // The waits lie between what was done, though nobody was there to measure them.
    assert!((accept.began_at..=accept.ended_at).contains(&queue.began_at));
    assert!(queue.ended_at <= submit.began_at);
    assert!(queue.ended_at <= upstream_wait.began_at);
    // On a slow machine the callback may overtake the record of the answer; then nothing was waited for.
    let waited_until = complete.began_at.max(upstream_wait.began_at);
    assert_eq!(upstream_wait.ended_at, waited_until);

    let spans = collector.trace(FAILING_TRACE);
    assert_eq!(names(&spans), expected, "{spans:#?}");
    assert_eq!(spans[1].attributes["outcome"], "failed");

    // Whoever does not record their trace does not get it recorded, and it goes on all the same.
    assert!(collector.trace(UNSAMPLED_TRACE).is_empty());
    let below = traceparent(&app, id_of(&unsampled)).await;
    assert!(below.starts_with(&format!("00-{UNSAMPLED_TRACE}-")) && below.ends_with("-00"));

    // Without one, a trace begins here.
    let below = traceparent(&app, id_of(&untraced)).await;
    let trace = below.split('-').nth(1).unwrap();
    let spans = collector.trace(trace);
    assert_eq!(names(&spans), expected, "{spans:#?}");
    assert_eq!(spans[0].parent_id, "");

    // The jobs of a batch share its span.
    let spans = collector.trace(BATCH_TRACE);
    assert_eq!(spans.len(), 9, "{spans:#?}");
    assert_eq!(spans[0].attributes["batch.jobs"], "2");
    assert!(
        spans[1..]
            .iter()
            .all(|span| span.parent_id == spans[0].span_id)
    );

    // The log of each request names its trace.
    for trace in [TRACE, BATCH_TRACE, UNSAMPLED_TRACE, trace] {
        let named = log
            .iter()
            .any(|line| line.contains("http.route") && line.contains(trace));
        assert!(named, "{trace} in {log:#?}");
    }
    let told = format!("{:?}", collector.spans());
    for secret in ["audio.example", "a-secret", "/callbacks/", GLADIA_KEY] {
        assert!(!told.contains(secret), "{secret} in {told}");
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_is_away_holds_nothing_up() {
    let app = TestApp::start().await;
    assert!(app.replicas[0].stop(DRAIN).await);
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let nobody = format!("http://{}", nobody.local_addr().unwrap());
    let variables = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", nobody.as_str()),
        ("OTEL_BSP_SCHEDULE_DELAY", "10"),
    ];
    let mut process = Process::serve(&app, &variables);
    let address = process.address().await;
    app.front.set_targets(vec![address]);
    let caller = app.acme.at(&format!("http://{address}"));
    for _ in 0..3 {
        let id = caller.start("a.mp3").await;
        caller.wait_until_done(&id).await;
    }
    process.terminate();
    process.log().await;
    app.finish().await;
}
