#[deadline("10s")]
#[instrument]
#[cancellable(read)]
async fn order() {}
