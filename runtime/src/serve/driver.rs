//! Drives one connection from its accept to its end.
//!
//! Invariants:
//!
//! 1. hyper is polled before the phase and the timeouts are read, because a request or a response that has arrived
//!    by then is served.
//! 2. The connection ends in the poll that found it vacant, because a request may arrive before the next poll.
//! 3. A disconnect that hyper does not see drops hyper's connection future, because that takes the path of every
//!    other disconnect.
//! 4. While a stream has a task, every second poll only reschedules the connection's task. The streams that are
//!    ready run first, so their frames leave in one write.

use std::{
    fmt,
    future::poll_fn,
    io,
    pin::{Pin, pin},
    sync::{Arc, atomic::AtomicUsize},
    task::Poll,
    time::Duration,
};

use axum::{BoxError, extract::Request};
use http::Response;
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::OwnedSemaphorePermit,
    time::{Sleep, sleep},
};
use tower::Service;

use super::{
    accepted::{Accepted, shake_hands},
    app::App,
    executor::Executor,
    linger::linger,
    requests::Requests,
    settings::Settings,
    stream::{Observed, Stream},
};
use crate::{
    connection::{Connection, Task, peer_left},
    escaped::Escaped,
    repeated::Event,
    service::{Phase, ServiceState},
};

/// The time that an HTTP/2 peer has to answer the PING behind the first GOAWAY. Requests that crossed the GOAWAY
/// arrive before that answer, and hyper ends the connection after it.
const PONG: Duration = Duration::from_secs(1);

/// The state that all connections of a server share.
pub(super) struct Server<A> {
    pub(super) life: Arc<ServiceState>,
    pub(super) app: A,
    pub(super) settings: Settings,
    pub(super) half_close: bool,
    /// The number of upload bytes that the application holds.
    pub(super) uploads: Arc<AtomicUsize>,
    #[cfg(feature = "tls")]
    pub(super) tls: Option<tokio_rustls::TlsAcceptor>,
}

impl<A> Server<A> {
    /// Spawns the task that serves one connection.
    pub(super) fn spawn<P, K>(&self, accepted: Accepted<P>, slot: OwnedSemaphorePermit)
    where
        A: App<P, K>,
        P: fmt::Display + Clone + Send + Sync + 'static,
    {
        let (socket, peer, handshake) = accepted.into_parts();
        if let Some(idle) = self.settings.tcp_keepalive {
            socket.keep_alive(idle);
        }
        let (life, ahead) = (self.life.clone(), self.settings.ahead());
        let connection = Connection::open(life, socket, Box::new(peer.clone()), Some(slot), ahead);
        let stream = Stream::new(connection.clone());
        let made = self.app.connect(shake_hands(connection.clone(), peer, handshake));
        let (settings, half_close) = (self.settings, self.half_close);
        let uploads = self.uploads.clone();
        let driver =
            ConnectionDriver { connection: connection.clone(), settings, half_close, uploads };
        #[cfg(feature = "tls")]
        let tls = self.tls.clone();
        let until_its_end = async move {
            let service = match driver.until_over(made).await {
                Some(Ok(service)) => service,
                Some(Err(error)) => return handshake_failed(&driver.connection, &error),
                None => return,
            };
            #[cfg(feature = "tls")]
            let ended = match tls {
                // Boxed, so that a connection without TLS does not have the size of one with it.
                Some(tls) => {
                    let over_tls = Box::pin(async {
                        match driver.until_over(tls.accept(stream)).await {
                            Some(Ok(stream)) => driver.serve(stream, service).await,
                            Some(Err(error)) => {
                                handshake_failed(&driver.connection, &error);
                                Ok(Ended::Cut)
                            }
                            None => Ok(Ended::Cut),
                        }
                    });
                    over_tls.await
                }
                None => driver.serve(stream, service).await,
            };
            #[cfg(not(feature = "tls"))]
            let ended = driver.serve(stream, service).await;
            if let Err(error) = &ended {
                failed(&driver.connection, error);
            }
            if leaves_an_answer(&ended) && driver.connection.is_stream_gone() {
                linger(&driver.connection).await;
            }
        };
        drop(tokio::spawn(Task::new(until_its_end, connection)));
    }
}

#[cold]
fn handshake_failed(connection: &Connection, error: &io::Error) {
    let (peer, error) = (connection.peer().to_string(), error.to_string());
    connection.life().events.of(Event::Handshake).note(move |count| {
        tracing::debug!(
            target: "followthrough",
            peer = %Escaped(peer),
            error = %Escaped(error),
            count,
            "the handshake failed, closing the connection"
        );
    });
}

/// Logs the error with which hyper has ended a connection.
#[cold]
fn failed(connection: &Connection, error: &BoxError) {
    tracing::trace!(target: "followthrough", error = %Escaped(error), "connection ended");
    if !is_parse(error) {
        return;
    }
    let (peer, error) = (connection.peer().to_string(), error.to_string());
    connection.life().events.of(Event::Head).note(move |count| {
        tracing::debug!(
            target: "followthrough",
            peer = %Escaped(peer),
            error = %Escaped(error),
            count,
            "a request's head is malformed, closing the connection"
        );
    });
}

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    /// hyper has sent all responses.
    Sent,
    /// The peer had left, or a timeout had passed.
    Cut,
}

/// Returns whether a response may be in flight that a reset would overtake. hyper answers a malformed head itself,
/// and then ends in an error.
fn leaves_an_answer(ended: &Result<Ended, BoxError>) -> bool {
    match ended {
        Ok(ended) => *ended == Ended::Sent,
        Err(error) => is_parse(error),
    }
}

fn is_parse(error: &BoxError) -> bool {
    error.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_parse)
}

/// Drives one connection, in the connection's task, which an advance of the phase wakes.
struct ConnectionDriver {
    connection: Arc<Connection>,
    settings: Settings,
    half_close: bool,
    uploads: Arc<AtomicUsize>,
}

impl ConnectionDriver {
    async fn serve<I, S, B>(&self, stream: I, service: S) -> Result<Ended, BoxError>
    where
        I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        S: Service<Request, Response = Response<B>, Error = std::convert::Infallible>,
        S: Clone + Send + Sync + 'static,
        S::Future: Send + 'static,
        B: http_body::Body<Data: Send + 'static, Error: Into<BoxError>> + Send + 'static,
    {
        let connection = &self.connection;
        let stream = TokioIo::new(Observed::new(stream, connection.clone()));
        let builder = self.settings.builder(Executor::new(connection.clone()), self.half_close);
        let settings = &self.settings;
        let (times, limits) = (settings.body_times(), settings.upload_limits());
        let requests = Requests::new(service, connection.clone(), times, limits, &self.uploads);
        let mut serving = pin!(builder.serve_connection_with_upgrades(stream, requests));
        let mut shuts_down = false;
        // The runtime polls its sockets once more before hyper is told to shut down, so that a request that has
        // arrived is answered.
        let mut arrived = pin!(async {
            connection.life().reached(Phase::Closing).await;
            tokio::task::yield_now().await;
        });
        // The timer of `PONG`, set when an HTTP/2 connection begins its graceful shutdown.
        let mut pong: Option<Pin<Box<Sleep>>> = None;
        // Boxed, because it is needed only when hyper is not reading.
        let mut watch: Option<Pin<Box<_>>> = None;
        let mut gathered = false;
        poll_fn(|cx| {
            // Invariant 4.
            gathered = !gathered && connection.open_streams().have_tasks();
            if gathered {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            let mut had_streams;
            loop {
                connection.begin_poll();
                had_streams = connection.open_streams().have_tasks();
                let polled = serving.as_mut().poll(cx);
                connection.push(polled.is_ready(), cx);
                if let Poll::Ready(ended) = polled {
                    connection.handed_over();
                    return Poll::Ready(ended.map(|()| Ended::Sent));
                }
                // A batch is full only after bytes, so each turn has written, which uses up the task's budget.
                if connection.flushes().take_due() {
                    continue;
                }
                let closing = !shuts_down && connection.phase() >= Phase::Closing;
                if !closing || connection.is_new() || arrived.as_mut().poll(cx).is_pending() {
                    break;
                }
                shuts_down = true;
                connection.shuts_down();
                serving.as_mut().graceful_shutdown();
                pong = connection.speaks_http2().then(|| Box::pin(sleep(PONG)));
            }
            let is_over = !had_streams && self.is_over();
            // The timer wakes this task.
            let waits = |pong: &mut Pin<Box<Sleep>>| pong.as_mut().poll(cx).is_pending();
            let is_over = is_over && !pong.as_mut().is_some_and(waits);
            if is_over || connection.stall().is_over() {
                return Poll::Ready(Ok(Ended::Cut));
            }
            if !connection.is_blind() {
                return Poll::Pending;
            }
            let watch = watch
                .get_or_insert_with(|| Box::pin(peer_left(connection.clone(), self.half_close)));
            // Invariant 3.
            watch.as_mut().poll(cx).map(|()| Ok(Ended::Cut))
        })
        .await
    }

    /// Returns whether the connection has to end now: the peer was silent for too long, or the read grace is over
    /// and the connection is vacant.
    fn is_over(&self) -> bool {
        let Self { connection, .. } = self;
        connection.is_expired() || (connection.phase() >= Phase::Stopping && connection.is_vacant())
    }

    /// Runs a handshake before the first request. Returns `None` when its time is over.
    async fn until_over<F: Future>(&self, before: F) -> Option<F::Output> {
        let mut before = pin!(before);
        poll_fn(|cx| match before.as_mut().poll(cx) {
            Poll::Ready(done) => Poll::Ready(Some(done)),
            Poll::Pending if self.is_over() => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        })
        .await
    }
}
