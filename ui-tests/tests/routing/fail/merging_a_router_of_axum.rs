use followthrough::Router;

fn app() -> Router {
    Router::new().merge(axum::Router::new())
}

fn main() {}
