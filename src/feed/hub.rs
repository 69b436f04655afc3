//! Who waits for what.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::broadcast::{self, error::RecvError};

use super::Told;
use crate::domain::ids::{JobId, TenantId};

/// How many events a slow subscriber of a tenant may be behind before it has to read the database.
const TENANT_BACKLOG: usize = 256;

/// The same for a job, of which few events are to come and for which many may wait.
const JOB_BACKLOG: usize = 8;

/// What can be waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Topic {
    /// Everything of a tenant.
    Tenant(TenantId),
    /// Everything of a job.
    Job(JobId),
}

impl Topic {
    fn backlog(self) -> usize {
        match self {
            Self::Tenant(_) => TENANT_BACKLOG,
            Self::Job(_) => JOB_BACKLOG,
        }
    }
}

/// `None`: events may be missing here.
type Sent = Option<Arc<Told>>;

type Topics = Mutex<HashMap<Topic, broadcast::Sender<Sent>>>;

/// Hands events to those who wait for them in this process. Clones are the same.
#[derive(Debug, Clone, Default)]
pub struct Feed(Arc<Topics>);

impl Feed {
    /// Waits for a topic from now on. Read the database after this, not before.
    #[must_use]
    pub fn subscribe(&self, topic: Topic) -> Subscription {
        let mut topics = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let sender = topics
            .entry(topic)
            .or_insert_with(|| broadcast::Sender::new(topic.backlog()));
        Subscription {
            receiver: Some(sender.subscribe()),
            topic,
            feed: self.clone(),
        }
    }

    /// Hands events over, in the order of their numbers. Only the one reader of the log calls this.
    pub(super) fn publish(&self, events: &[Arc<Told>]) {
        let topics = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for event in events {
            let job = event.job_id.map(Topic::Job);
            for topic in [Some(Topic::Tenant(event.tenant_id)), job]
                .into_iter()
                .flatten()
            {
                if let Some(sender) = topics.get(&topic) {
                    // Without receivers it is on its way out.
                    let _ = sender.send(Some(Arc::clone(event)));
                }
            }
        }
    }

    /// Tells everybody that events may be missing: what follows begins later than their subscription.
    pub(super) fn publish_gap(&self) {
        let topics = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for sender in topics.values() {
            let _ = sender.send(None);
        }
    }

    /// Whether nobody waits for anything.
    pub(super) fn is_idle(&self) -> bool {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .is_empty()
    }
}

/// What came next.
#[derive(Debug, Clone)]
pub enum Next {
    /// An event, later than every one before it.
    Event(Arc<Told>),
    /// Events are missing, since the subscriber was too slow or early. They are in the database.
    Missed,
}

/// A place in the feed. Given up when dropped.
#[derive(Debug)]
pub struct Subscription {
    /// `None` only while it is dropped.
    receiver: Option<broadcast::Receiver<Sent>>,
    topic: Topic,
    feed: Feed,
}

impl Subscription {
    /// Waits for the next event. May be canceled without losing one.
    pub async fn next(&mut self) -> Next {
        let Some(receiver) = &mut self.receiver else {
            return std::future::pending().await;
        };
        match receiver.recv().await {
            Ok(Some(event)) => Next::Event(event),
            Ok(None) | Err(RecvError::Lagged(_)) => Next::Missed,
            // The sender stays for as long as this is subscribed.
            Err(RecvError::Closed) => std::future::pending().await,
        }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let mut topics = self.feed.0.lock().unwrap_or_else(PoisonError::into_inner);
        self.receiver = None;
        if topics
            .get(&self.topic)
            .is_some_and(|sender| sender.receiver_count() == 0)
        {
            topics.remove(&self.topic);
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use futures_util::FutureExt;
    use uuid::Uuid;

    use super::*;
    use crate::domain::event::{EventId, PublicEventType};

    fn told(number: i64, job: u128) -> Arc<Told> {
        Arc::new(Told {
            id: EventId(number),
            tenant_id: TenantId(Uuid::nil()),
            job_id: Some(JobId(Uuid::from_u128(job))),
            kind: PublicEventType::Done,
            known_since: None,
            body: Bytes::new(),
        })
    }

    fn next_id(subscription: &mut Subscription) -> Option<i64> {
        match subscription.next().now_or_never()? {
            Next::Event(event) => Some(event.id.0),
            Next::Missed => Some(-1),
        }
    }

    #[test]
    fn whoever_waits_for_a_job_hears_of_that_job_alone() {
        let feed = Feed::default();
        let mut of_job = feed.subscribe(Topic::Job(JobId(Uuid::from_u128(1))));
        let mut of_tenant = feed.subscribe(Topic::Tenant(TenantId(Uuid::nil())));
        let mut of_another = feed.subscribe(Topic::Tenant(TenantId(Uuid::from_u128(9))));
        feed.publish(&[told(1, 2), told(2, 1)]);
        assert_eq!(next_id(&mut of_job), Some(2));
        assert_eq!(next_id(&mut of_job), None);
        assert_eq!(next_id(&mut of_tenant), Some(1));
        assert_eq!(next_id(&mut of_tenant), Some(2));
        assert_eq!(next_id(&mut of_another), None);
    }

    #[test]
    fn whoever_falls_behind_is_told_so_and_goes_on() {
        let feed = Feed::default();
        let mut slow = feed.subscribe(Topic::Job(JobId(Uuid::from_u128(1))));
        let events: Vec<_> = (1..=20).map(|number| told(number, 1)).collect();
        feed.publish(&events);
        assert_eq!(next_id(&mut slow), Some(-1));
        assert!(next_id(&mut slow).is_some_and(|number| number > 0));
    }

    #[test]
    fn whoever_was_there_before_the_log_was_followed_is_told_so() {
        let feed = Feed::default();
        let mut early = feed.subscribe(Topic::Job(JobId(Uuid::from_u128(1))));
        feed.publish_gap();
        let mut late = feed.subscribe(Topic::Job(JobId(Uuid::from_u128(1))));
        feed.publish(&[told(1, 1)]);
        assert_eq!(next_id(&mut early), Some(-1));
        assert_eq!(next_id(&mut early), Some(1));
        assert_eq!(next_id(&mut late), Some(1));
    }

    #[test]
    fn a_topic_for_which_nobody_waits_takes_no_room() {
        let feed = Feed::default();
        let topic = Topic::Job(JobId(Uuid::from_u128(1)));
        let (one, two) = (feed.subscribe(topic), feed.subscribe(topic));
        drop(one);
        assert!(!feed.is_idle());
        drop(two);
        assert!(feed.is_idle());
    }
}
