use followthrough::{cancellable, durable_write};

async fn undo() {}

#[cancellable(read, on_cancel = undo())]
async fn read() {}

#[durable_write(on_cancel = undo())]
async fn durable() {}

fn main() {}
