//! Streamed bodies and upgraded sockets: how they end, and what they hold until then.

mod cut_responses;
mod ends;
mod sockets;
mod stalled;
