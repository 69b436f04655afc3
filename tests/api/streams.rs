//! Events as they happen: whole, in order, wherever and whenever somebody listens.

use std::collections::BTreeSet;

use gladia_gateway::domain::access::Scope;
use reqwest::Method;
use serde_json::json;

use crate::support::{
    Answer, Caller, TestApp,
    callbacks::processing,
    rows::success,
    sse::{EventStream, Told},
};

pub const STREAM: &str = "/v1/events/stream";

pub fn of_job(id: &str) -> String {
    format!("/v1/transcriptions/{id}/events/stream")
}

fn ids(events: &[Told]) -> Vec<i64> {
    events.iter().map(|told| told.id).collect()
}

/// Types without their common prefix.
pub fn kinds(events: &[Told]) -> Vec<&str> {
    let prefix = "transcription.";
    let kinds = events.iter().map(|told| told.kind.strip_prefix(prefix));
    kinds.map(Option::unwrap).collect()
}

/// Asks for a stream that must not come, behind an event.
async fn ask_after(caller: &Caller, path: &str, last_seen: &str) -> Answer {
    let request = caller.request(Method::GET, path);
    Answer::to(request.header("Last-Event-ID", last_seen)).await
}

impl TestApp {
    /// The ids of a caller's events, in order.
    async fn event_ids(&self, caller: &Caller) -> Vec<i64> {
        let query = "SELECT number FROM events WHERE tenant_id = $1 AND number > 0 ORDER BY number";
        sqlx::query_scalar(query)
            .bind(caller.tenant_id)
            .fetch_all(&self.pool)
            .await
            .unwrap()
    }

    /// Says that a caller's events are gone up to one, and deletes them.
    async fn expire_events_through(&self, caller: &Caller, id: i64) {
        let tenant = caller.tenant_id;
        self.execute(&format!(
            "INSERT INTO event_horizons VALUES ('{tenant}', {id})
             ON CONFLICT (tenant_id) DO UPDATE SET expired_through = {id}"
        ))
        .await;
        self.execute(&format!(
            "DELETE FROM events e USING jobs j WHERE j.id = e.job_id AND j.finished_at IS NOT NULL
             AND e.tenant_id = '{tenant}' AND e.number BETWEEN 1 AND {id}"
        ))
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_happens_at_one_replica_is_told_at_another_with_the_bytes_of_the_change_list() {
    let app = TestApp::builder().replicas(2).start().await;
    let before = app.acme.start("before.mp3").await;
    app.acme.wait_until_done(&before).await;
    // What comes without a number when the stream begins is told in it.
    app.all_numbered().await;
    let there = app.acme.at(&app.replicas[1].base);
    let request = there.request(Method::GET, STREAM);
    let mut stream = EventStream::of(request.header("accept-encoding", "zstd, gzip")).await;
    for (name, value) in [
        ("content-type", Some("text/event-stream")),
        ("cache-control", Some("no-store")),
        ("x-accel-buffering", Some("no")),
        ("content-encoding", None),
    ] {
        assert_eq!(stream.answer.header(name), value, "{name}");
    }
    let (id, attempt, gladia_id) = processing(&app).await;
    let mut told = stream.take(2).await;
    app.call_back(attempt.id, success(&gladia_id, "words"))
        .await;
    told.push(stream.next().await);
    assert_eq!(kinds(&told), ["queued", "processing", "done"]);
    assert!(told.iter().all(|told| told.job() == id));
    let done = &told[2].json()["data"];
    assert_eq!(done["status"], "done");
    let result = done["links"]["result"].as_str().unwrap();
    app.acme.get(result).await.expect(200);
    // Whoever begins now with what was before gets the same.
    let all = app.event_ids(&app.acme).await;
    let mut again = EventStream::open(&app.acme, &format!("{STREAM}?after=evt_0")).await;
    let again = again.take(all.len()).await;
    assert_eq!(ids(&again), all);
    assert_eq!(again[all.len() - 3..], told);
    let list = app.acme.get("/v1/events").await.text();
    for told in &again {
        assert!(list.contains(&told.data), "{told:?} in {list}");
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_is_cut_again_and_again_goes_on_at_the_other_replica_without_gap_or_repetition()
 {
    const JOBS: usize = 60;
    let app = TestApp::builder()
        .replicas(2)
        .set("MAX_IN_FLIGHT", 8)
        .start()
        .await;
    let caller = app.acme.clone();
    let writing = tokio::spawn(async move {
        for number in 0..JOBS {
            caller.start(&format!("{number}.mp3")).await;
        }
    });
    let mut told: Vec<Told> = Vec::new();
    let mut done = 0;
    for round in 0.. {
        let there = app.acme.at(&app.replicas[round % 2].base);
        // An EventSource repeats its address: the header has to win.
        let path = format!("{STREAM}?after=evt_0");
        let mut stream = match told.last() {
            Some(last) => EventStream::resume(&there, &path, &last.cursor()).await,
            None => EventStream::open(&there, &path).await,
        };
        for _ in 0..=(round * 5 % 12) {
            let next = stream.next().await;
            done += usize::from(next.kind == "transcription.done");
            told.push(next);
            if done == JOBS {
                break;
            }
        }
        if done == JOBS {
            break;
        }
    }
    writing.await.unwrap();
    assert_eq!(ids(&told), app.event_ids(&app.acme).await);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_past_is_told_page_by_page_while_the_present_goes_on() {
    let app = TestApp::start().await;
    let (id, attempt, gladia_id) = processing(&app).await;
    app.add_events(&id, 250).await;
    let adding = async {
        for _ in 0..50 {
            app.insert_events(&id, 5).await;
        }
        app.call_back(attempt.id, success(&gladia_id, "words"))
            .await;
    };
    let path = format!("{STREAM}?after=evt_0");
    let of_job = of_job(&id);
    let (mut stream, mut job_stream) = tokio::join!(
        EventStream::open(&app.acme, &path),
        EventStream::open(&app.acme, &of_job),
    );
    let ((), told, told_of_job) = tokio::join!(adding, stream.take(503), job_stream.rest());
    assert_eq!(ids(&told), app.event_ids(&app.acme).await);
    assert_eq!(told, told_of_job);
    assert_eq!(told[502].kind, "transcription.done");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_begins_while_something_waits_for_its_number_goes_on_past_an_end() {
    let app = TestApp::start().await;
    let id = app.acme.start("a.mp3").await;
    app.acme.wait_until_done(&id).await;
    app.all_numbered().await;
    let mut numbering = app.pool.begin().await.unwrap();
    sqlx::query("SELECT FROM event_sequence FOR UPDATE")
        .execute(&mut *numbering)
        .await
        .unwrap();
    assert_eq!(app.acme.delete(&id).await.status, 204);
    let path = of_job(&id);
    let mut stream = EventStream::open(&app.acme, &format!("{path}?after=evt_0")).await;
    let told = stream.take(3).await;
    assert_eq!(kinds(&told), ["queued", "processing", "done"]);
    numbering.rollback().await.unwrap();
    assert_eq!(kinds(&stream.rest().await), ["deleted"]);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_stream_of_a_job_ends_with_it_and_whoever_comes_back_is_sent_away() {
    let app = TestApp::builder().replicas(2).start().await;
    let there = app.acme.at(&app.replicas[1].base);
    let (id, attempt, gladia_id) = processing(&app).await;
    let other = app.acme.start("endless.mp3").await;
    let path = of_job(&id);
    let mut stream = EventStream::open(&there, &path).await;
    let mut told = stream.take(2).await;
    app.call_back(attempt.id, success(&gladia_id, "words"))
        .await;
    told.extend(stream.rest().await);
    assert_eq!(kinds(&told), ["queued", "processing", "done"]);
    let answer = ask_after(&app.acme, &path, &told[2].cursor()).await;
    assert_eq!((answer.status, answer.bytes.len()), (204, 0));
    // Whoever has not seen it all gets the rest, wherever it was.
    let rest = EventStream::resume(&there, &path, &told[0].cursor())
        .await
        .rest()
        .await;
    assert_eq!(rest, told[1..]);
    let mut again = EventStream::open(&app.acme, &format!("{path}?after=evt_0")).await;
    assert_eq!(again.rest().await, told);
    // Its erasure is told, though nothing else is.
    app.acme.delete(&id).await;
    let deleted = EventStream::resume(&there, &path, &told[2].cursor())
        .await
        .rest()
        .await;
    assert_eq!(kinds(&deleted), ["deleted"]);
    app.acme
        .get(&format!("/v1/transcriptions/{id}"))
        .await
        .problem(410, "transcription-deleted");
    let answer = ask_after(&app.acme, &path, &deleted[0].cursor()).await;
    assert_eq!(answer.status, 204);

    let mut stream = EventStream::open(&there, &of_job(&other)).await;
    stream.take(2).await;
    app.acme.cancel(&other).await.expect(200);
    assert_eq!(kinds(&stream.rest().await), ["canceled"]);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_after_an_error_is_told_by_a_new_stream() {
    let app = TestApp::start().await;
    let id = app.acme.start("failing.mp3").await;
    let path = of_job(&id);
    let told = EventStream::open(&app.acme, &path).await.rest().await;
    let failed = told.last().unwrap();
    assert_eq!(failed.kind, "transcription.error");
    assert_eq!(
        failed.json()["data"]["error"],
        json!({"type": "transcription_failed", "code": 422})
    );
    let answer = ask_after(&app.acme, &path, &failed.cursor()).await;
    assert_eq!(answer.status, 204);
    app.acme.retry(&id).await.expect(202);
    let later = EventStream::resume(&app.acme, &path, &failed.cursor())
        .await
        .rest()
        .await;
    assert_eq!(kinds(&later).first(), Some(&"queued"));
    assert_eq!(kinds(&later).last(), Some(&"error"));
    // The error in the middle is not the end.
    let whole = EventStream::open(&app.acme, &path).await.rest().await;
    assert_eq!(whole, [told, later].concat());
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_without_events_that_can_be_told_ends_its_stream_at_once() {
    let app = TestApp::start().await;
    let id = app.acme.start("a.mp3").await;
    app.acme.wait_until_done(&id).await;
    app.all_numbered().await;
    // As it is with those from before there were numbers.
    app.execute("UPDATE events SET number = 0").await;
    assert_eq!(app.acme.get(&of_job(&id)).await.status, 204);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_types_that_are_asked_for_are_told() {
    let app = TestApp::start().await;
    let path = format!(
        "{STREAM}?types=transcription.done,transcription.error&types=transcription.canceled"
    );
    let mut live = EventStream::open(&app.acme, &path).await;
    for audio in ["a.mp3", "failing.mp3", "b.mp3"] {
        let id = app.acme.start(audio).await;
        app.acme
            .wait_until(
                &id,
                if audio == "failing.mp3" {
                    "error"
                } else {
                    "done"
                },
            )
            .await;
    }
    let told = live.take(3).await;
    assert_eq!(kinds(&told), ["done", "error", "done"]);
    let resumed = EventStream::resume(&app.acme, &path, "evt_0")
        .await
        .take(3)
        .await;
    assert_eq!(resumed, told);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_parameter_and_header_that_breaks_a_rule_is_named() {
    let app = TestApp::start().await;
    let id = app.acme.start("endless.mp3").await;
    let path = format!("{STREAM}?types=transcription.finished&after=42&after=evt_1&limit=3");
    let problem = ask_after(&app.acme, &path, "evt_042").await;
    let problem = problem.problem(400, "invalid-parameter");
    let errors = problem["errors"].as_array().unwrap();
    let named: Vec<_> = errors
        .iter()
        .map(|error| {
            let place = error.get("parameter").or_else(|| error.get("header"));
            place.unwrap().as_str().unwrap()
        })
        .collect();
    assert_eq!(named, ["types", "after", "after", "limit", "Last-Event-ID"]);
    let rule = errors[0]["rule"].as_str().unwrap();
    assert!(rule.contains("transcription.canceled"), "{rule}");
    // However many are right.
    let many = "types=transcription.done&".repeat(60);
    let problem = ask_after(&app.acme, &format!("{STREAM}?{many}limit=3"), "evt_0").await;
    let problem = problem.problem(400, "invalid-parameter");
    assert_eq!(problem["errors"][0]["parameter"], "limit");
    for (path, header) in [
        (STREAM, "42"),
        (&of_job(&id), "evt_-1"),
        (
            &format!("{}?types=transcription.done", of_job(&id)),
            "evt_0",
        ),
    ] {
        let answer = ask_after(&app.acme, path, header).await;
        answer.problem(400, "invalid-parameter");
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_told_of_another_tenants_jobs() {
    let app = TestApp::start().await;
    let mut theirs = EventStream::open(&app.globex, STREAM).await;
    let (id, attempt, gladia_id) = processing(&app).await;
    let answer = app.globex.get(&of_job(&id)).await;
    answer.problem(404, "not-found");
    let nobody = "01890000-0000-7000-8000-000000000000";
    for id in [nobody, "no-id"] {
        let answer = app.acme.get(&of_job(id)).await;
        answer.problem(404, "not-found");
    }
    app.call_back(attempt.id, success(&gladia_id, "words"))
        .await;
    app.acme.wait_until_done(&id).await;
    let own = app.globex.start("a.mp3").await;
    let told = theirs.take(2).await;
    assert!(told.iter().all(|told| told.job() == own), "{told:?}");
    let past = EventStream::resume(&app.globex, STREAM, "evt_0").await;
    assert_eq!({ past }.take(2).await, told);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_cut_off_before_the_first_event_comes_back_to_where_they_began() {
    let app = TestApp::start().await;
    let before = app.acme.start("a.mp3").await;
    app.acme.wait_until_done(&before).await;
    app.all_numbered().await;
    let path = format!("{STREAM}?types=transcription.done");
    let began_at = EventStream::open(&app.acme, &path).await.last_id.unwrap();
    let missed = app.acme.start("b.mp3").await;
    app.acme.wait_until_done(&missed).await;
    let mut stream = EventStream::resume(&app.acme, &path, &began_at).await;
    let told = stream.next().await;
    assert!(told.data.contains(&missed), "{}", told.data);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_may_read_may_listen() {
    let app = TestApp::start().await;
    let id = app.acme.start("endless.mp3").await;
    let reader = app.caller("acme", Scope::Read).await;
    for path in [STREAM, &of_job(&id)] {
        EventStream::open(&reader, path).await;
        let anonymous = app.acme.with_key(None);
        anonymous.get(path).await.problem(401, "unauthorized");
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_has_missed_what_is_gone_is_told_so() {
    let app = TestApp::start().await;
    let (running, _, _) = processing(&app).await;
    let ended = app.acme.start("a.mp3").await;
    app.acme.wait_until_done(&ended).await;
    app.all_numbered().await;
    let all = app.event_ids(&app.acme).await;
    let (first, last) = (all[0], *all.last().unwrap());
    app.expire_events_through(&app.acme, last - 1).await;
    let cursor = |id: i64| format!("evt_{id}");
    for path in [STREAM.to_owned(), of_job(&ended)] {
        let answer = ask_after(&app.acme, &path, &cursor(first)).await;
        let problem = answer.problem(410, "event-cursor-expired");
        assert_eq!(problem["oldest_after"], cursor(last - 1), "{path}");
        // So is whoever has seen what has not happened.
        let answer = ask_after(&app.acme, &path, &cursor(last + 1)).await;
        answer.problem(410, "event-cursor-expired");
    }
    let oldest_after = cursor(last - 1);
    let mut stream = EventStream::resume(&app.acme, STREAM, &oldest_after).await;
    assert_eq!(stream.next().await.id, last);
    // Without an id, a job's stream begins with what is kept.
    let kept = EventStream::open(&app.acme, &of_job(&ended)).await;
    assert_eq!(ids(&{ kept }.rest().await), [last]);
    // Nothing is gone of a job that has not ended.
    let mut stream = EventStream::resume(&app.acme, &of_job(&running), &cursor(first)).await;
    assert_eq!(stream.next().await.kind, "transcription.processing");
    let answer = ask_after(&app.acme, &of_job(&running), &cursor(last + 9)).await;
    answer.problem(410, "event-cursor-expired");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_listeners_of_one_tenant_hear_the_same() {
    let app = TestApp::builder().replicas(2).start().await;
    let mut streams = Vec::new();
    for number in 0..40 {
        let there = app.acme.at(&app.replicas[number % 2].base);
        streams.push(EventStream::open(&there, STREAM).await);
    }
    let id = app.acme.start("a.mp3").await;
    app.acme.wait_until_done(&id).await;
    app.all_numbered().await;
    let expected = app.event_ids(&app.acme).await;
    let mut heard = BTreeSet::new();
    for stream in &mut streams {
        heard.insert(ids(&stream.take(expected.len()).await));
    }
    assert_eq!(heard, BTreeSet::from([expected]));
    app.finish().await;
}
