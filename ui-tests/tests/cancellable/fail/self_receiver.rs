use followthrough::{cancellable, durable_write};

struct Orders;

impl Orders {
    #[cancellable(read)]
    async fn by_reference(&self) -> String {
        String::new()
    }

    #[durable_write]
    async fn by_value(self, id: u32) -> String {
        id.to_string()
    }
}

fn main() {}
