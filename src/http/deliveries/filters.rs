//! The filters of the list, from the query.

use crate::{
    domain::{
        cursor::ListTag, delivery::DeliveryStatus, delivery_filter::DeliveryFilter, event::EventId,
    },
    http::request::{
        page::Filters,
        query::{Taken, unknown},
    },
};

/// All parameters of the list, for people.
const NAMES: &str = "endpoint_id, transcription_id, event_id, status, limit and cursor";

impl Filters for DeliveryFilter {
    fn take(&mut self, name: &str, value: &str) -> Result<Taken, String> {
        match name {
            "endpoint_id" => {
                let id = value.parse();
                self.endpoint_id = Some(id.map_err(|_| "must be the id of a webhook endpoint")?);
            }
            "transcription_id" => {
                let id = value.parse();
                self.job_id = Some(id.map_err(|_| "must be the id of a transcription")?);
            }
            "event_id" => self.event_id = Some(value.parse().map_err(|_| EventId::RULE)?),
            "status" => {
                let names = DeliveryStatus::ALL.map(DeliveryStatus::as_str).join(", ");
                let status = value.parse();
                self.status = Some(status.map_err(|_| format!("must be one of {names}"))?);
            }
            _ => return Err(unknown(NAMES)),
        }
        Ok(Taken::Once)
    }

    fn tag(&self) -> ListTag {
        ListTag::of("deliveries", &self.canonical_query())
    }
}
