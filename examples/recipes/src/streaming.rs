//! How do I stream a large body to a file and back?
//!
//! The upload is a read until its last byte is on the disk under a temporary name, which is removed if the client leaves.
//! Giving it its real name is the durable statement. The download is a `#[cancellable(stream)]`: a response that is cut never
//! looks whole.

use std::io;
use std::path::PathBuf;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use followthrough::routing::get;
use followthrough::{Router, cancellable};
use serde::Deserialize;
use tokio::fs::File;
use tokio::io::AsyncWriteExt;
use tokio_stream::StreamExt;
use tokio_util::io::ReaderStream;

/// A name without a path.
#[derive(Deserialize)]
#[serde(try_from = "String")]
struct Name(String);

impl TryFrom<String> for Name {
    type Error = &'static str;

    fn try_from(name: String) -> Result<Self, Self::Error> {
        let is_path = name.starts_with('.') || name.contains(['/', '\\', '\0']);
        if is_path { Err("expected a plain file name") } else { Ok(Self(name)) }
    }
}

/// The size of the largest file.
const MOST_BYTES: usize = 1 << 30;

enum Failure {
    Body(axum::Error),
    TooLarge,
    Disk(io::Error),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Disk(error)
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        match self {
            Self::Body(error) => (StatusCode::BAD_REQUEST, error.to_string()).into_response(),
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE.into_response(),
            Self::Disk(error) if error.kind() == io::ErrorKind::NotFound => {
                StatusCode::NOT_FOUND.into_response()
            }
            Self::Disk(error) => {
                tracing::error!(%error, "the disk failed");
                StatusCode::INTERNAL_SERVER_ERROR.into_response()
            }
        }
    }
}

#[cancellable(read)]
#[deadline = "10m"]
async fn upload(
    State(folder): State<PathBuf>,
    Path(Name(name)): Path<Name>,
    body: Body,
) -> Result<StatusCode, Failure> {
    // Its file is removed when it is dropped.
    let (file, temporary) = tempfile::NamedTempFile::new_in(&folder)?.into_parts();
    let mut file = File::from_std(file);
    let mut chunks = body.into_data_stream();
    let mut bytes = 0;
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(Failure::Body)?;
        bytes += chunk.len();
        // axum's limit is for its extractors and not for a `Body`.
        if bytes > MOST_BYTES {
            return Err(Failure::TooLarge);
        }
        file.write_all(&chunk).await?;
    }
    file.sync_all().await?;

    #[durable_write]
    tokio::fs::rename(&temporary, folder.join(name)).await?;

    Ok(StatusCode::CREATED)
}

#[cancellable(stream)]
async fn download(
    State(folder): State<PathBuf>,
    Path(Name(name)): Path<Name>,
) -> Result<Body, Failure> {
    let file = File::open(folder.join(name)).await?;
    Ok(Body::from_stream(ReaderStream::new(file)))
}

/// Returns the routes over the files of `folder`.
pub fn app(folder: PathBuf) -> Router {
    Router::new().route("/files/{name}", get(download).put(upload)).with_state(folder)
}

#[cfg(test)]
mod tests {
    use axum::http::Request;
    use followthrough::testing::disconnect_at_every_await;

    use super::*;
    use crate::ask::{ask, get};

    fn put(path: &str) -> Request<String> {
        Request::put(path).body("tea".repeat(1000)).unwrap()
    }

    #[tokio::test]
    async fn half_of_an_upload_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let app = app(folder.path().to_owned());
        // The disk may answer before the handler has to wait. Then no client leaves during the write.
        for _ in 0..50 {
            let summary = disconnect_at_every_await(app.clone(), put("/files/tea"), async |cut| {
                let saved = std::fs::read_to_string(folder.path().join("tea")).ok();
                let whole = cut.is_begun() || !cut.was_cut();
                assert_eq!(saved, whole.then(|| "tea".repeat(1000)));
                if whole {
                    std::fs::remove_file(folder.path().join("tea")).unwrap();
                }
                assert_eq!(
                    std::fs::read_dir(folder.path()).unwrap().count(),
                    0,
                    "no temporary file"
                );
            })
            .await;
            if summary.begun() > 0 {
                return;
            }
        }
        panic!("no client left during the write");
    }

    #[tokio::test]
    async fn a_file_comes_back_and_a_path_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let app = app(folder.path().to_owned());
        assert_eq!(ask(&app, put("/files/tea")).await.0, StatusCode::CREATED);
        assert_eq!(ask(&app, get("/files/tea")).await, (StatusCode::OK, "tea".repeat(1000)));
        assert_eq!(ask(&app, get("/files/coffee")).await.0, StatusCode::NOT_FOUND);
        assert_eq!(ask(&app, put("/files/..%2Ftea")).await.0, StatusCode::BAD_REQUEST);
    }
}
