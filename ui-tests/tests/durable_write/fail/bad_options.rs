use followthrough::durable_write;

#[durable_write(raeson = "…")]
async fn misspelt() {}

#[durable_write("a reason")]
async fn unnamed() {}

#[durable_write(max_in_flight = 0)]
async fn none_at_all() {}

#[durable_write(max_in_flight = "64")]
async fn not_a_number() {}

#[durable_write(max_in_flight = -1)]
async fn negative() {}

#[durable_write(max_in_flight = 1.5)]
async fn fraction() {}

#[durable_write(needs = "2")]
async fn no_unit() {}

#[durable_write(read)]
async fn mode() {}

#[durable_write(cooperative)]
async fn cooperative() {}

#[durable_write(reason = "  ")]
async fn blank() {}

fn main() {}
