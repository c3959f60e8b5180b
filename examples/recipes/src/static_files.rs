//! How do I serve static files beside an API?
//!
//! `ServeDir` is a tower service and no handler, so it has no policy. `nest_service` lets it in with a reason for the
//! reviewer: files are only read. The API keeps a router in which each handler has a policy.

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
    Router::new().route("/api/version", get(version)).nest_service(
        "/assets",
        ServeDir::new(folder),
        "static files are only read",
    )
}

#[cfg(test)]
mod tests {
    use axum::http::StatusCode;

    use super::*;
    use crate::ask::{ask, get};

    #[tokio::test]
    async fn files_and_handlers_are_served_side_by_side() {
        let folder = tempfile::tempdir().unwrap();
        let served = folder.path().join("served");
        std::fs::create_dir(&served).unwrap();
        std::fs::write(served.join("tea.txt"), "green").unwrap();
        std::fs::write(folder.path().join("secret.txt"), "secret").unwrap();
        let app = app(&served);
        assert_eq!(ask(&app, get("/assets/tea.txt")).await, (StatusCode::OK, "green".to_owned()));
        assert_eq!(ask(&app, get("/assets/coffee.txt")).await.0, StatusCode::NOT_FOUND);
        for path in ["/assets/../secret.txt", "/assets/%2e%2e%2fsecret.txt"] {
            assert_eq!(ask(&app, get(path)).await.0, StatusCode::NOT_FOUND, "{path}");
        }
        assert_eq!(ask(&app, get("/api/version")).await.1, env!("CARGO_PKG_VERSION"));
    }
}
