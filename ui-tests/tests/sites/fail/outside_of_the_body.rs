use followthrough::cancellable;

#[cancellable(reversible_write, on_cancel = async { #[durable_write] undo().await; })]
async fn in_an_option() {}

#[cancellable(read)]
async fn before_a_parameter(#[durable_write] text: String) -> String {
    text
}

#[cancellable(read)]
async fn before_a_macro() {
    #[durable_write]
    macro_rules! store {
        () => {};
    }
    store!();
}

trait Handlers {
    #[cancellable(read)]
    #[deadline = "10s"]
    async fn without_a_body();
}

async fn undo() {}

fn main() {}
