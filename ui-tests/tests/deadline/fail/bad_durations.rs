use followthrough::cancellable;

#[cancellable(read)]
#[deadline = "10"]
async fn no_unit() {}

#[cancellable(read)]
#[deadline = "10sec"]
async fn long_unit() {}

#[cancellable(read)]
#[deadline(10d)]
async fn unknown_unit() {}

#[cancellable(read)]
#[deadline(1.5s)]
async fn fraction() {}

#[cancellable(read)]
#[deadline(0s)]
async fn zero() {}

#[cancellable(read)]
#[deadline(-5s)]
async fn negative() {}

#[cancellable(read)]
#[deadline = "25h"]
async fn too_long() {}

#[cancellable(read)]
#[deadline = "99999999999999999999s"]
async fn overflow() {}

#[cancellable(read)]
#[deadline]
async fn none() {}

#[cancellable(read)]
#[deadline = LIMIT]
async fn constant() {}

#[cancellable(read, deadline = "so on")]
async fn word() {}

fn main() {}
