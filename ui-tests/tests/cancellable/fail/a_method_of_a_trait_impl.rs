use followthrough::{cancellable, durable_write};

trait Api {
    async fn show() -> String;
    async fn store(id: u32) -> Result<String, String>;
}

struct Shop;

impl Api for Shop {
    #[cancellable(read)]
    async fn show() -> String {
        String::new()
    }

    #[durable_write]
    async fn store(id: u32) -> Result<String, String> {
        Ok(id.to_string())
    }
}

fn main() {}
