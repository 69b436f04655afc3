//! A file that goes on to Gladia while it comes: it is whole at both ends, or nothing came of it.

use std::{future::Future, io, time::Duration};

use axum::body::Bytes;
use futures_util::{
    Stream, StreamExt, TryStreamExt,
    stream::{self, BoxStream},
};
use tokio::sync::{mpsc, oneshot};

use crate::{
    gladia::error::GladiaError,
    http::problem::{Problem, ProblemType},
};

/// Chunks between the two connections. A few, so that neither waits for every single one of the other's.
const CHUNKS_IN_FLIGHT: usize = 4;

/// How long Gladia may take nothing of a file.
const STALL_TIMEOUT: Duration = Duration::from_mins(1);

/// Reads from the caller and sends to Gladia, until both are through or one of them gives up.
pub(super) async fn forward<T, U>(
    file: impl Stream<Item = Result<Bytes, Problem>>,
    send: impl FnOnce(BoxStream<'static, io::Result<Bytes>>) -> U,
) -> Result<T, Problem>
where
    U: Future<Output = Result<T, GladiaError>>,
{
    let (chunks, audio, mut whole) = audio_channel();
    let feed = async {
        tokio::pin!(file);
        while let Some(chunk) = file.try_next().await? {
            match tokio::time::timeout(STALL_TIMEOUT, chunks.send(Chunk::Data(chunk))).await {
                Ok(Ok(())) => {}
                // Gladia has answered already, or is gone; its answer says which.
                Ok(Err(_)) => return Ok(()),
                Err(_) => return Err(Problem::not_uploaded(GladiaError::Timeout)),
            }
        }
        let _ = chunks.send(Chunk::End).await;
        Ok::<(), Problem>(())
    };
    let upload = send(audio.boxed());
    tokio::pin!(feed, upload);
    let answer = tokio::select! {
        read = &mut feed => {
            // On an error the upload is dropped here, and with it its connection.
            read?;
            upload.await
        }
        answer = &mut upload => answer,
    };
    let answer = answer.map_err(Problem::not_uploaded)?;
    // An answer before the end of the file is a refusal, whatever it says.
    whole.try_recv().map_err(|_| {
        Problem::new(
            ProblemType::UpstreamFailed,
            "Gladia answered before it had the whole file. Nothing was kept; repeat the request.",
        )
    })?;
    Ok(answer)
}

/// What goes through the channel to Gladia's connection.
enum Chunk {
    Data(Bytes),
    /// The file is whole. A channel that closes without this breaks the upload off.
    End,
}

/// A way to Gladia's connection, what comes out of it there, and word once all of it has.
fn audio_channel() -> (
    mpsc::Sender<Chunk>,
    impl Stream<Item = io::Result<Bytes>> + Send + 'static,
    oneshot::Receiver<()>,
) {
    let (sender, receiver) = mpsc::channel(CHUNKS_IN_FLIGHT);
    let (is_whole, whole) = oneshot::channel();
    let audio = stream::unfold(Some((receiver, is_whole)), |open| async move {
        let (mut receiver, is_whole): (mpsc::Receiver<Chunk>, oneshot::Sender<()>) = open?;
        match receiver.recv().await {
            Some(Chunk::Data(chunk)) => Some((Ok(chunk), Some((receiver, is_whole)))),
            Some(Chunk::End) => {
                // Whoever has stopped waiting has no use for it.
                let _ = is_whole.send(());
                None
            }
            None => Some((Err(io::Error::other("the caller's upload broke off")), None)),
        }
    });
    (sender, audio, whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As many chunks as do not fit between the two connections.
    const CHUNKS: usize = 3 * CHUNKS_IN_FLIGHT;

    fn file() -> impl Stream<Item = Result<Bytes, Problem>> {
        stream::repeat_with(|| Ok(Bytes::from_static(b"audio"))).take(CHUNKS)
    }

    /// What comes of a file of which Gladia takes so many chunks and then answers that all is well. Which side is looked at
    /// first is up to chance, so it is tried often.
    async fn forwarded(taken: usize) -> Vec<Result<usize, Problem>> {
        let send = async |audio: BoxStream<'static, io::Result<Bytes>>| {
            Ok::<_, GladiaError>(audio.take(taken).count().await)
        };
        let tries = stream::iter(0..100).then(|_| forward(file(), send));
        tries.collect().await
    }

    #[tokio::test]
    async fn what_gladia_has_taken_to_its_end_is_whole() {
        for sent in forwarded(usize::MAX).await {
            assert_eq!(sent.unwrap(), CHUNKS);
        }
    }

    #[tokio::test]
    async fn an_answer_before_the_end_is_none_however_good_it_is() {
        for taken in [0, 1, CHUNKS - 1] {
            for sent in forwarded(taken).await {
                assert_eq!(sent.unwrap_err().kind(), ProblemType::UpstreamFailed);
            }
        }
    }

    #[tokio::test]
    async fn what_the_caller_breaks_off_breaks_off_there_too() {
        let broken = Problem::new(ProblemType::UploadInterrupted, "");
        let file = stream::iter([Ok(Bytes::from_static(b"audio")), Err(broken)]);
        let sent = forward(file, async |audio| Ok(audio.count().await)).await;
        assert_eq!(sent.unwrap_err().kind(), ProblemType::UploadInterrupted);
    }
}
