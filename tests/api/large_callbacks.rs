//! Results of many hours: larger than any that is held in memory, or than what is read at all.

use bytes::Bytes;
use futures_util::stream;

use crate::support::{Answer, TestApp, callbacks::processing};

/// A success whose body has this many bytes or a few more, in pieces, and the words that it ends with.
fn pieces(gladia_id: &str, bytes: usize) -> Vec<Bytes> {
    let head = format!(
        r#"{{"id":"{gladia_id}","event":"transcription.success","payload":{{"metadata":{{"audio_duration":7.5}},"transcription":{{"utterances":["#
    );
    let word = r#"{"text":"word and word","start":0.6399999999999999,"end":1.28,"words":[]},"#;
    let piece = Bytes::from(word.repeat(1000));
    let mut pieces = vec![Bytes::from(head)];
    pieces.extend(std::iter::repeat_n(piece.clone(), bytes / piece.len() + 1));
    pieces.push(Bytes::from_static(
        br#"{"text":"the end"}],"full_transcript":"long"}}}"#,
    ));
    pieces
}

fn streamed(pieces: Vec<Bytes>) -> reqwest::Body {
    reqwest::Body::wrap_stream(stream::iter(pieces.into_iter().map(std::io::Result::Ok)))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_callback_of_sixty_megabytes_that_comes_in_pieces_completes_the_job() {
    let app = TestApp::start().await;
    let (id, attempt, gladia_id) = processing(&app).await;
    let body = pieces(&gladia_id, 60_000_000);
    let bytes: usize = body.iter().map(Bytes::len).sum();
    let url = app.callback_url(0, attempt.id);
    let answer = Answer::to(app.http.post(url).body(streamed(body))).await;
    assert_eq!(answer.status, 200);
    let row = "SELECT status FROM jobs";
    assert_eq!(app.scalar::<String>(row).await, "done");
    assert_eq!(app.callback_outcomes(&id).await, ["completed"]);
    let kept: i64 = app.scalar("SELECT body_bytes FROM callbacks").await;
    assert_eq!(usize::try_from(kept).unwrap(), bytes);
    app.finish().await;
}
