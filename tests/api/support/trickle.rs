//! A body that is sent piece by piece, when the test says so.

use std::io;

use bytes::Bytes;
use reqwest::Body;
use tokio::sync::mpsc;

/// The other end of a body. Dropping it ends the body as if it were whole.
pub struct Trickle(mpsc::Sender<io::Result<Bytes>>);

impl Trickle {
    pub async fn send(&self, bytes: &[u8]) {
        let piece = Ok(Bytes::copy_from_slice(bytes));
        self.0.send(piece).await.expect("somebody reads the body");
    }
}

/// A body without a declared length, and what feeds it.
pub fn trickle() -> (Trickle, Body) {
    let (sender, receiver) = mpsc::channel(1);
    let pieces = futures_util::stream::unfold(receiver, |mut receiver| async move {
        receiver.recv().await.map(|piece| (piece, receiver))
    });
    (Trickle(sender), Body::wrap_stream(pieces))
}
