//! The request that the running code belongs to.

mod begin;
mod body;
mod client_gone;
mod compensations;
mod context;
mod current;
mod last_event;
mod origin;
mod pooled;
mod progress;
mod report;
mod response_state;
mod unlinked;

pub(crate) use self::{
    body::{Body, Frame, Stage, next_id},
    client_gone::Gone,
    compensations::{BoxCompensation, Compensations, Next, Pending, Registered},
    context::{Ambient, Flags},
    current::{Scope, is_present, settle, with, with_body},
    last_event::as_data,
    origin::Home,
    pooled::Ongoing,
    progress::Progress,
    report::{report, report_stream},
    response_state::{Extra, TailState},
    unlinked::{Own, scope, warn_unlinked},
};
pub use self::{client_gone::ClientGone, last_event::LastEvent};
