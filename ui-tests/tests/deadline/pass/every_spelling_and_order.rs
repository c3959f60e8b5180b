#![forbid(unsafe_code)]
#![deny(warnings)]

use followthrough::{cancellable, cancellable as policy, deadline, durable_write};

#[cancellable(read)]
#[deadline = "10s"]
async fn name_value_below() {}

#[cancellable(read)]
#[deadline("10s")]
async fn string_below() {}

#[cancellable(read)]
#[deadline(10s)]
async fn literal_below() {}

#[deadline("10s")]
#[cancellable(read)]
async fn string_above() {}

#[deadline(1_500ms)]
#[durable_write]
async fn literal_above() {}

#[cancellable(read)]
#[deadline = "1m30s"]
async fn two_units() {
    #[deadline(1m29s999ms)]
    std::future::ready(()).await;
}

#[durable_write(needs = "1s500ms", deadline = 1h30m)]
async fn two_units_as_options() {}

#[cancellable(read)]
#[deadline = "checkout"]
async fn by_name() {}

#[durable_write(deadline = "the.slow-lane")]
async fn by_name_as_an_option() {}

#[deadline("checkout")]
#[cancellable(read)]
async fn by_name_above() {}

#[deadline(10s)]
/// Docs between.
#[allow(clippy::unused_async)]
#[tracing::instrument]
#[cancellable(read)]
async fn strangers_between() {}

#[tracing::instrument]
#[deadline("10s")]
#[cancellable(read)]
async fn below_a_stranger() {}

#[tracing::instrument]
#[cancellable(read)]
#[tracing::instrument]
#[deadline = "10s"]
async fn strangers_around() {}

#[followthrough::deadline(24h)]
#[followthrough::cancellable(read)]
async fn by_path() {}

#[policy(read)]
#[deadline = "10s"]
async fn renamed_policy_above() {}

#[deadline("10s")]
#[policy(read)]
async fn renamed_policy_below() {}

#[cancellable(read, deadline = "10s")]
async fn option_string() {}

#[cancellable(read, deadline = 1ms)]
async fn option_literal() {}

// The compiler evaluates these attributes after the policy has run.
#[cancellable(read)]
#[cfg_attr(all(), deadline = "10s")]
async fn cfg_attr_taken() {}

#[cancellable(read)]
#[deadline = "10s"]
#[cfg_attr(any(), deadline = "20s")]
async fn cfg_attr_not_taken() {}

#[cfg_attr(all(), deadline("10s"), cancellable(read))]
async fn cfg_attr_all() {}

#[deadline("10s")]
#[cfg_attr(all(), cancellable(read))]
async fn cfg_attr_policy() {}

fn main() {
    let _ = (name_value_below, string_below, literal_below, string_above, literal_above);
    let _ = (by_name, by_name_as_an_option, by_name_above);
    let _ = (strangers_between, below_a_stranger, strangers_around, by_path);
    let _ = (renamed_policy_above, renamed_policy_below, option_string, option_literal);
    let _ = (cfg_attr_taken, cfg_attr_not_taken, cfg_attr_all, cfg_attr_policy);
}
