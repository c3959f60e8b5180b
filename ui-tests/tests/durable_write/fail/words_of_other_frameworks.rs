use followthrough::durable_write;

#[durable_write(timeout = "3s")]
async fn timeout() {}

#[durable_write(needs: "3s")]
async fn colon() {}

#[durable_write(mode = durable)]
async fn mode() {}

fn main() {}
