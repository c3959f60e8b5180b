use followthrough::{cancellable, durable_write};
use std::rc::Rc;

async fn pause() {}

#[cancellable(read)]
async fn with_return_type() -> u32 {
    let held = Rc::new(1);
    pause().await;
    *held
}

#[cancellable(read)]
async fn without() {
    let held = Rc::new(1);
    pause().await;
    drop(held);
}

#[durable_write]
async fn borrows(name: &str) -> usize {
    pause().await;
    name.len()
}

fn main() {}
