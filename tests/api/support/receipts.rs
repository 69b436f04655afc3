//! What remains of an erased transcription: the receipt.

use serde_json::Value;

use super::{Caller, eventually};

/// The receipt in the problem that an erased transcription answers with.
pub async fn receipt(caller: &Caller, id: &str) -> Value {
    let answer = caller.get(&format!("/v1/transcriptions/{id}")).await;
    answer.problem(410, "transcription-deleted")["erased"].clone()
}

/// Waits until the receipt says this of Gladia's copy.
pub async fn wait_for_receipt(caller: &Caller, id: &str, status: &str) -> Value {
    eventually(&format!("receipt that says {status}"), async || {
        let receipt = receipt(caller, id).await;
        (receipt["gladia"]["status"] == status).then_some(receipt)
    })
    .await
}
