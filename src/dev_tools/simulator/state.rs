//! What a simulator knows: its files, its jobs, its ledger and its faults, behind one lock that is held briefly.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use chrono::{DateTime, Utc};
use serde_json::{Map, Value, value::RawValue};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use url::Url;
use uuid::Uuid;

use super::{
    Script, SimulatorSettings,
    faults::Faults,
    guard,
    ledger::{CallbackRecord, Ledger},
    media::Media,
    storage::Content,
};

/// The bytes of this many files are kept for download; of older ones, only what they are.
const KEPT_CONTENTS: usize = 400;

/// And no more than this many bytes in all: 4 GiB.
const KEPT_BYTES: u64 = 4 << 30;

/// Everything that handlers and jobs share.
#[derive(Debug)]
pub(super) struct State {
    pub(super) settings: SimulatorSettings,
    pub(super) script: Script,
    pub(super) public_url: Url,
    pub(super) bucket_url: Url,
    /// For audio.
    pub(super) fetcher: reqwest::Client,
    /// For callbacks and webhooks.
    pub(super) sender: reqwest::Client,
    pub(super) stop: CancellationToken,
    pub(super) tasks: TaskTracker,
    store: Mutex<Store>,
}

/// What changes.
#[derive(Debug)]
pub(super) struct Store {
    files: HashMap<Uuid, StoredFile>,
    contents: VecDeque<Uuid>,
    kept_bytes: u64,
    pub(super) jobs: HashMap<Uuid, Job>,
    /// Jobs as they were created.
    pub(super) order: Vec<Uuid>,
    pub(super) running: usize,
    pub(super) waiting: VecDeque<Uuid>,
    pub(super) ledger: Ledger,
    pub(super) faults: Faults,
}

/// A file that was uploaded or fetched.
#[derive(Clone, Debug)]
pub(super) struct StoredFile {
    pub(super) id: Uuid,
    pub(super) filename: String,
    /// Where it was fetched; none for uploads.
    pub(super) source: Option<String>,
    pub(super) media: Arc<Media>,
    pub(super) content: Option<Content>,
    /// Allows its download without a key.
    pub(super) token: Uuid,
}

impl StoredFile {
    /// What it is, without its bytes: for jobs, which must not keep them alive.
    pub(super) fn description(&self) -> Self {
        Self {
            content: None,
            ..self.clone()
        }
    }
}

/// Where a job's outcome is sent.
#[derive(Clone, Debug)]
pub(super) struct CallbackTarget {
    pub(super) url: Url,
    pub(super) put: bool,
}

/// Where a job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Status {
    Queued,
    Processing,
    Done,
    Error,
}

impl Status {
    pub(super) fn has_ended(self) -> bool {
        matches!(self, Self::Done | Self::Error)
    }
}

/// An accepted create and what became of it.
#[derive(Clone, Debug)]
pub(super) struct Job {
    pub(super) id: Uuid,
    pub(super) status: Status,
    pub(super) created_at: DateTime<Utc>,
    pub(super) started_at: Option<DateTime<Utc>>,
    pub(super) completed_at: Option<DateTime<Utc>>,
    pub(super) audio_url: String,
    /// The create's body as it came.
    pub(super) request: Arc<Map<String, Value>>,
    /// The options with their defaults.
    pub(super) request_params: Arc<Value>,
    pub(super) custom_metadata: Option<Value>,
    pub(super) callback: Option<CallbackTarget>,
    pub(super) file: Option<StoredFile>,
    pub(super) result: Option<Arc<RawValue>>,
    /// The SHA-256 of the result's bytes, which outlives them.
    pub(super) result_sha256: Option<String>,
    pub(super) error: Option<(u16, String)>,
    pub(super) callbacks: Vec<CallbackRecord>,
    /// Deleted jobs stay in the ledger, and are not found otherwise.
    pub(super) deleted: bool,
}

impl State {
    pub(super) fn new(
        settings: SimulatorSettings,
        public_url: Url,
        bucket_url: Url,
    ) -> anyhow::Result<Self> {
        let script = settings.script.clone().unwrap_or_default();
        Ok(Self {
            script: script.or(Script::bundled()),
            fetcher: guard::fetcher(settings.allow_private)?,
            sender: guard::sender(settings.allow_private)?,
            store: Mutex::new(Store::empty(&settings)),
            settings,
            public_url,
            bucket_url,
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
        })
    }

    /// The store. Nobody awaits while holding it, and a panic elsewhere does not take it away.
    pub(super) fn store(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets everything. Jobs that run notice that they are gone.
    pub(super) fn reset(&self) {
        *self.store() = Store::empty(&self.settings);
    }

    /// An absolute URL under the public one.
    pub(super) fn link(&self, path: &str) -> String {
        format!("{}{path}", self.public_url.as_str().trim_end_matches('/'))
    }
}

impl Store {
    fn empty(settings: &SimulatorSettings) -> Self {
        Self {
            files: HashMap::new(),
            contents: VecDeque::new(),
            kept_bytes: 0,
            jobs: HashMap::new(),
            order: Vec::new(),
            running: 0,
            waiting: VecDeque::new(),
            ledger: Ledger::default(),
            faults: Faults::none(settings.seed.unwrap_or_else(rand::random)),
        }
    }

    /// Keeps a file, and lets the bytes of the oldest go.
    pub(super) fn keep(&mut self, file: StoredFile) {
        let len = |file: &StoredFile| file.content.as_ref().map_or(0, Content::len);
        self.kept_bytes += len(&file);
        self.contents.push_back(file.id);
        self.files.insert(file.id, file);
        while self.contents.len() > KEPT_CONTENTS
            || (self.kept_bytes > KEPT_BYTES && self.contents.len() > 1)
        {
            let oldest = self.contents.pop_front();
            let Some(file) = oldest.and_then(|id| self.files.get_mut(&id)) else {
                break;
            };
            self.kept_bytes = self.kept_bytes.saturating_sub(len(file));
            file.content = None;
        }
    }

    pub(super) fn file(&self, id: Uuid) -> Option<&StoredFile> {
        self.files.get(&id)
    }

    /// A job that callers may see.
    pub(super) fn job(&self, id: Uuid) -> Option<&Job> {
        self.jobs.get(&id).filter(|job| !job.deleted)
    }
}
