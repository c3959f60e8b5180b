/// A page of orders.
#[cancellable(read)]
#[deadline = "10s"]
#[instrument]
pub async fn orders<S: Store>(State(db): State<S>, Query(page): Query<Page>) -> impl IntoResponse {
    Json(db.orders(page).await)
}
