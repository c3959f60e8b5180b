//! An open connection of `serve`.

mod activity;
mod backpressure;
mod batch;
mod body_end;
mod drained;
mod flushes;
mod held_bytes;
mod on_connection;
mod open;
mod open_streams;
mod peer_watch;
mod pieces;
mod pipelining;
mod protocol;
mod silence;
mod socket;
mod stall;
mod task;
mod unsent;
mod upload_memory;
mod wakers;

pub(crate) use self::{
    backpressure::Backpressure,
    batch::Ahead,
    body_end::{BodyEnd, body_ends, body_was_cut_by},
    flushes::HeadWait,
    on_connection::OnConnection,
    open::Connection,
    open_streams::OpenStreams,
    peer_watch::peer_left,
    pieces::cut as cut_piece,
    socket::Socket,
    stall::{StreamWait, body_gave, body_holds_back, body_was_asked},
    task::Task,
    upload_memory::{Metered, UploadLimits, UploadMemory, UploadsFull},
};
