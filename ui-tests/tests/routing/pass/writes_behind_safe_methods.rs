#![deny(warnings)]

use axum::response::Redirect;
use followthrough::{
    cancellable, durable_write,
    routing::{any, get, head, on, options, trace, MethodFilter, MethodRouter},
    Router,
};

#[durable_write(safe_method = "an OAuth provider redirects the browser here, with a code for one use")]
async fn callback() -> Redirect {
    Redirect::to("/")
}

#[cancellable(idempotent_write, safe_method = "the time of the last visit may be set twice")]
async fn userinfo() -> &'static str {
    "ada"
}

async fn undo() {}

#[cancellable(reversible_write, on_cancel = undo(), safe_method = "a hold per session")]
async fn hold() {}

#[cancellable(read, safe_method = "the link in the mail confirms once")]
async fn confirm() {
    #[durable_write]
    undo().await;
}

fn app() -> Router {
    let all: MethodRouter = head(callback).options(userinfo).trace(hold).get(confirm);
    Router::new()
        .route("/callback", get(callback))
        .route("/userinfo", get(userinfo))
        .route("/hold", options(hold))
        .route("/confirm", any(confirm))
        .route("/on", on(MethodFilter::GET.or(MethodFilter::POST), callback))
        .route("/trace", trace(callback))
        .route("/all", all)
        .method_not_allowed_fallback(callback)
        .fallback(callback)
}

fn main() {
    let _ = app();
}
