use followthrough::{cancellable, cancellable as renamed, durable_write};

#[cancellable(read)]
#[durable_write]
async fn two() {}

#[durable_write]
#[cancellable(read)]
#[durable_write]
async fn three() {}

#[renamed(read)]
#[renamed(read)]
async fn under_another_name() {}

fn main() {}
