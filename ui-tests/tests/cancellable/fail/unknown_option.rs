use followthrough::cancellable;

#[cancellable(read, deadlin = "10s")]
async fn misspelt() {}

#[cancellable(read, retries = 3)]
async fn unlike_any() {}

#[cancellable(read, cooperative = true)]
async fn value_for_a_flag() {}

#[cancellable(read, deadline)]
async fn no_value() {}

#[cancellable(read, deadline = "1s", deadline = "2s")]
async fn twice() {}

#[cancellable(read, name = "")]
async fn blank() {}

#[cancellable(read, cooperativ)]
async fn misspelt_flag() {}

#[cancellable(read, deadline("10s"))]
async fn parentheses() {}

#[cancellable(read deadline = "10s")]
async fn no_comma() {}

fn main() {}
