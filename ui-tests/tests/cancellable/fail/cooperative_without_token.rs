use followthrough::{ShutdownToken, cancellable};

#[cancellable(read, cooperative)]
async fn nothing_to_cooperate_with(_stop: ShutdownToken) {}

fn main() {}
