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

#[cancellable(read, "10s")]
async fn unnamed_deadline() {}

#[cancellable(read, max_in_flight = 3)]
async fn of_a_durable_write() {}

#[cancellable(read, interal)]
async fn misspelt_internal() -> u32 {
    1
}

#[cancellable(read deadline = "10s")]
async fn no_comma() {}

fn main() {}
