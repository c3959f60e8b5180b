//! A hand-written server, which runs each request as a task and so never drops a request.

use std::io;

use axum::{Router, body::Body, http::Request};
use followthrough::{ClientGone, Lifecycle, ShutdownReport};
use futures_util::StreamExt;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::ServiceExt;

use super::drain::{told_to_stop, until_drained};

/// Serves until `signal`.
pub async fn serve(
    listener: TcpListener,
    app: Router,
    lifecycle: Lifecycle,
    signal: impl Future<Output = ()>,
) -> io::Result<ShutdownReport> {
    let app = app.layer(lifecycle.layer());
    let connections = TaskTracker::new();
    let server = async {
        let mut stop = std::pin::pin!(told_to_stop(lifecycle.clone(), signal));
        loop {
            tokio::select! {
                () = &mut stop => break,
                accepted = listener.accept() => {
                    let (stream, _) = accepted?;
                    connections.spawn(connection(stream, app.clone()));
                }
            }
        }
        drop(listener);
        connections.close();
        connections.wait().await;
        Ok(())
    };
    until_drained(&lifecycle, server).await
}

/// Serves one request on a connection, such as `GET /stock`.
async fn connection(stream: TcpStream, app: Router) -> io::Result<()> {
    let (reader, mut writer) = stream.into_split();
    let mut lines = BufReader::new(reader).lines();
    let line = lines.next_line().await?.unwrap_or_default();
    let (method, path) = line.split_once(' ').unwrap_or(("GET", "/"));
    let request = Request::builder().method(method).uri(path).body(Body::empty());
    let mut request = request.map_err(io::Error::other)?;

    let gone = CancellationToken::new();
    request.extensions_mut().insert(ClientGone::new(gone.clone()));
    let response = tokio::spawn(app.oneshot(request));

    let answer = async {
        let Ok(response) = response.await.map_err(io::Error::other)?;
        let mut body = response.into_body().into_data_stream();
        while let Some(data) = body.next().await {
            writer.write_all(&data.map_err(io::Error::other)?).await?;
        }
        Ok(())
    };
    let watch = async {
        while let Ok(Some(_)) = lines.next_line().await {}
        gone.cancel(); // the client has closed the connection
        std::future::pending().await
    };
    tokio::select! {
        answered = answer => answered,
        never = watch => never,
    }
}
