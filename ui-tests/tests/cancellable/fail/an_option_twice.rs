use followthrough::{cancellable, durable_write, exempt, RequestToken};

async fn undo() {}

#[cancellable(read, cooperative, cooperative)]
async fn flag(cancel: RequestToken) {
    cancel.cancelled().await;
}

#[cancellable(read, name = "a", name = "b", crate = followthrough, crate = followthrough)]
async fn name() {}

#[cancellable(reversible_write, on_cancel = undo(), on_cancel = undo())]
async fn on_cancel() {}

#[durable_write(reason = "a", reason = "b", needs = "1s", needs = "2s")]
async fn reason() {}

#[durable_write(max_in_flight = 1, max_in_flight = 2, internal, internal)]
async fn limit() {}

#[exempt(reason = "a", reason = "b")]
async fn exempted() {}

fn main() {}
