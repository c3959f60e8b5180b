//! The models. Each says what it proves; what it includes states the invariant.

mod connections;
mod drain;
mod ending;
mod first_cause;
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

/// The same, but for orders in which threads are taken from a core more than thrice: for models that
/// would take minutes otherwise. Loom's authors have found two or three to catch most faults.
fn bounded(model: impl Fn() + Send + Sync + 'static) {
    let mut builder = Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(model);
}

fn join<T>(handle: JoinHandle<T>) -> T {
    handle.join().expect("nothing panics")
}
