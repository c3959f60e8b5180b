use followthrough::{cancellable, durable_write, exempt};

#[cancellable(read)]
fn read() {}

#[durable_write]
pub fn write() -> String {
    String::new()
}

#[exempt(reason = "a probe")]
fn health() {}

fn main() {}
