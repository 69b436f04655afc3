//! Results that are too large to be unpacked before they are sent.

use std::io::Read;

use flate2::read::GzDecoder;
use reqwest::Method;

use crate::support::{
    Answer, TestApp,
    results::{ask, done_with, paths},
};

/// Several times what is unpacked at once.
const WORDS: usize = 150_000;

/// A job that is done with a large result; its id, and the result as it came.
async fn done(app: &TestApp) -> (String, String) {
    let words: Vec<String> = (0..WORDS).map(|nth| format!("word{nth}")).collect();
    done_with(app, &words.join(" ")).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_result_comes_byte_for_byte_and_says_its_length_first() {
    let app = TestApp::start().await;
    let (id, callback) = done(&app).await;
    let (_, payload) = callback.split_once("\"payload\":").unwrap();
    let payload = payload.strip_suffix('}').unwrap();
    for path in paths(&id) {
        let plain = Answer::to(ask(&app.acme, Method::GET, &path)).await;
        plain.expect(200);
        let text = std::str::from_utf8(&plain.bytes).unwrap();
        assert!(text.contains(payload), "{path}");
        let length = plain.bytes.len().to_string();
        assert_eq!(plain.header("content-length"), Some(&*length), "{path}");
        let head = Answer::to(ask(&app.acme, Method::HEAD, &path)).await;
        assert_eq!((head.status, head.bytes.len()), (200, 0), "{path}");
        assert_eq!(head.header("content-length"), Some(&*length), "{path}");
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_result_is_whole_in_every_encoding() {
    let app = TestApp::start().await;
    let (id, _) = done(&app).await;
    for path in paths(&id) {
        let plain = Answer::to(ask(&app.acme, Method::GET, &path)).await;
        plain.expect(200);
        let accepting = async |encoding: &str| {
            let asked = ask(&app.acme, Method::GET, &path).header("accept-encoding", encoding);
            let answer = Answer::to(asked).await;
            assert_eq!(answer.status, 200, "{path}");
            assert_eq!(answer.header("content-encoding"), Some(encoding), "{path}");
            answer.bytes
        };
        let mut unpacked = Vec::new();
        let gzip = accepting("gzip").await;
        GzDecoder::new(&gzip[..])
            .read_to_end(&mut unpacked)
            .unwrap_or_else(|error| panic!("{path}: {error}"));
        assert_eq!(unpacked, plain.bytes, "{path}");
        let zstd = accepting("zstd").await;
        assert_eq!(zstd::decode_all(&zstd[..]).unwrap(), plain.bytes, "{path}");
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_result_that_a_disk_has_changed_never_passes_for_whole() {
    let app = TestApp::start().await;
    let (id, _) = done(&app).await;
    // The checksum at the end of its frame: everything before it reads well.
    let checksum = change("result_frame_start + result_frame_length - 1");
    assert_eq!(app.execute(&checksum).await, 1);
    for path in paths(&id) {
        for accepted in ["identity", "gzip"] {
            let asked = ask(&app.acme, Method::GET, &path).header("accept-encoding", accepted);
            let answer = asked.send().await.unwrap();
            assert_eq!(answer.status(), 200, "{path}, {accepted}");
            assert!(answer.bytes().await.is_err(), "{path}, {accepted}");
        }
    }
    // Its very beginning.
    app.execute(&change("result_frame_start")).await;
    for path in paths(&id) {
        let answer = Answer::to(ask(&app.acme, Method::GET, &path)).await;
        assert_eq!(answer.status, 500, "{path}");
    }
    app.finish().await;
}

fn change(at: &str) -> String {
    format!(
        "UPDATE callbacks SET body = set_byte(body, ({at})::int, get_byte(body, ({at})::int) # 255)"
    )
}
