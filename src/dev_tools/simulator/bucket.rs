//! The object storage: another origin that serves files to whoever has the link, and must never see the API key.

use std::{io::Read as _, sync::Arc};

use axum::{
    Router,
    body::Body,
    extract::{Path, Query, Request, State},
    http::{StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse as _, Response},
    routing::get,
};
use bytes::Bytes;
use serde::Deserialize;
use url::Url;
use uuid::Uuid;

use super::{
    clock,
    ledger::RequestRecord,
    state::{self, StoredFile},
    storage::Content,
};

const CHUNK: usize = 64 * 1024;

/// A link like those that storages sign: whoever has it may download.
pub(super) fn presigned_url(bucket_url: &Url, file: &StoredFile) -> String {
    let mut url = bucket_url.clone();
    url.set_path(&format!("/files/{}", file.id));
    url.query_pairs_mut()
        .append_pair("X-Amz-Expires", "86400")
        .append_pair("X-Amz-Signature", &file.token.simple().to_string());
    url.into()
}

/// The storage's routes.
pub(super) fn router(state: Arc<state::State>) -> Router {
    Router::new()
        .route("/files/{id}", get(download))
        .layer(middleware::from_fn_with_state(Arc::clone(&state), watch))
        .with_state(state)
}

/// Notes every request, and refuses those that brought the key along.
async fn watch(State(state): State<Arc<state::State>>, request: Request, next: Next) -> Response {
    let has_key = request.headers().contains_key("x-gladia-key");
    let record = RequestRecord {
        at: clock::now(),
        origin: "storage",
        method: request.method().to_string(),
        path: request.uri().path().to_owned(),
        // The query is what allows the download.
        query: None,
        status: None,
        has_key,
        user_agent: None,
        body_bytes: 0,
        completed: true,
        severed: false,
    };
    let response = if has_key {
        state.store().ledger.counts.keys_leaked += 1;
        let message = "x-gladia-key must not be sent to the storage";
        (StatusCode::BAD_REQUEST, message).into_response()
    } else {
        next.run(request).await
    };
    state.store().ledger.open(
        RequestRecord {
            status: Some(response.status().as_u16()),
            ..record
        },
        None,
    );
    response
}

#[derive(Deserialize)]
struct Signed {
    #[serde(rename = "X-Amz-Signature")]
    signature: Option<Uuid>,
}

async fn download(
    State(state): State<Arc<state::State>>,
    Path(id): Path<Uuid>,
    Query(Signed { signature }): Query<Signed>,
) -> Response {
    let file = state.store().file(id).cloned();
    let Some(file) = file.filter(|file| signature == Some(file.token)) else {
        return (StatusCode::FORBIDDEN, "AccessDenied").into_response();
    };
    let Some(content) = file.content else {
        return (StatusCode::NOT_FOUND, "NoSuchKey").into_response();
    };
    let headers = [
        (header::CONTENT_TYPE, "application/octet-stream".to_owned()),
        (header::CONTENT_LENGTH, content.len().to_string()),
    ];
    (headers, Body::from_stream(chunks(&content))).into_response()
}

fn chunks(content: &Content) -> impl futures_util::Stream<Item = std::io::Result<Bytes>> + use<> {
    let mut reader = content.reader();
    async_stream::try_stream! {
        loop {
            let mut chunk = vec![0; CHUNK];
            let read = reader.read(&mut chunk)?;
            if read == 0 {
                break;
            }
            chunk.truncate(read);
            yield Bytes::from(chunk);
        }
    }
}
