use followthrough::Router;

fn merged() -> Router {
    Router::new().merge(axum::Router::new())
}

fn nested() -> Router<String> {
    Router::new().nest("/api", axum::Router::new().route("/", axum::routing::get(|| async {})))
}

fn main() {}
