//! How do I take uploaded files?
//!
//! A `Multipart` is still arriving while the handler runs, so a durable write does not take one: half of it would be saved
//! when the client leaves. The handler is a read while the parts arrive, and saving them is its durable statement: a client
//! that leaves has saved all files of its form, or none.

use std::io;
use std::path::PathBuf;

use axum::body::Bytes;
use axum::extract::multipart::{Multipart, MultipartError};
use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use followthrough::routing::post;
use followthrough::{Router, cancellable};

enum Refused {
    Form(MultipartError),
    Name,
    Disk(io::Error),
}

impl From<MultipartError> for Refused {
    fn from(error: MultipartError) -> Self {
        Self::Form(error)
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        match self {
            Self::Form(error) => error.into_response(),
            Self::Name => {
                (StatusCode::BAD_REQUEST, "a part needs a plain file name").into_response()
            }
            Self::Disk(error) => {
                tracing::error!(%error, "the files cannot be saved");
                StatusCode::INTERNAL_SERVER_ERROR.into_response()
            }
        }
    }
}

#[cancellable(read)]
#[deadline = "60s"]
async fn upload(State(folder): State<PathBuf>, mut form: Multipart) -> Result<StatusCode, Refused> {
    let mut files = Vec::new();
    while let Some(part) = form.next_field().await? {
        // The name comes from the client: a path in it would lead out of the folder.
        let name = part.file_name().filter(|name| is_plain(name)).ok_or(Refused::Name)?.to_owned();
        files.push((name, part.bytes().await?));
    }

    #[durable_write]
    save(&folder, files).await.map_err(Refused::Disk)?;

    Ok(StatusCode::CREATED)
}

fn is_plain(name: &str) -> bool {
    !name.is_empty() && !name.starts_with('.') && !name.contains(['/', '\\', '\0'])
}

async fn save(folder: &std::path::Path, files: Vec<(String, Bytes)>) -> io::Result<()> {
    for (name, bytes) in files {
        tokio::fs::write(folder.join(name), bytes).await?;
    }
    Ok(())
}

/// Returns the routes. The files of a form have at most 8 MiB and go to `folder`.
pub fn app(folder: PathBuf) -> Router {
    Router::new()
        .route("/files", post(upload))
        .layer(DefaultBodyLimit::max(8 * 1024 * 1024))
        .with_state(folder)
}

#[cfg(test)]
mod tests {
    use axum::http::Request;
    use followthrough::testing::disconnect_at_every_await;

    use super::*;
    use crate::ask::ask;

    fn form(names: [&str; 2]) -> Request<String> {
        let part = |name| {
            format!(
                "--b\r\ncontent-disposition: form-data; name=\"f\"; filename=\"{name}\"\r\n\r\ntea\r\n"
            )
        };
        Request::post("/files")
            .header("content-type", "multipart/form-data; boundary=b")
            .body(names.map(part).concat() + "--b--\r\n")
            .unwrap()
    }

    #[tokio::test]
    async fn all_files_of_a_form_are_saved_or_none() {
        let folder = tempfile::tempdir().unwrap();
        let app = app(folder.path().to_owned());
        // The disk may answer before the handler has to wait. Then no client leaves during the write.
        for _ in 0..50 {
            let summary =
                disconnect_at_every_await(app.clone(), form(["one", "two"]), async |cut| {
                    let names = ["one", "two"].map(|name| folder.path().join(name));
                    let saved =
                        names.iter().filter(|name| std::fs::remove_file(name).is_ok()).count();
                    assert_eq!(saved, if cut.is_begun() || !cut.was_cut() { 2 } else { 0 });
                })
                .await;
            if summary.begun() > 0 {
                return;
            }
        }
        panic!("no client left during the write");
    }

    #[tokio::test]
    async fn a_name_that_leads_out_of_the_folder_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let app = app(folder.path().join("inner"));
        std::fs::create_dir(folder.path().join("inner")).unwrap();
        let (status, _) = ask(&app, form(["one", "../two"])).await;
        assert_eq!(status, StatusCode::BAD_REQUEST);
        assert_eq!(std::fs::read_dir(folder.path().join("inner")).unwrap().count(), 0);
    }
}
