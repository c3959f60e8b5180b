use followthrough::{cancellable, durable_write};

#[cancellable(read)]
fn g() -> impl std::future::Future<Output = String> + Send {
    async { String::new() }
}

#[durable_write]
fn boxed() -> std::pin::Pin<Box<dyn std::future::Future<Output = String> + Send>> {
    Box::pin(async { String::new() })
}

fn main() {}
