use followthrough::durable_write;

const AT_ONCE: usize = 0;

#[durable_write(max_in_flight = AT_ONCE)]
async fn none_at_all() {}

fn main() {}
