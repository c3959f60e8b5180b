use followthrough::cancellable;

#[cancellable(raed)]
async fn misspelt() {}

#[cancellable(stream, reed)]
async fn second_word() {}

#[cancellable(banana)]
async fn unlike_any() {}

fn main() {}
