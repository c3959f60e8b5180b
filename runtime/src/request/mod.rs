//! The current request: its context, its body, its tokens and where it came in.

mod body;
mod client_gone;
mod commitment;
mod compensations;
mod context;
mod current;
mod deadline;
mod last_event;
mod observed;
mod origin;
mod pooled;
mod progress;
mod report;
mod response_state;
mod timer;
mod tokens;
mod unlinked;

pub(crate) use self::{
    body::{Body, BodyKey, Frame, Level, Stage, next_id},
    client_gone::Gone,
    commitment::Commitment,
    compensations::{BoxCompensation, Compensations, Next, Pending, Registered},
    context::{Flags, RequestContext},
    current::{Scope, is_present, settle, with, with_body},
    deadline::nearer,
    last_event::as_data,
    origin::Origin,
    pooled::PooledRequest,
    progress::Progress,
    report::{answer, beside_others, keep_answer, repeated, report, report_stream},
    response_state::{ResponseExtra, ResponseState},
    unlinked::{UnlinkedRequest, scope, warn_unlinked},
};
pub use self::{client_gone::ClientGone, last_event::LastEvent};
