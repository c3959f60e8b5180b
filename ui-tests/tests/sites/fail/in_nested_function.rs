use followthrough::cancellable;

async fn read() -> u32 {
    1
}

#[cancellable(read)]
async fn handler() -> String {
    async fn nested() -> u32 {
        #[durable_write]
        let x = read().await;
        x
    }
    trait Repository {
        fn find() {
            #[durable_write]
            drop(async { read().await });
        }
    }
    nested().await.to_string()
}

fn main() {}
