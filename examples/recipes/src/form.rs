//! How do I handle an HTML form?
//!
//! `GET` shows the form and reads. `POST` stores the entry, so it is a durable write, and answers with a redirect, so that a
//! reload sends nothing twice. A client that leaves after it pressed the button has its entry stored.

use std::sync::{Arc, Mutex, PoisonError};

use axum::Form;
use axum::extract::State;
use axum::response::{Html, Redirect};
use followthrough::routing::get;
use followthrough::{Router, cancellable, durable_write};
use serde::Deserialize;

/// The entries; a clone is the same book.
#[derive(Clone, Debug, Default)]
pub struct GuestBook(Arc<Mutex<Vec<String>>>);

impl GuestBook {
    fn entries(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn add(&self, entry: String) {
        tokio::task::yield_now().await; // the database
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(entry);
    }
}

#[cancellable(read)]
async fn show(State(book): State<GuestBook>) -> Html<String> {
    let entries = book.entries().into_iter().map(|entry| format!("<li>{}</li>", escape(&entry)));
    let entries: String = entries.collect();
    Html(format!(
        "<!doctype html><title>Guest book</title><ul>{entries}</ul>\
         <form method=post><input name=entry required><button>Sign</button></form>"
    ))
}

/// Makes text of a guest harmless between two tags.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[derive(Deserialize)]
struct Signed {
    entry: String,
}

#[durable_write]
async fn sign(State(book): State<GuestBook>, Form(signed): Form<Signed>) -> Redirect {
    book.add(signed.entry).await;
    Redirect::to("/")
}

/// Returns the routes.
pub fn app(book: GuestBook) -> Router {
    Router::new().route("/", get(show).post(sign)).with_state(book)
}

#[cfg(test)]
mod tests {
    use axum::http::{Request, StatusCode};
    use followthrough::testing::disconnect_at_every_await;

    use super::*;
    use crate::ask::{ask, get};

    fn signed(entry: &str) -> Request<String> {
        Request::post("/")
            .header("content-type", "application/x-www-form-urlencoded")
            .body(format!("entry={entry}"))
            .unwrap()
    }

    #[tokio::test]
    async fn an_entry_whose_guest_has_left_is_in_the_book() {
        let book = GuestBook::default();
        let mut expected = 0;
        let summary = disconnect_at_every_await(app(book.clone()), signed("hello"), async |cut| {
            expected += usize::from(cut.is_begun() || !cut.was_cut());
            assert_eq!(book.entries().len(), expected);
        })
        .await;
        assert!(summary.begun() > 0, "{summary}");
    }

    #[tokio::test]
    async fn an_entry_is_shown_as_text() {
        let app = app(GuestBook::default());
        assert_eq!(ask(&app, signed("%3Cb%3Etea")).await.0, StatusCode::SEE_OTHER);
        assert!(ask(&app, get("/")).await.1.contains("<li>&lt;b&gt;tea</li>"));
    }
}
