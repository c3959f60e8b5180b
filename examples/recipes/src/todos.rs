//! How do I keep a list of todos?
//!
//! The list is in memory, and a file has it for the next start. `POST` and `DELETE` change both, so they are durable writes: a
//! client that leaves in between would leave a todo in the file that the list does not show. `GET` only reads, so it may stop.

use std::collections::BTreeMap;
use std::io;
use std::path::Path as FilePath;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use followthrough::routing::{delete, get};
use followthrough::{Router, cancellable, durable_write};
use serde::Deserialize;

type List = BTreeMap<u64, String>;

/// The todos; a clone is the same list.
#[derive(Clone, Debug)]
pub struct Todos {
    file: Arc<FilePath>,
    list: Arc<Mutex<List>>,
    // Serialises the changes.
    turn: Arc<tokio::sync::Mutex<()>>,
}

impl Todos {
    /// Reads the list from `file`, which need not exist.
    ///
    /// # Errors
    ///
    /// Returns an error if the file cannot be read or has no list.
    pub async fn open(file: &FilePath) -> io::Result<Self> {
        let list = match tokio::fs::read(file).await {
            Ok(list) => serde_json::from_slice(&list)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => List::default(),
            Err(error) => return Err(error),
        };
        Ok(Self { file: file.into(), list: Arc::new(list.into()), turn: Arc::default() })
    }

    fn list(&self) -> MutexGuard<'_, List> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the list in the file, and then in memory.
    async fn change(&self, change: impl FnOnce(&mut List)) -> Result<(), StatusCode> {
        let _turn = self.turn.lock().await;
        let mut list = self.list().clone();
        change(&mut list);
        let written = tokio::fs::write(&self.file, serde_json::json!(list).to_string()).await;
        written.map_err(|error| {
            tracing::error!(%error, "the file cannot be written");
            StatusCode::INTERNAL_SERVER_ERROR
        })?;
        *self.list() = list;
        Ok(())
    }
}

#[cancellable(read)]
async fn list(State(todos): State<Todos>) -> Json<List> {
    Json(todos.list().clone())
}

#[derive(Deserialize)]
struct NewTodo {
    text: String,
}

#[durable_write]
#[deadline = "5s"]
async fn add(
    State(todos): State<Todos>,
    Json(new): Json<NewTodo>,
) -> Result<StatusCode, StatusCode> {
    let add = |list: &mut List| {
        let id = list.last_key_value().map_or(1, |(last, _)| last + 1);
        list.insert(id, new.text);
    };
    todos.change(add).await?;
    Ok(StatusCode::CREATED)
}

#[durable_write]
#[deadline = "5s"]
async fn remove(State(todos): State<Todos>, Path(id): Path<u64>) -> Result<StatusCode, StatusCode> {
    todos.change(|list| drop(list.remove(&id))).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Returns the routes.
pub fn app(todos: Todos) -> Router {
    Router::new()
        .route("/todos", get(list).post(add))
        .route("/todos/{id}", delete(remove))
        .with_state(todos)
}

#[cfg(test)]
mod tests {
    use followthrough::testing::disconnect_at_every_await;

    use super::*;
    use crate::ask::{ask, get, json};

    #[tokio::test]
    async fn the_file_and_the_list_agree_wherever_the_client_leaves() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("todos");
        let todos = Todos::open(&file).await.unwrap();
        // The disk may answer before the handler has to wait. Then no client leaves during the write.
        for _ in 0..50 {
            let new = json("POST", "/todos", r#"{"text":"buy tea"}"#);
            let summary = disconnect_at_every_await(app(todos.clone()), new, async |_| {
                let at_the_next_start = Todos::open(&file).await.unwrap();
                assert_eq!(*at_the_next_start.list(), *todos.list());
            })
            .await;
            if summary.begun() > 0 {
                return;
            }
        }
        panic!("no client left during the write");
    }

    #[tokio::test]
    async fn a_todo_is_added_and_removed() {
        let folder = tempfile::tempdir().unwrap();
        let app = app(Todos::open(&folder.path().join("todos")).await.unwrap());
        let new = json("POST", "/todos", r#"{"text":"buy tea"}"#);
        assert_eq!(ask(&app, new).await.0, StatusCode::CREATED);
        assert_eq!(ask(&app, get("/todos")).await.1, r#"{"1":"buy tea"}"#);
        assert_eq!(ask(&app, json("DELETE", "/todos/1", "")).await.0, StatusCode::NO_CONTENT);
        assert_eq!(ask(&app, get("/todos")).await.1, "{}");
    }
}
