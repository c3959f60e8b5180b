#[instrument]
#[cancellable(read)]
#[deadline("10s")]
async fn order() {}
