//! A delivery that is claimed, with what there is to send.

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::{
    db::{corrupt, events::EventRow},
    domain::{
        delivery::{Callback, DeadReason},
        event::{Event, PublicEventType},
        ids::{CallbackId, DeliveryId, EndpointId, JobId, LaneId, TenantId},
        job::JobErrorType,
        signing_secret::StoredSecret,
        trace_context::TraceContext,
        webhook_endpoint::{DisabledReason, EndpointStatus},
    },
};

/// A delivery that this process is to send now.
#[derive(Debug)]
pub struct ClaimedDelivery {
    /// Its id.
    pub id: DeliveryId,
    /// Whose it is.
    pub tenant_id: TenantId,
    /// With whom it shares its fate.
    pub lane_id: LaneId,
    /// Where it goes; `None`: to the callback of its job.
    pub endpoint_id: Option<EndpointId>,
    /// Tries since it was made or replayed, with this one.
    pub tries: u32,
    /// Whether nobody has tried before.
    pub is_first_try: bool,
    /// Whether its lane fails, or has not got anything through yet.
    pub is_unproven: bool,
    /// When it was claimed.
    pub claimed_at: DateTime<Utc>,
    /// The lease, by which this claim is known from any other one.
    pub lease_until: DateTime<Utc>,
    /// What there is to send.
    pub content: Content,
}

impl ClaimedDelivery {
    /// The endpoint that it goes to, and where that is.
    #[must_use]
    pub fn endpoint(&self) -> Option<(EndpointId, String)> {
        let Content::Message(contents) = &self.content else {
            return None;
        };
        match &contents.to {
            To::Endpoint { url, .. } => Some((self.endpoint_id?, url.clone())),
            To::Done { .. } | To::Failed { .. } => None,
        }
    }
}

/// What there is to send.
#[derive(Debug)]
pub enum Content {
    /// This.
    Message(Box<Contents>),
    /// Nothing, any more.
    Gone(DeadReason),
    /// Something that a newer version has written, and will send.
    Unknown,
}

/// What is told, and to whom.
#[derive(Debug)]
pub struct Contents {
    /// The event.
    pub event: Event,
    /// To whom.
    pub to: To,
    /// What signs it, the current secret first.
    pub secrets: Vec<StoredSecret>,
    /// The trace of its job.
    pub trace: Option<TraceContext>,
}

/// To whom a delivery goes, with what is told there.
#[derive(Debug)]
pub enum To {
    /// A webhook endpoint.
    Endpoint {
        /// Where.
        url: String,
        /// The result that is to be included.
        result: Option<ResultAt>,
    },
    /// Whoever asked for the job and has it done.
    Done {
        /// Where.
        callback: Callback,
        /// Which job.
        job_id: JobId,
        /// What it came to.
        result: ResultAt,
        /// The caller's.
        custom_metadata: Option<Box<RawValue>>,
    },
    /// Whoever asked for the job, which failed.
    Failed {
        /// Where.
        callback: Callback,
        /// Which job.
        job_id: JobId,
        /// Why.
        failure: Failure,
        /// The caller's.
        custom_metadata: Option<Box<RawValue>>,
    },
}

/// Where a result is.
#[derive(Debug, Clone, Copy)]
pub struct ResultAt {
    /// In the callback that brought it.
    pub callback_id: CallbackId,
    /// The size of that, unpacked.
    pub body_bytes: i64,
}

/// Why a job failed.
#[derive(Debug)]
pub struct Failure {
    /// Gladia's code, or what stands for it.
    pub code: i32,
    /// For people. `None` where the job was tried again since.
    pub message: Option<String>,
}

/// A request as it is stored, as far as callbacks tell of it.
#[derive(Deserialize)]
struct StoredRequest {
    #[serde(default)]
    options: StoredOptions,
}

#[derive(Deserialize, Default)]
struct StoredOptions {
    custom_metadata: Option<Box<RawValue>>,
}

/// The columns, before their text is understood.
pub(super) struct ClaimedRow {
    pub id: Uuid,
    pub tenant_id: Uuid,
    pub lane_id: Uuid,
    pub endpoint_id: Option<Uuid>,
    pub event_number: i64,
    pub tries: i32,
    pub is_first_try: bool,
    pub is_unproven: bool,
    pub claimed_at: DateTime<Utc>,
    pub lease_until: DateTime<Utc>,
    pub event_type: Option<String>,
    pub job_id: Option<Uuid>,
    pub about_endpoint_id: Option<Uuid>,
    pub occurred_at: Option<DateTime<Utc>>,
    pub data: Option<String>,
    pub url: Option<String>,
    pub includes_result: Option<bool>,
    pub endpoint_status: Option<String>,
    pub disabled_reason: Option<String>,
    pub callback: Option<String>,
    pub request: Option<String>,
    pub result_callback_id: Option<Uuid>,
    pub result_body_bytes: Option<i64>,
    pub error_code: Option<i32>,
    pub error_message: Option<String>,
    pub traceparent: Option<String>,
    pub tracestate: Option<String>,
    pub secret_ids: Vec<Uuid>,
    pub secret_key_ids: Vec<String>,
    pub secrets: Vec<Vec<u8>>,
}

impl From<ClaimedRow> for ClaimedDelivery {
    fn from(mut row: ClaimedRow) -> Self {
        // The others of the claim are leased, and to be sent whatever this one is like.
        let content = row.take_content().unwrap_or_else(|error| {
            tracing::error!(%error, delivery.id = %row.id, "Delivery {} cannot be understood", row.id);
            Content::Unknown
        });
        Self {
            id: row.id.into(),
            tenant_id: row.tenant_id.into(),
            lane_id: row.lane_id.into(),
            endpoint_id: row.endpoint_id.map(Into::into),
            tries: u32::try_from(row.tries).unwrap_or_default(),
            is_first_try: row.is_first_try,
            is_unproven: row.is_unproven,
            claimed_at: row.claimed_at,
            lease_until: row.lease_until,
            content,
        }
    }
}

impl ClaimedRow {
    fn take_content(&mut self) -> sqlx::Result<Content> {
        let (Some(event_type), Some(occurred_at)) = (self.event_type.take(), self.occurred_at)
        else {
            // The log has forgotten it.
            return Ok(Content::Gone(DeadReason::TranscriptionDeleted));
        };
        let event = EventRow {
            number: self.event_number,
            tenant_id: self.tenant_id,
            job_id: self.job_id,
            endpoint_id: self.about_endpoint_id,
            event_type,
            occurred_at,
            data: self.data.take(),
        };
        let Some(event) = event.understood() else {
            return Ok(Content::Unknown);
        };
        let to = match self.endpoint_id {
            Some(_) => self.take_endpoint(event.kind)?,
            None => self.take_callback(&event)?,
        };
        Ok(match to {
            Ok(to) => Content::Message(Box::new(Contents {
                event,
                to,
                secrets: self.take_secrets(),
                trace: TraceContext::from_stored(
                    self.traceparent.as_deref(),
                    self.tracestate.as_deref(),
                ),
            })),
            Err(reason) => Content::Gone(reason),
        })
    }

    fn result(&self) -> Option<ResultAt> {
        Some(ResultAt {
            callback_id: self.result_callback_id?.into(),
            body_bytes: self.result_body_bytes?,
        })
    }

    /// An endpoint may have been disabled or deleted while its delivery was made.
    fn take_endpoint(&mut self, kind: PublicEventType) -> sqlx::Result<Result<To, DeadReason>> {
        let (Some(url), Some(status)) = (self.url.take(), &self.endpoint_status) else {
            return Ok(Err(DeadReason::EndpointDeleted));
        };
        if status.parse::<EndpointStatus>().map_err(corrupt)? == EndpointStatus::Disabled {
            let is_gone = self.disabled_reason.as_deref() == Some(DisabledReason::Gone.as_str());
            return Ok(Err(if is_gone {
                DeadReason::EndpointGone
            } else {
                DeadReason::EndpointDisabled
            }));
        }
        let wants_result = self.includes_result == Some(true) && kind == PublicEventType::Done;
        // Without its result once that is erased.
        let result = self.result().filter(|_| wants_result);
        Ok(Ok(To::Endpoint { url, result }))
    }

    fn take_callback(&mut self, event: &Event) -> sqlx::Result<Result<To, DeadReason>> {
        let (Some(callback), Some(job_id)) = (self.callback.take(), event.job_id()) else {
            return Ok(Err(DeadReason::TranscriptionDeleted));
        };
        let callback = serde_json::from_str::<Callback>(&callback).map_err(corrupt)?;
        let custom_metadata = match self.request.take() {
            Some(request) => {
                let request = serde_json::from_str::<StoredRequest>(&request).map_err(corrupt)?;
                request.options.custom_metadata
            }
            None => None,
        };
        if event.kind == PublicEventType::Done {
            return Ok(match self.result() {
                Some(result) => Ok(To::Done {
                    callback,
                    job_id,
                    result,
                    custom_metadata,
                }),
                None => Err(DeadReason::TranscriptionDeleted),
            });
        }
        let kind = event.facts.error_type.as_deref();
        let kind = kind.and_then(|kind| kind.parse::<JobErrorType>().ok());
        let failure = Failure {
            code: kind
                .unwrap_or(JobErrorType::TranscriptionFailed)
                .gladias_code(event.facts.error_code.or(self.error_code)),
            message: self.error_message.take(),
        };
        Ok(Ok(To::Failed {
            callback,
            job_id,
            failure,
            custom_metadata,
        }))
    }

    fn take_secrets(&mut self) -> Vec<StoredSecret> {
        let ids = std::mem::take(&mut self.secret_ids);
        let key_ids = std::mem::take(&mut self.secret_key_ids);
        let sealed = std::mem::take(&mut self.secrets);
        ids.into_iter()
            .zip(key_ids)
            .zip(sealed)
            .map(|((id, key_id), sealed)| StoredSecret {
                id: id.into(),
                tenant_id: self.tenant_id.into(),
                endpoint_id: self.endpoint_id.map(Into::into),
                key_id,
                sealed,
            })
            .collect()
    }
}
