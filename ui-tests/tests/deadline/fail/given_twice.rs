use followthrough::{cancellable, deadline};

#[cancellable(read)]
#[deadline = "10s"]
#[deadline = "20s"]
async fn below() {}

#[cancellable(read, deadline = "10s")]
#[deadline = "20s"]
async fn option_and_below() {}

#[deadline("10s")]
#[cancellable(read)]
#[deadline = "20s"]
async fn above_and_below() {}

fn main() {}
