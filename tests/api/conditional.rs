//! `If-None-Match`: what callers have is not sent again.

use reqwest::Method;

use crate::support::{
    Answer, Caller, TestApp,
    callbacks::processing,
    rows::{failure, success},
};

/// Asks for what is not this.
async fn get_other(caller: &Caller, path: &str, than: &str) -> Answer {
    let request = caller.request(Method::GET, path);
    Answer::to(request.header("if-none-match", than)).await
}

fn tag(answer: &Answer) -> String {
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.header("etag").expect("an ETag").to_owned()
}

#[track_caller]
fn expect_not_modified(answer: &Answer, tag: &str) {
    assert_eq!(answer.status, 304, "{}", answer.text());
    assert_eq!(answer.bytes.len(), 0);
    assert_eq!(answer.header("etag"), Some(tag));
    assert_eq!(answer.header("vary"), Some("accept-encoding"));
    // They would be those of what is not sent.
    assert_eq!(answer.header("content-length"), None);
    assert_eq!(answer.header("content-type"), None);
    assert_eq!(answer.header("content-encoding"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_sent_again_only_once_it_has_changed() {
    let app = TestApp::start().await;
    let (id, attempt, gladia_id) = processing(&app).await;
    let path = format!("/v1/transcriptions/{id}");
    let mut tags = vec![tag(&app.acme.get(&path).await)];
    assert!(tags[0].starts_with("W/\""), "{}", tags[0]);
    for body in [
        failure(&gladia_id, 500, "worker lost"),
        success(&gladia_id, "words"),
    ] {
        let latest = tags.last().unwrap();
        expect_not_modified(&get_other(&app.acme, &path, latest).await, latest);
        assert_eq!(app.call_back(attempt.id, body).await.status, 200);
        let changed = get_other(&app.acme, &path, &tags.join(", ")).await;
        tags.push(tag(&changed));
    }
    assert_eq!(app.acme.job(&id).await["status"], "done");
    let latest = tags.last().unwrap();
    expect_not_modified(&get_other(&app.acme, &path, latest).await, latest);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tag_is_recognised_in_a_list_by_a_star_and_in_whatever_encoding_it_came() {
    let app = TestApp::start().await;
    let id = app.acme.start("spoken.mp3").await;
    app.acme.wait_until_done(&id).await;
    let mut found = Vec::new();
    for path in [
        format!("/v1/transcriptions/{id}"),
        format!("/v1/transcriptions/{id}/result"),
    ] {
        let plain = tag(&app.acme.get(&path).await);
        for encoding in ["gzip", "zstd"] {
            let request = app.acme.request(Method::GET, &path);
            let answer = Answer::to(request.header("accept-encoding", encoding)).await;
            assert_eq!(tag(&answer), plain);
        }
        let strong = plain.strip_prefix("W/").unwrap();
        for list in [
            "*",
            &plain,
            strong,
            &format!("\"other\", {plain}"),
            &format!("\"a, b\",{strong} , \"c\""),
        ] {
            expect_not_modified(&get_other(&app.acme, &path, list).await, &plain);
        }
        let request = app.acme.request(Method::HEAD, &path);
        let head = Answer::to(request.header("if-none-match", &plain)).await;
        expect_not_modified(&head, &plain);
        for other in ["\"other\"", "nonsense", "\"*\""] {
            assert_eq!(tag(&get_other(&app.acme, &path, other).await), plain);
        }
        found.push(plain);
    }
    assert_ne!(found[0], found[1]);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_that_the_caller_has_is_not_even_read() {
    let app = TestApp::start().await;
    let id = app.acme.start("spoken.mp3").await;
    app.acme.wait_until_done(&id).await;
    let paths = [
        format!("/v1/transcriptions/{id}"),
        format!("/v1/transcriptions/{id}/result"),
    ];
    let mut tags = Vec::new();
    for path in &paths {
        tags.push(tag(&app.acme.get(path).await));
    }
    app.execute("UPDATE callbacks SET body = 'no zstd at all'")
        .await;
    for (path, tag) in paths.iter().zip(&tags) {
        app.acme.get(path).await.problem(500, "internal");
        expect_not_modified(&get_other(&app.acme, path, tag).await, tag);
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_there_is_nothing_to_be_had_a_condition_changes_nothing() {
    let app = TestApp::start().await;
    let (id, attempt, gladia_id) = processing(&app).await;
    let path = format!("/v1/transcriptions/{id}");
    let result = format!("{path}/result");
    let answer = get_other(&app.acme, &result, "*").await;
    answer.problem(409, "result-not-ready");
    app.call_back(attempt.id, success(&gladia_id, "words"))
        .await;
    app.acme.wait_until_done(&id).await;
    for path in [&path, &result] {
        let answer = get_other(&app.globex, path, "*").await;
        answer.problem(404, "not-found");
    }
    app.acme.delete(&id).await;
    for path in [&path, &result] {
        let answer = get_other(&app.acme, path, "*").await;
        answer.problem(410, "transcription-deleted");
    }
    let forgotten = "SELECT bool_and(body IS NULL AND result_frame_length IS NULL) FROM callbacks";
    assert!(app.scalar::<bool>(forgotten).await);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_is_sent_again_only_where_another_one_is_asked_for() {
    let app = TestApp::start().await;
    let id = app.acme.start("spoken.mp3").await;
    app.acme.wait_until_done(&id).await;
    let other = app.acme.start("spoken.mp3").await;
    app.acme.wait_until_done(&other).await;
    let path = |id: &str, what: &str| format!("/v1/transcriptions/{id}/export/{what}");
    let named = "srt?speaker_names=1:B&speaker_names=0:A&maximum_duration=5";
    let mut tags = Vec::new();
    for path in [
        path(&id, named),
        path(&id, "srt"),
        path(&id, "srt?speaker_names=0:A"),
        path(&id, "vtt"),
        path(&id, "csv"),
        path(&id, "json"),
        path(&other, "srt"),
    ] {
        let tag = tag(&app.acme.get(&path).await);
        assert!(tag.starts_with("W/\""), "{tag}");
        assert!(!tags.contains(&tag), "{path}");
        for known in [&tag, "*", &format!("\"other\", {tag}")] {
            expect_not_modified(&get_other(&app.acme, &path, known).await, &tag);
        }
        if let Some(before) = tags.last() {
            assert_eq!(get_other(&app.acme, &path, before).await.status, 200);
        }
        tags.push(tag);
    }
    for (same, tag) in [
        (
            "srt?maximum_duration=5.0&speaker_names=0:A&speaker_names=1:B",
            &tags[0],
        ),
        (
            "srt?minimum_duration=1&maximum_rows_per_caption=2",
            &tags[1],
        ),
    ] {
        let path = path(&id, same);
        expect_not_modified(&get_other(&app.acme, &path, tag).await, tag);
    }
    // There is no state that could be known.
    let missing = path(&id, "srt?language=de");
    let answer = get_other(&app.acme, &missing, "*").await;
    answer.problem(404, "translation-not-found");
    let answer = get_other(&app.acme, &path(&id, "srt?style=x"), &tags[1]).await;
    answer.problem(400, "invalid-parameter");
    // It is not even read.
    app.execute("UPDATE callbacks SET body = 'no zstd at all'")
        .await;
    let path = path(&id, "srt");
    app.acme.get(&path).await.problem(500, "internal");
    expect_not_modified(&get_other(&app.acme, &path, &tags[1]).await, &tags[1]);
    app.acme.delete(&id).await;
    let answer = get_other(&app.acme, &path, &tags[1]).await;
    answer.problem(410, "transcription-deleted");
    app.finish().await;
}
