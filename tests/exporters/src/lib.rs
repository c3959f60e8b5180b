//! The service whose metrics the tests export.

mod recorder;
mod service;

pub use self::{
    recorder::{Recorder, Samples},
    service::{REQUESTS, Scene, scene},
};
