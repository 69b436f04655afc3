//! Connections: taken, given to the routes, and ended.
//!
//! HTTP/1.1 alone, without TLS: whatever stands in front of the service does the rest.

use std::{
    convert::Infallible,
    error::Error,
    future, io,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Poll, ready},
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    extract::Request,
    http::{HeaderValue, header},
    response::Response,
};
use futures_util::FutureExt;
use hyper::{
    body::Incoming,
    server::conn::http1::{Builder, Connection},
    service::{HttpService, service_fn},
};
use hyper_util::rt::TokioIo;
use tokio::{
    net::{TcpListener, TcpStream},
    time::{Instant, sleep_until},
};
use tokio_io_timeout::TimeoutWriter;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::Service;

use super::{
    answer_fate::{FateWatch, Watched},
    connections::{Connections, Place, Seat, ServedBody},
};

/// How long a connection may take to deliver the head of a request from its first byte on, and from its own beginning on to deliver
/// its first one. Load balancers may connect beforehand and keep such a connection for 60 s; if this were shorter, they would send
/// requests on connections that are just being closed.
pub const HEAD_TIMEOUT: Duration = Duration::from_secs(75);

/// What a connection reads before somebody takes it, and so what the head of a request may have. Heads of a few times as much are
/// answered 431: the last read before that is seen may bring more. A head is in memory for as long as its request is answered,
/// which may be a minute where that waits for news.
const READ_BYTES: usize = 64 * 1024;

/// How long a connection may make others wait.
#[derive(Debug, Clone, Copy)]
pub struct Timeouts {
    /// Until the head of a request is there that has begun, or is the first one.
    pub head: Duration,
    /// Between two requests.
    pub keep_alive: Duration,
    /// While there is something to be sent, and it takes nothing of that.
    pub answer_idle: Duration,
}

/// How long a connection without a request is still there once nothing new is accepted: for one that was on its way then.
const LAST_LOOK: Duration = Duration::from_millis(100);

/// How long nothing is accepted where the system has no means for one more connection. Ends of others give it some.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);

/// Ends the connection that a request came on, whatever is still to be sent there. Each request has it in its extensions.
#[derive(Debug, Clone, Default)]
pub struct CutOff(CancellationToken);

impl CutOff {
    /// Ends it.
    pub fn cut(&self) {
        self.0.cancel();
    }

    #[cfg(test)]
    pub(super) fn is_off(&self) -> bool {
        self.0.is_cancelled()
    }
}

/// A connection that fails where its other end takes nothing for too long.
type Socket = Watched<Pin<Box<TimeoutWriter<TcpStream>>>>;

/// What a connection is answered.
type Answered = Result<Response<ServedBody<Body>>, Infallible>;

/// Serves until `soft` is canceled, then until the requests that are under way have ended or `hard` is canceled. From `leaving` on
/// each answer closes its connection: whoever keeps one has none left when they end, and sends nothing on one that just does.
///
/// Returns how many requests `hard` has cut off.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    timeouts: Timeouts,
    connections: Connections,
    leaving: CancellationToken,
    soft: CancellationToken,
    hard: CancellationToken,
) -> usize {
    let mut http = Builder::new();
    // hyper's header timeout cannot tell a slow head from an idle connection, so `while_wanted` times both.
    http.header_read_timeout(None).max_buf_size(READ_BYTES);
    let attended = TaskTracker::new();
    let cut = Arc::<AtomicUsize>::default();
    let left = connections.clone();
    attended.spawn(leaving.cancelled_owned().map(move |()| left.leave()));
    while let Some(accepted) = soft.run_until_cancelled(listener.accept()).await {
        match accepted {
            Ok((stream, _)) => {
                // Small answers leave at once.
                let _ = stream.set_nodelay(true);
                let cut_off = CutOff::default();
                let seat = soft.run_until_cancelled(connections.seat(&cut_off)).await;
                let Some(seat) = seat else { break };
                let place = seat.place();
                let of_request = cut_off.clone();
                let fate_watch = FateWatch::default();
                let mut stream = TimeoutWriter::new(stream);
                stream.set_timeout(Some(timeouts.answer_idle));
                let stream = Watched::new(Box::pin(stream), fate_watch.clone(), place.clone());
                let router = router.clone();
                let service = service_fn(move |mut request: Request<Incoming>| {
                    let Some(serving) = place.begin() else {
                        // Its connection is just being ended.
                        return future::pending::<Answered>().right_future();
                    };
                    request.extensions_mut().insert(of_request.clone());
                    request.extensions_mut().insert(fate_watch.clone());
                    let request = request.map(|body| serving.body(body));
                    let answered = router.clone().call(request);
                    answered
                        .map(move |answered| {
                            answered.map(|mut answer| {
                                if serving.is_last() {
                                    let close = HeaderValue::from_static("close");
                                    answer.headers_mut().insert(header::CONNECTION, close);
                                }
                                answer.map(|body| serving.answer(body))
                            })
                        })
                        .left_future()
                });
                // There once, and not once more in the future that attends to it.
                let connection = Box::pin(http.serve_connection(TokioIo::new(stream), service));
                attended.spawn(attend(
                    seat,
                    connection,
                    timeouts,
                    soft.clone(),
                    hard.clone(),
                    cut_off,
                    Arc::clone(&cut),
                ));
            }
            Err(error) if is_the_callers(&error) => {}
            Err(error) => {
                tracing::error!(%error, "Cannot accept connections; trying again in a second");
                soft.run_until_cancelled(tokio::time::sleep(ACCEPT_PAUSE))
                    .await;
            }
        }
    }
    drop(listener);
    attended.close();
    attended.wait().await;
    cut.load(Ordering::SeqCst)
}

/// Serves one connection. Its place is free once it has ended. Counts it where `hard` ends it in the middle of a request.
async fn attend<S>(
    seat: Seat,
    connection: Pin<Box<Connection<TokioIo<Socket>, S>>>,
    timeouts: Timeouts,
    soft: CancellationToken,
    hard: CancellationToken,
    cut_off: CutOff,
    cut: Arc<AtomicUsize>,
) where
    S: HttpService<Incoming, ResBody = ServedBody<Body>, Error: Into<Box<dyn Error + Send + Sync>>>,
{
    let place = seat.place();
    {
        // Pinned where it is: a future that is handed on is in the task once more for each time.
        let served = pin!(serve_one(connection, &place, timeouts, &soft));
        let ended = hard.run_until_cancelled(cut_off.0.run_until_cancelled(served));
        if ended.await.is_none() && !place.is_idle() {
            cut.fetch_add(1, Ordering::SeqCst);
        }
    }
    drop(seat);
}

/// Serves one connection until it has ended, is not wanted any more, or `soft` is canceled and it has nothing under way.
async fn serve_one<S>(
    mut connection: Pin<Box<Connection<TokioIo<Socket>, S>>>,
    place: &Place,
    timeouts: Timeouts,
    soft: &CancellationToken,
) where
    S: HttpService<Incoming, ResBody = ServedBody<Body>, Error: Into<Box<dyn Error + Send + Sync>>>,
{
    let kept = {
        let wanted = pin!(while_wanted(connection.as_mut(), place, timeouts));
        soft.run_until_cancelled(wanted).await
    };
    let ended = if let Some(ended) = kept {
        ended
    } else {
        place.leave();
        // Until then nobody has room for it.
        Box::pin(finish(connection, place)).await
    };
    match ended {
        Some(Err(error)) if is_idle(&error) => {
            metrics::counter!("gateway_answers_cut_off_total").increment(1);
            tracing::debug!("A caller took nothing of its answer; the connection is ended");
        }
        Some(Err(error)) => tracing::debug!(%error, "A connection broke off"),
        _ => {}
    }
}

/// Polls a connection until it has ended, which it tells then, or has been without a request for too long.
async fn while_wanted<C: Future>(
    mut connection: Pin<&mut C>,
    place: &Place,
    timeouts: Timeouts,
) -> Option<C::Output> {
    let mut timer = pin!(sleep_until(Instant::now() + timeouts.head));
    future::poll_fn(|cx| {
        if let Poll::Ready(ended) = connection.as_mut().poll(cx) {
            return Poll::Ready(Some(ended));
        }
        // A request does not put the timer off: it goes off where the connection would have had to end without one, and is set
        // anew then. So the requests of a busy connection cost it nothing.
        loop {
            let until = place.waits_until(timeouts);
            if let Some(until) = until
                && until < timer.deadline()
            {
                timer.as_mut().reset(until);
            }
            ready!(timer.as_mut().poll(cx));
            let now = Instant::now();
            match until {
                Some(until) if until <= now => return Poll::Ready(None),
                Some(until) => timer.as_mut().reset(until),
                // Being served. It may begin to rest elsewhere, where a body is dropped, and is not told of that.
                None => timer.as_mut().reset(now + timeouts.keep_alive),
            }
        }
    })
    .await
}

/// Lets a connection end with the request that is under way, if one is.
async fn finish<S>(
    mut connection: Pin<Box<Connection<TokioIo<Socket>, S>>>,
    place: &Place,
) -> Option<hyper::Result<()>>
where
    S: HttpService<Incoming, ResBody = ServedBody<Body>, Error: Into<Box<dyn Error + Send + Sync>>>,
{
    // One that has arrived may not have been seen. A head that is not complete may never be.
    let look = future::poll_fn(|cx| match connection.as_mut().poll(cx) {
        Poll::Ready(ended) => Poll::Ready(Some(ended)),
        Poll::Pending if place.is_idle() => Poll::Pending,
        Poll::Pending => Poll::Ready(None),
    });
    match tokio::time::timeout(LAST_LOOK, look).await {
        Ok(None) => {}
        Ok(ended) => return ended,
        Err(_) => return None,
    }
    connection.as_mut().graceful_shutdown();
    Some(connection.await)
}

/// Whether a connection was ended since its other end took nothing. That the head of a request is late is no such error.
fn is_idle(error: &hyper::Error) -> bool {
    let cause = error.source().and_then(|cause| cause.downcast_ref());
    cause.is_some_and(|cause: &io::Error| cause.kind() == io::ErrorKind::TimedOut)
}

/// Whether a connection was gone before it could be accepted, which says nothing of the next one.
fn is_the_callers(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
    )
}
