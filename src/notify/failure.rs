//! Why a message did not get through, as a stable code and a sentence.

use std::{error::Error, io, iter, time::Duration};

use reqwest::StatusCode;

use super::{
    answer::readable,
    guard::Refusal,
    message::{SendError, SendErrorCode},
};

/// The longest cause that is told. Certificates may have a lot to say.
const MOST_CAUSE_BYTES: usize = 300;

impl From<Refusal> for SendError {
    fn from(refusal: Refusal) -> Self {
        let code = match refusal {
            Refusal::Scheme | Refusal::Address => SendErrorCode::AddressRefused,
            Refusal::Port(_) => SendErrorCode::PortRefused,
        };
        Self {
            code,
            detail: format!("was not called: its URL {refusal}"),
        }
    }
}

/// The name has no address that is called. One that cannot be looked up, and one that leads inside, are told in the same words:
/// callers must not learn which names there are inside.
pub(super) fn no_address() -> SendError {
    SendError {
        code: SendErrorCode::NameResolution,
        detail: "was not called: its name has no public address, or could not be looked up"
            .to_owned(),
    }
}

/// The time is up.
pub(super) fn timed_out(timeout: Duration) -> SendError {
    SendError {
        code: SendErrorCode::Timeout,
        detail: format!("did not answer within {timeout:?}"),
    }
}

/// The receiver answered, and did not take the message.
pub(super) fn of_status(status: StatusCode) -> Option<SendError> {
    if status.is_success() {
        return None;
    }
    let number = status.as_u16();
    let (code, rest) = if status.is_redirection() {
        (
            SendErrorCode::Redirect,
            ", and redirects are not followed".to_owned(),
        )
    } else {
        let reason = status.canonical_reason();
        (
            SendErrorCode::HttpStatus,
            reason.map_or_else(String::new, |reason| format!(" {reason}")),
        )
    };
    Some(SendError {
        code,
        detail: format!("answered {number}{rest}"),
    })
}

/// No answer came about. The causes in between name addresses, so only the innermost is told.
pub(super) fn of_exchange(error: reqwest::Error) -> SendError {
    let error = error.without_url();
    let outermost: &(dyn Error + 'static) = &error;
    let causes = || iter::successors(Some(outermost), |error| (*error).source());
    let code = if error.is_timeout() {
        SendErrorCode::Timeout
    } else if causes().any(is_tls) {
        SendErrorCode::Tls
    } else {
        SendErrorCode::Connection
    };
    let cause = causes().last().map(bounded).unwrap_or_default();
    let what = match code {
        SendErrorCode::Timeout => "took no connection in time",
        SendErrorCode::Tls => "made no TLS connection",
        _ if error.is_connect() => "took no connection",
        _ => "broke off",
    };
    SendError {
        code,
        detail: format!("{what}: {cause}"),
    }
}

/// TLS errors travel inside of I/O errors, even of several, which show them to nobody who asks for a source.
fn is_tls(error: &(dyn Error + 'static)) -> bool {
    if let Some(error) = error.downcast_ref::<io::Error>() {
        return error.get_ref().is_some_and(|inner| is_tls(inner));
    }
    error.is::<rustls::Error>()
}

fn bounded(error: &(impl Error + ?Sized)) -> String {
    readable(&error.to_string(), MOST_CAUSE_BYTES)
}
