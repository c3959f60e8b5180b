use axum::Router;

#[derive(Clone)]
struct Db;

async fn run(listener: tokio::net::TcpListener, app: Router<Db>) {
    let _report = followthrough::serve(listener, app).await;
}

fn main() {}
