//! Which of a tenant's deliveries a list shows.

use url::form_urlencoded;

use super::{
    delivery::DeliveryStatus,
    event::EventId,
    ids::{EndpointId, JobId},
};

/// Which of a tenant's deliveries a list shows: those for which everything that is said here holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeliveryFilter {
    /// It goes to this endpoint.
    pub endpoint_id: Option<EndpointId>,
    /// Its event is about this job.
    pub job_id: Option<JobId>,
    /// It is of this event.
    pub event_id: Option<EventId>,
    /// It is there.
    pub status: Option<DeliveryStatus>,
}

impl DeliveryFilter {
    /// The filter in the one spelling that it has, whatever the order in which it was asked for.
    #[must_use]
    pub fn canonical_query(&self) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        for (name, value) in [
            ("endpoint_id", self.endpoint_id.map(|id| id.to_string())),
            ("transcription_id", self.job_id.map(|id| id.to_string())),
            ("event_id", self.event_id.map(|id| id.to_string())),
            (
                "status",
                self.status.map(|status| status.as_str().to_owned()),
            ),
        ] {
            if let Some(value) = value {
                query.append_pair(name, &value);
            }
        }
        query.finish()
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn every_filter_makes_another_list() {
        let id = Uuid::from_u128(7);
        let all = DeliveryFilter::default();
        let filters = [
            all.clone(),
            DeliveryFilter {
                endpoint_id: Some(id.into()),
                ..all.clone()
            },
            DeliveryFilter {
                job_id: Some(id.into()),
                ..all.clone()
            },
            DeliveryFilter {
                event_id: Some(EventId(7)),
                ..all.clone()
            },
            DeliveryFilter {
                status: Some(DeliveryStatus::Dead),
                ..all
            },
        ];
        for (index, filter) in filters.iter().enumerate() {
            for other in &filters[..index] {
                assert_ne!(filter.canonical_query(), other.canonical_query());
            }
        }
    }
}
