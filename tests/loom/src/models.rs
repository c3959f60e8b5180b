//! The models. Each model names the property that it proves; the included file states the
//! invariant.

mod connections;
mod drain;
mod ending;
mod first_cause;
mod keys;
mod link;
mod permits;
mod rescue;
mod stopping;
mod workers;

use loom::{model::Builder, thread::JoinHandle};

/// Runs `model` in every order that its threads can have.
fn model(model: impl Fn() + Send + Sync + 'static) {
    Builder::new().check(model);
}

/// Runs `model` in every order with at most three preemptions, because every order would take
/// minutes. Loom's authors report that two or three preemptions find most faults.
fn bounded(model: impl Fn() + Send + Sync + 'static) {
    let mut builder = Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(model);
}

fn join<T>(handle: JoinHandle<T>) -> T {
    handle.join().expect("nothing panics")
}
