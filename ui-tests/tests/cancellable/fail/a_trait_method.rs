use followthrough::{cancellable, durable_write};

trait Orders {
    #[cancellable(read)]
    async fn find(&self, id: u64) -> String;

    #[durable_write]
    async fn place(&self) -> String {
        String::new()
    }
}

fn main() {}
