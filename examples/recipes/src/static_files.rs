//! How do I serve static files beside an API?
//!
//! `ServeDir` is a tower service and no handler, so it has no policy. `merge_axum` lets it in with a reason for the reviewer:
//! files are only read. The API keeps a router in which each handler has a policy.

use std::path::Path;

use followthrough::routing::get;
use followthrough::{Router, cancellable};
use tower_http::services::ServeDir;

#[cancellable(read)]
async fn version() -> &'static str {
    env!("CARGO_PKG_VERSION")
}

/// Returns the routes: the files of `folder` below `/assets`, and the API.
pub fn app(folder: &Path) -> Router {
    let files = axum::Router::new().nest_service("/assets", ServeDir::new(folder));
    Router::new()
        .route("/api/version", get(version))
        .merge_axum(files, "static files are only read")
}

#[cfg(test)]
mod tests {
    use axum::http::StatusCode;

    use super::*;
    use crate::ask::{ask, get};

    #[tokio::test]
    async fn files_and_handlers_are_served_side_by_side() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("tea.txt"), "green").unwrap();
        let app = app(folder.path());
        assert_eq!(ask(&app, get("/assets/tea.txt")).await, (StatusCode::OK, "green".to_owned()));
        assert_eq!(ask(&app, get("/assets/coffee.txt")).await.0, StatusCode::NOT_FOUND);
        assert_eq!(ask(&app, get("/assets/../Cargo.toml")).await.0, StatusCode::NOT_FOUND);
        assert_eq!(ask(&app, get("/api/version")).await.1, env!("CARGO_PKG_VERSION"));
    }
}
