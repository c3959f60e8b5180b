use followthrough::{cancellable, durable_write, exempt};

#[durable_write(safe_method = " ")]
async fn blank() {}

#[durable_write(safe_method)]
async fn no_reason() {}

#[durable_write(safe_method = true)]
async fn not_a_string() {}

#[durable_write(safe_method = "a link in a mail", safe_method = "an OAuth callback")]
async fn twice() {}

#[cancellable(read, safe_method = "a page")]
async fn a_read() {}

#[cancellable(stream, safe_method = "a feed")]
async fn a_stream() {}

#[exempt(reason = "a probe", safe_method = "a probe")]
async fn exempted() {}

// The unknown mode is the only error.
#[cancellable(raed, safe_method = "a page")]
async fn unknown_mode() {}

// No second error for the routes of a handler whose reason is faulty.
fn app() -> followthrough::Router {
    followthrough::Router::new()
        .route("/blank", followthrough::routing::get(blank))
        .route("/not_a_string", followthrough::routing::get(not_a_string))
}

fn main() {}
