use axum::Router;
use tokio::net::{TcpListener, UnixListener};

async fn run(port: TcpListener, unix: UnixListener) {
    let _report = followthrough::serve((port, unix), Router::new()).await;
}

fn main() {}
