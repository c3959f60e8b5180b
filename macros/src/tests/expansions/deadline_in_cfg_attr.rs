#[cancellable(read)]
#[cfg_attr(feature = "slow", deadline = "10s")]
async fn order() {}
