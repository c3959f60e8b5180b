#[cancellable(raed, retries = 3)]
#[deadline = "1.5s"]
async fn misspelt(cancel: DurableToken) -> Json<Order> {
    #[durable_write]
    let order = find();
    Json(order)
}
