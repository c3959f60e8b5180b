use axum::Router;
use std::net::SocketAddr;

async fn run(listener: tokio::net::UnixListener, app: Router) {
    let app = app.into_make_service_with_connect_info::<SocketAddr>();
    let _report = followthrough::serve(listener, app).await;
}

fn main() {}
