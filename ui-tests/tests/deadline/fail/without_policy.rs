use followthrough::deadline;

#[deadline("10s")]
async fn alone() {}

#[deadline("10s")]
/// Docs.
#[must_use]
async fn beside_strangers() {}

#[deadline("10s")]
#[tracing::instrument]
async fn instrumented() {}

fn main() {}
