use followthrough::{cancellable, durable_write};

struct Orders;

impl Orders {
    #[cancellable(read)]
    async fn by_reference(&self) -> u32 {
        1
    }

    #[durable_write]
    async fn by_value(self, id: u32) -> u32 {
        id
    }
}

fn main() {}
