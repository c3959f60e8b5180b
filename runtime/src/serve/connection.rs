//! One connection: its task, the tasks of its streams, and the order to close.

use std::{convert::Infallible, future::poll_fn, pin::pin, sync::Arc};

use axum::{body::Body, extract::Request};
use http::Response;
use hyper::body::Incoming;
use hyper_util::{rt::TokioIo, server::conn::auto::Builder, service::TowerToHyperService};
use tokio::net::TcpStream;
use tower::{Service, ServiceExt};

use super::connections::{Connection, Task};
use crate::lifecycle::{Life, Phase, Upload};

/// Runs what hyper spawns, the streams of HTTP/2 that is, where a shutdown can reach it.
#[derive(Clone, Debug)]
pub(super) struct Executor {
    connection: Arc<Connection>,
}

impl<F> hyper::rt::Executor<F> for Executor
where
    F: Future<Output: Send> + Send + 'static,
{
    fn execute(&self, future: F) {
        drop(tokio::spawn(Task::new(future, self.connection.clone())));
    }
}

/// Serves one connection in a task of its own.
pub(super) fn spawn<S, B>(
    life: &Arc<Life>,
    configure: impl FnOnce(Executor) -> Builder<Executor>,
    stream: TcpStream,
    app: S,
) where
    S: Service<Request, Response = Response<B>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
    B: http_body::Body<Data: Send, Error: Into<Box<dyn std::error::Error + Send + Sync>>>
        + Send
        + 'static,
{
    let connection = Connection::open(life.clone());
    let builder = configure(Executor { connection: connection.clone() });
    let service = TowerToHyperService::new(app.map_request(|request: http::Request<Incoming>| {
        request.map(|b| Body::new(Upload::new(b)))
    }));
    let watched = connection.clone();
    let serving = async move {
        let mut serving =
            pin!(builder.serve_connection_with_upgrades(TokioIo::new(stream), service));
        let mut told = false;
        poll_fn(|cx| {
            if !told && watched.phase() >= Phase::Closing {
                told = true;
                serving.as_mut().graceful_shutdown();
            }
            serving.as_mut().poll(cx)
        })
        .await
    };
    let logged = async move {
        if let Err(error) = serving.await {
            tracing::trace!(target: "followthrough", %error, "connection ended");
        }
    };
    drop(tokio::spawn(Task::new(logged, connection)));
}
