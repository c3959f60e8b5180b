//! The service whose metrics the tests export.

mod recorder;
mod relay;
mod service;

pub use self::{
    recorder::{Recorder, Samples},
    relay::spawn_relay,
    service::{REQUESTS, Scene, scene},
};
