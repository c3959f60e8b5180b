use followthrough::cancellable;
use std::rc::Rc;

async fn pause() {}

#[cancellable(read)]
async fn with_return_type() -> String {
    let held = Rc::new(1);
    pause().await;
    held.to_string()
}

#[cancellable(read)]
async fn without() {
    let held = Rc::new(1);
    pause().await;
    drop(held);
}

fn main() {}
