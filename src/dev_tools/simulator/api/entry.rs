//! A request's entry in the ledger, from its first byte to its answer.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use axum::{
    body::{Body, Bytes, HttpBody as _},
    http::{HeaderValue, StatusCode, header, request::Parts},
};
use futures_util::TryStreamExt as _;

use crate::dev_tools::simulator::{
    clock,
    faults::Operation,
    ledger::{RequestNumber, RequestRecord},
    state,
};

/// An open entry. If the client vanishes it stays without an answer.
pub(super) struct Entry<'a> {
    state: &'a state::State,
    number: RequestNumber,
    bytes: Arc<AtomicU64>,
    upload: bool,
    whole: AtomicBool,
    settled: AtomicBool,
}

impl<'a> Entry<'a> {
    pub(super) fn open(
        state: &'a state::State,
        parts: &Parts,
        operation: Option<Operation>,
    ) -> Self {
        let text = |value: &HeaderValue| value.to_str().ok().map(str::to_owned);
        let record = RequestRecord {
            at: clock::now(),
            origin: "api",
            method: parts.method.to_string(),
            path: parts.uri.path().to_owned(),
            query: parts.uri.query().map(str::to_owned),
            status: None,
            has_key: parts.headers.contains_key("x-gladia-key"),
            user_agent: parts.headers.get(header::USER_AGENT).and_then(text),
            body_bytes: 0,
            completed: false,
            severed: false,
        };
        Self {
            state,
            number: state.store().ledger.open(record, operation),
            bytes: Arc::default(),
            upload: operation == Some(Operation::Upload),
            whole: AtomicBool::new(false),
            settled: AtomicBool::new(false),
        }
    }

    /// The body has come as a whole.
    pub(super) fn received(&self, bytes: u64) {
        self.bytes.store(bytes, Ordering::Relaxed);
        self.whole();
    }

    /// The request has been read as far as it is going to be.
    pub(super) fn whole(&self) {
        self.whole.store(true, Ordering::Relaxed);
    }

    /// The body, counted while it is read.
    pub(super) fn counted(&self, body: Body) -> Body {
        if body.is_end_stream() {
            return body;
        }
        let bytes = Arc::clone(&self.bytes);
        Body::from_stream(body.into_data_stream().inspect_ok(move |chunk: &Bytes| {
            bytes.fetch_add(chunk.len() as u64, Ordering::Relaxed);
        }))
    }

    /// An answer goes out.
    pub(super) fn close(&self, status: StatusCode, interrupted: bool) {
        if interrupted {
            self.whole.store(false, Ordering::Relaxed);
        }
        self.settle(Some(status.as_u16()), interrupted, false);
    }

    /// The simulator breaks the connection.
    pub(super) fn sever(&self) {
        self.settle(None, false, true);
    }

    fn settle(&self, status: Option<u16>, interrupted: bool, severed: bool) {
        self.settled.store(true, Ordering::Relaxed);
        let mut store = self.state.store();
        if self.upload && interrupted {
            store.ledger.counts.uploads_interrupted += 1;
        }
        if let Some(record) = store.ledger.record(self.number) {
            record.status = status;
            record.completed = self.whole.load(Ordering::Relaxed);
            record.severed = severed;
            record.body_bytes = self.bytes.load(Ordering::Relaxed);
        }
    }
}

impl Drop for Entry<'_> {
    fn drop(&mut self) {
        if !self.settled.load(Ordering::Relaxed) {
            self.whole.store(false, Ordering::Relaxed);
            self.settle(None, true, false);
        }
    }
}
