//! `wait=` and `Prefer: wait=`: the answer comes with the end.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::support::{
    Answer, Caller, TestApp, audio,
    callbacks::processing,
    eventually,
    rows::{failure, success},
    waiting::{look_in_place, until_nobody_waits, until_somebody_waits, wait_in_place},
};

/// Asks for a transcription, and waits as the query says.
fn create(caller: &Caller, query: &str, audio: &str) -> RequestBuilder {
    let body = json!({ "audio_url": format!("https://audio.example/{audio}") });
    caller
        .request(Method::POST, &format!("/v1/transcriptions?{query}"))
        .json(&body)
}

/// The same, with a place to wait in. A repetition waits as the first time does.
fn create_in_place(caller: &Caller, key: &str) -> JoinHandle<Answer> {
    let request = create(caller, "wait=18", "a.mp3").header("idempotency-key", key);
    wait_in_place(request, |answer| answer.status == 202)
}

fn id_of(job: &Value) -> &str {
    job["id"].as_str().unwrap()
}

/// What an answer says to a job that has not ended.
#[track_caller]
fn expect_unended(answer: &Answer, status: u16) -> Value {
    let job = answer.expect(status);
    assert_eq!(answer.header("retry-after"), Some("3"));
    assert!(
        job.get("result").is_none() && job["finished_at"].is_null(),
        "{job}"
    );
    job
}

#[tokio::test(flavor = "multi_thread")]
async fn a_create_that_waits_is_answered_with_the_result() {
    let app = TestApp::builder().replicas(2).start().await;
    for caller in [app.acme.clone(), app.acme.at(&app.replicas[1].base)] {
        let answer = Answer::to(create(&caller, "wait=15", "spoken.mp3")).await;
        let job = answer.expect(200);
        assert_eq!(job["status"], "done");
        let words = &job["result"]["transcription"]["full_transcript"];
        assert_eq!(words, "Good morning from the harbour");
        let place = format!("/v1/transcriptions/{}", id_of(&job));
        assert!(answer.header("location").unwrap().ends_with(&place));
        assert_eq!(answer.header("retry-after"), None);
        assert_eq!(answer.header("preference-applied"), None);
        assert_eq!(app.acme.get(&place).await.text(), answer.text());
    }
    let upload = app.acme.upload_request(audio::short(), "spoken.wav", None);
    let answer = Answer::to(upload.query(&[("wait", "15")])).await;
    let job = answer.expect(200);
    assert!(job["result"].is_object(), "{job}");
    assert!(answer.header("location").is_some());
    let failed = Answer::to(create(&app.acme, "wait=15", "failing.mp3")).await;
    let failed = failed.expect(200);
    assert_eq!(failed["status"], "error");
    assert_eq!(failed["error"]["code"], 422);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_waited_long_enough_gets_what_is_there() {
    let app = TestApp::start().await;
    let started = Instant::now();
    let answer = Answer::to(create(&app.acme, "wait=1", "endless.mp3")).await;
    assert!(started.elapsed() >= Duration::from_secs(1));
    let job = expect_unended(&answer, 202);
    assert_eq!(job["status"], "processing", "it is told as it is now");
    let path = format!("/v1/transcriptions/{}", id_of(&job));
    assert!(answer.header("location").unwrap().ends_with(&path));
    expect_unended(&app.acme.get(&format!("{path}?wait=1")).await, 200);
    expect_unended(&app.acme.get(&format!("{path}?wait=0")).await, 200);
    expect_unended(
        &Answer::to(create(&app.acme, "wait=0", "endless.mp3")).await,
        202,
    );
    // Who does not speak of it is answered as ever.
    assert_eq!(app.acme.get(&path).await.header("retry-after"), None);
    let created = Answer::to(create(&app.acme, "", "endless.mp3")).await;
    created.expect(202);
    assert_eq!(created.header("retry-after"), None);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_look_that_waits_is_answered_when_the_job_ends_at_another_replica() {
    let app = TestApp::builder().replicas(2).start().await;
    for (body, status) in [
        (success as fn(&str, &str) -> String, "done"),
        (|id: &str, words: &str| failure(id, 500, words), "error"),
    ] {
        let (id, attempt, gladia_id) = processing(&app).await;
        let other = app.acme.at(&app.replicas[1].base);
        let path = format!("/v1/transcriptions/{id}?wait=15");
        let waiting = tokio::spawn(async move { other.get(&path).await });
        let url = app.callback_url(0, attempt.id);
        let callback = app.http.post(url).body(body(&gladia_id, "words"));
        assert_eq!(Answer::to(callback).await.status, 200);
        let ended = waiting.await.unwrap();
        assert_eq!(ended.expect(200)["status"], status);
        assert_eq!(ended.header("retry-after"), None);
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preference_is_heeded_and_the_answer_says_so() {
    let app = TestApp::start().await;
    let preferring = |request: RequestBuilder, preference: &str| {
        let preference = preference.to_owned();
        async move { Answer::to(request.header("prefer", preference)).await }
    };
    let answer = preferring(create(&app.acme, "", "a.mp3"), "respond-async, Wait=15").await;
    let done = answer.expect(200);
    assert_eq!(answer.header("preference-applied"), Some("wait=15"));
    let path = format!("/v1/transcriptions/{}", id_of(&done));
    for (preference, applied) in [
        ("wait=500", Some("wait=60")),
        ("wait=\"7\"; a=b, handling=strict", Some("wait=7")),
        ("wait=soon", None),
        ("respond-async", None),
    ] {
        let answer = preferring(app.acme.request(Method::GET, &path), preference).await;
        assert_eq!(answer.expect(200), done);
        assert_eq!(answer.header("preference-applied"), applied, "{preference}");
    }
    // The query wins, and then no preference was heeded.
    let answer = preferring(create(&app.acme, "wait=0", "endless.mp3"), "wait=15").await;
    expect_unended(&answer, 202);
    assert_eq!(answer.header("preference-applied"), None);
    let answer = preferring(create(&app.acme, "", "endless.mp3"), "wait=1").await;
    expect_unended(&answer, 202);
    assert_eq!(answer.header("preference-applied"), Some("wait=1"));
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_create_waits_too() {
    let app = TestApp::start().await;
    let (id, attempt, gladia_id) = {
        let keyed = create(&app.acme, "", "endless.mp3").header("idempotency-key", "k");
        let job = Answer::to(keyed).await.expect(202);
        let id = id_of(&job).to_owned();
        app.acme.wait_until(&id, "processing").await;
        let attempt = app.attempt(&id).await;
        (id, attempt.id, attempt.gladia_id.unwrap())
    };
    let again = create(&app.acme, "wait=15", "endless.mp3").header("idempotency-key", "k");
    let waiting = tokio::spawn(Answer::to(again));
    app.call_back(attempt, success(&gladia_id, "words")).await;
    let answer = waiting.await.unwrap();
    let job = answer.expect(200);
    assert_eq!((id_of(&job), &job["status"]), (id.as_str(), &json!("done")));
    assert_eq!(job["result"]["transcription"]["full_transcript"], "words");
    assert_eq!(answer.header("idempotency-replayed"), Some("true"));
    assert!(answer.header("location").is_some());
    // Without it, a repetition is answered as ever.
    let plain = create(&app.acme, "", "endless.mp3").header("idempotency-key", "k");
    let plain = Answer::to(plain).await.expect(202);
    assert!(plain.get("result").is_none());
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_caller_has_is_compared_with_what_the_wait_brings() {
    let app = TestApp::start().await;
    let (id, attempt, gladia_id) = processing(&app).await;
    let path = format!("/v1/transcriptions/{id}?wait=15");
    let tag = |answer: &Answer| answer.header("etag").unwrap().to_owned();
    let known = tag(&app.acme.get(&format!("/v1/transcriptions/{id}")).await);
    let get = |known: &str, path: &str| {
        let request = app.acme.request(Method::GET, path);
        Answer::to(request.header("if-none-match", known.to_owned()))
    };
    let still = get(&known, &format!("/v1/transcriptions/{id}?wait=1")).await;
    assert_eq!(
        (still.status, still.header("retry-after")),
        (304, Some("3"))
    );
    let waiting = tokio::spawn(get(&known, &path));
    app.call_back(attempt.id, success(&gladia_id, "words"))
        .await;
    let done = waiting.await.unwrap();
    assert_eq!(done.expect(200)["status"], "done");
    let same = get(&tag(&done), &path).await;
    assert_eq!((same.status, same.header("retry-after")), (304, None));
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wait_that_breaks_its_rule_is_refused_and_nothing_is_made() {
    let app = TestApp::start().await;
    for query in [
        "wait=61",
        "wait=-1",
        "wait=1.5",
        "wait=",
        "wait=now",
        "wait=1&wait=1",
    ] {
        let look = format!("/v1/transcriptions/{}?{query}", uuid::Uuid::nil());
        let upload = app.acme.upload_request(audio::short(), "a.wav", None);
        let (upload_client, upload) = upload.build_split();
        let mut upload = upload.unwrap();
        upload.url_mut().set_query(Some(query));
        let upload = RequestBuilder::from_parts(upload_client, upload);
        for request in [
            create(&app.acme, query, "a.mp3"),
            upload,
            app.acme.request(Method::GET, &look),
        ] {
            let problem = Answer::to(request).await.problem(400, "invalid-parameter");
            assert_eq!(
                problem["errors"][0]["parameter"], "wait",
                "{query}: {problem}"
            );
        }
    }
    let problem = Answer::to(create(&app.acme, "wiat=20&wait=61", "a.mp3")).await;
    let problem = problem.problem(400, "invalid-parameter");
    let told = [0, 1].map(|nth| problem["errors"][nth]["parameter"].as_str());
    assert_eq!(told, [Some("wiat"), Some("wait")], "{problem}");
    app.finish_with_nothing_kept().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn those_who_wait_hold_no_connection_of_the_database() {
    const WAITERS: usize = 20;
    let app = TestApp::builder()
        .set("DATABASE_POOL_SIZE", 2)
        .start()
        .await;
    let (id, attempt, gladia_id) = processing(&app).await;
    let waiters: Vec<_> = (0..WAITERS)
        .map(|index| {
            let (caller, id) = (app.acme.clone(), id.clone());
            tokio::spawn(async move {
                if index % 2 == 0 {
                    caller
                        .get(&format!("/v1/transcriptions/{id}?wait=18"))
                        .await
                } else {
                    caller
                        .get("/v1/events?after=latest&types=transcription.done&wait=18")
                        .await
                }
            })
        })
        .collect();
    // Others go on meanwhile, and so does the work.
    for number in 0..5 {
        let job = Answer::to(create(&app.globex, "wait=15", &format!("{number}.mp3"))).await;
        assert_eq!(job.expect(200)["status"], "done");
    }
    assert!(waiters.iter().all(|waiter| !waiter.is_finished()));
    app.call_back(attempt.id, success(&gladia_id, "words"))
        .await;
    for waiter in waiters {
        let answer = waiter.await.unwrap().expect(200);
        let done =
            answer["result"].is_object() || answer["events"][0]["type"] == "transcription.done";
        assert!(done, "{answer}");
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn as_many_wait_as_may_and_a_caller_who_hangs_up_makes_room() {
    let app = TestApp::builder()
        .set("MAX_WAITING_REQUESTS", 1)
        .start()
        .await;
    let (id, attempt, gladia_id) = processing(&app).await;
    let path = format!("/v1/transcriptions/{id}?wait=18");
    let waiting = look_in_place(&app.acme, &path);
    until_somebody_waits(&app.acme).await;
    let answer = app.acme.get("/v1/events?after=latest&wait=1").await;
    answer.problem(503, "too-many-waiting");
    assert_eq!(answer.header("retry-after"), Some("5"));
    // A transcription is shown as it is, and nobody is told that their preference was heeded.
    let asked = app
        .acme
        .request(Method::GET, &format!("/v1/transcriptions/{id}"));
    let now = Answer::to(asked.header("Prefer", "wait=18")).await;
    assert_eq!(now.expect(200)["status"], "processing");
    assert_eq!(now.header("preference-applied"), None);
    assert_eq!(now.header("retry-after"), Some("3"));
    // What is there is had without a wait; and a job is accepted however many wait.
    app.acme
        .get(&format!("/v1/transcriptions/{id}?wait=0"))
        .await
        .expect(200);
    app.acme.get("/v1/events?wait=5").await.expect(200);
    let other = Answer::to(create(&app.acme, "wait=15", "a.mp3")).await;
    let other = expect_unended(&other, 202);
    app.acme.wait_until_done(id_of(&other)).await;

    waiting.abort();
    until_nobody_waits(&app.acme).await;
    let next = look_in_place(&app.acme, &path);
    until_somebody_waits(&app.acme).await;
    app.call_back(attempt.id, success(&gladia_id, "words"))
        .await;
    assert_eq!(next.await.unwrap().expect(200)["status"], "done");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_create_whose_caller_hangs_up_goes_on() {
    let app = TestApp::builder()
        .set("MAX_WAITING_REQUESTS", 1)
        .start()
        .await;
    app.pause_dispatch().await;
    let hasty = create_in_place(&app.acme, "hasty");
    until_somebody_waits(&app.acme).await;
    hasty.abort();
    app.resume_dispatch().await;
    let id: String = app.scalar("SELECT id::text FROM jobs").await;
    app.acme.wait_until_done(&id).await;
    eventually("place to wait in", async || {
        let answer = app.acme.get("/v1/events?after=latest&wait=1").await;
        (answer.status == 200).then_some(())
    })
    .await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_ends_otherwise_ends_the_wait() {
    let app = TestApp::builder()
        .set("MAX_WAITING_REQUESTS", 1)
        .start()
        .await;
    app.pause_dispatch().await;
    let mut waiting = Vec::new();
    for key in ["canceled", "deleted"] {
        let request = create_in_place(&app.acme, key);
        until_somebody_waits(&app.acme).await;
        let id: String = app
            .scalar("SELECT id::text FROM jobs ORDER BY created_at DESC LIMIT 1")
            .await;
        if key == "canceled" {
            app.acme.cancel(&id).await.expect(200);
        } else {
            app.acme.delete(&id).await.expect(204);
        }
        waiting.push(request.await.unwrap());
    }
    assert_eq!(waiting[0].expect(200)["status"], "canceled");
    let erased = waiting[1].problem(410, "transcription-deleted");
    assert_eq!(erased["erased"]["by"], "request");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_the_process_ends_every_wait_with_what_is_there() {
    let app = TestApp::builder()
        .set("MAX_WAITING_REQUESTS", 1)
        .replicas(2)
        .start()
        .await;
    app.pause_dispatch().await;
    let other = app.acme.at(&app.replicas[1].base);
    let is_ending = Arc::new(AtomicBool::new(false));
    let request = create(&other, "wait=18", "a.mp3").header("idempotency-key", "k");
    let waiting = wait_in_place(request, {
        let is_ending = Arc::clone(&is_ending);
        move |answer| answer.status == 202 && !is_ending.load(Ordering::SeqCst)
    });
    until_somebody_waits(&other).await;
    is_ending.store(true, Ordering::SeqCst);
    let started = Instant::now();
    assert!(app.replicas[1].stop(Duration::from_secs(10)).await);
    assert!(started.elapsed() < Duration::from_secs(10));
    let job = expect_unended(&waiting.await.unwrap(), 202);
    assert_eq!(job["status"], "queued");
    app.resume_dispatch().await;
    app.acme.wait_until_done(id_of(&job)).await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_whose_requests_wait_leaves_places_to_others() {
    let app = TestApp::builder()
        .set("MAX_WAITING_REQUESTS", 2)
        .start()
        .await;
    let greedy = look_in_place(&app.acme, "/v1/events?after=latest&wait=18");
    until_somebody_waits(&app.acme).await;
    let refused = app.acme.get("/v1/events?after=latest&wait=1").await;
    let problem = refused.problem(503, "too-many-waiting");
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("as may of one tenant"), "{detail}");
    let waited = app.globex.get("/v1/events?after=latest&wait=1").await;
    assert_eq!(waited.expect(200)["events"], json!([]));
    assert!(!greedy.is_finished());
    greedy.abort();
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_change_list_heeds_a_preference_where_there_is_a_place() {
    let app = TestApp::builder()
        .set("MAX_WAITING_REQUESTS", 1)
        .start()
        .await;
    let preferring = |path: &str, preference: &str| {
        let request = app.acme.request(Method::GET, path);
        Answer::to(request.header("prefer", preference.to_owned()))
    };
    let started = Instant::now();
    let nothing = preferring("/v1/events?after=latest", "wait=1").await;
    assert_eq!(nothing.expect(200)["events"], json!([]));
    assert!(started.elapsed() >= Duration::from_secs(1));
    assert_eq!(nothing.header("preference-applied"), Some("wait=1"));
    assert_eq!(nothing.header("retry-after"), None);
    // The query wins.
    let asked = preferring("/v1/events?after=latest&wait=0", "wait=18").await;
    assert_eq!(asked.expect(200)["events"], json!([]));
    assert_eq!(asked.header("preference-applied"), None);

    let waiting = look_in_place(&app.acme, "/v1/events?after=latest&wait=18");
    until_somebody_waits(&app.acme).await;
    let declined = preferring("/v1/events?after=latest", "wait=18").await;
    assert_eq!(declined.expect(200)["events"], json!([]));
    assert_eq!(declined.header("preference-applied"), None);
    assert_eq!(declined.header("retry-after"), Some("3"));
    app.acme.start("a.mp3").await;
    let told = waiting.await.unwrap().expect(200);
    assert_eq!(told["events"][0]["type"], "transcription.queued");
    app.finish().await;
}
