//! A write with an idempotency key, and a service with a store for keys.

use std::{any::type_name, time::Duration};

use axum::{Router, routing::post};
use followthrough::{
    __private::{HandlerPolicy, KeyPolicy, Mode, NO_COMPENSATION, NO_TOKEN, run_keyed},
    Governed, Idempotency, Lifecycle, Scope,
    idempotency::MemoryStore,
    policy::Write,
};
use tokio_util::sync::CancellationToken;

use super::{governed, routed};
use crate::work::Work;

/// The output of `#[durable_write(idempotency_key = "required")]`, without its entry in the catalogue: with that entry,
/// `build` would refuse every lifecycle of this program that has no store for keys.
async fn durable<W: Work>() -> Governed<&'static str, Write> {
    static POLICY: HandlerPolicy =
        HandlerPolicy::new("durable", file!(), line!(), Mode::DurableWrite)
            .with_path(type_name::<Router>)
            .with_idempotency_key(KeyPolicy::new(true).keep(Duration::from_hours(1)));
    run_keyed::<&'static str, Write, _, _>(&POLICY, NO_TOKEN, NO_COMPENSATION, W::work()).await
}

/// Returns whether the requests of `way` have keys, and whether each has one of its own.
#[must_use]
pub fn keys_of(way: &str) -> Option<bool> {
    match way {
        "durable_write_key" => Some(true),
        "durable_write_replay" => Some(false),
        _ => None,
    }
}

/// Returns whether the bodies of many requests of `way` can wait at once.
#[must_use]
pub fn can_wait(way: &str) -> bool {
    keys_of(way) != Some(false)
}

/// Returns the routes and the lifecycle of `way`, if its service has a store for keys.
pub(super) fn service<W: Work>(way: &str) -> Option<(Lifecycle, Router)> {
    let router = match way {
        "read_beside_keys" => governed::router::<W>("read"),
        _ if keys_of(way).is_some() => routed(post(durable::<W>), &CancellationToken::new()),
        _ => return None,
    };
    let store = MemoryStore::new().max_records(1 << 20);
    let keys = Idempotency::new(store, Scope::global("a benchmark has one client"));
    let builder = Lifecycle::builder().max_durable_writes(1 << 20).signals(false).idempotency(keys);
    Some((builder.build().expect("the settings are sound"), router))
}
