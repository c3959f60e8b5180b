use followthrough::cancellable;

#[cancellable(read, stream)]
async fn two_modes() {}

fn main() {}
