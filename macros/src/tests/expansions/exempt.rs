#[exempt(reason = "answers at once and touches nothing")]
async fn health() -> &'static str {
    "ok"
}
