//! One message and one receiver on a socket of this machine, which may do whatever it likes.

mod addresses;
mod answers;
mod receiver;
mod requests;

use std::{
    io::{self, ErrorKind},
    net::IpAddr,
    sync::Arc,
    time::{Duration, UNIX_EPOCH},
};

use chrono::{DateTime, Utc};
use futures_util::{FutureExt, future::BoxFuture};
use url::Url;
use uuid::Uuid;

use self::receiver::{Receiver, Says};
use super::{
    client::{Notifier, NotifierSettings, TIMEOUT},
    lookup::{Lookup, LookupError},
    message::{Message, SendErrorCode, Sent, SigningSecret},
};
use crate::domain::{delivery::CallbackMethod, ids::TenantId};

/// No name has an address.
#[derive(Debug)]
struct NoNames;

impl Lookup for NoNames {
    fn look_up(
        &self,
        _name: &str,
        _tenant_id: TenantId,
    ) -> BoxFuture<'static, Result<Vec<IpAddr>, LookupError>> {
        let error = io::Error::new(ErrorKind::NotFound, "no such name");
        async { Err(error.into()) }.boxed()
    }
}

/// What may call this machine by its IPv4 address.
fn notifier(timeout: Duration, lookup: impl Lookup + 'static) -> Notifier {
    let settings = NotifierSettings {
        allowed_networks: vec!["127.0.0.1/32".parse().unwrap()],
        allowed_ports: vec![80, 443],
        timeout,
    };
    Notifier::new(&settings, Arc::new(lookup)).unwrap()
}

fn message(url: Url) -> Message {
    Message {
        tenant_id: TenantId(Uuid::nil()),
        id: "evt_42".into(),
        url,
        method: CallbackMethod::Post,
        body: r#"{"id": "evt_42",  "text":"Grüße\u0000"}"#.into(),
        secrets: vec![SigningSecret(vec![7; 32])],
        traceparent: None,
    }
}

/// The receivers' libraries compare with the clock of the machine.
fn now() -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + UNIX_EPOCH.elapsed().unwrap()
}

async fn send(notifier: &Notifier, url: Url) -> Sent {
    notifier.send(&message(url), now()).await.unwrap()
}

/// Sends a message to a receiver of its own, which answers so.
async fn answered(says: Says) -> Sent {
    let receiver = Receiver::start(says).await;
    let notifier = notifier(TIMEOUT, NoNames);
    send(&notifier, receiver.url()).await
}

fn code(sent: &Sent) -> Option<SendErrorCode> {
    sent.error.as_ref().map(|error| error.code)
}
