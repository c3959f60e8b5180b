use axum::{body::Body, extract::Request, response::Response, routing::get, Router};
use followthrough::{Lifecycle, Serve, UnixPeer};
use std::{convert::Infallible, net::SocketAddr, time::Duration};
use tokio::net::{TcpListener, UnixListener};

#[derive(Clone)]
struct Db;

async fn answer(request: Request) -> Result<Response, Infallible> {
    Ok(Response::new(Body::from(request.uri().path().to_owned())))
}

fn describe(tcp: TcpListener, lifecycle: Lifecycle) -> Serve {
    let app = Router::new().route("/", get(|| async {})).with_state(Db);
    followthrough::serve(tcp, app)
        .lifecycle(lifecycle)
        .header_read_timeout(Duration::from_secs(10))
        .http1_max_headers(200)
        .http2_max_concurrent_streams(50)
}

async fn run(a: TcpListener, b: TcpListener, c: TcpListener, d: UnixListener) -> std::io::Result<()> {
    let app: Router = Router::new();
    followthrough::serve(a, app.clone().into_make_service()).await?;
    followthrough::serve(b, app.clone().into_make_service_with_connect_info::<SocketAddr>()).await?;
    followthrough::serve(c, tower::service_fn(answer)).await?;
    followthrough::serve(d, app.into_make_service_with_connect_info::<UnixPeer>()).await?;
    Ok(())
}

fn main() {
    let _ = (describe, run, answer);
}
