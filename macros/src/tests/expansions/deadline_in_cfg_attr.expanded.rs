#[cfg_attr(feature = "slow", ::followthrough::deadline("10s"))]
#[::followthrough::cancellable(read)]
async fn order() {}
