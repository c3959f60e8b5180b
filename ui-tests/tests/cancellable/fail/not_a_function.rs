use followthrough::{cancellable, deadline, durable_write};

#[cancellable(read)]
struct Orders;

#[durable_write]
mod orders {}

#[deadline("10s")]
const LIMIT: u32 = 1;

trait Repository {
    #[cancellable(read)]
    async fn find();
}

fn main() {}
