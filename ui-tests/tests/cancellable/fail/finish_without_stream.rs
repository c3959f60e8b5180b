use followthrough::cancellable;

#[cancellable(read, finish)]
async fn answered_in_one_go() -> &'static str {
    "done"
}

#[cancellable(stream, finish, finish)]
async fn twice() -> &'static str {
    "done"
}

#[cancellable(read)]
async fn on_a_statement() {
    #[cancellable(read, finish)]
    std::future::ready(()).await;
}

fn main() {}
