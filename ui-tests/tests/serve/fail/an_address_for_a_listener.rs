use axum::Router;

async fn run() {
    let _report = followthrough::serve("127.0.0.1:3000", Router::new()).await;
}

fn main() {}
