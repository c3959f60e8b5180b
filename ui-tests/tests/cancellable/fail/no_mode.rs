use followthrough::cancellable;

#[cancellable]
async fn bare() {}

#[cancellable(deadline = "10s")]
async fn options_only() {}

fn main() {}
