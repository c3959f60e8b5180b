//! Streamed bodies and upgraded sockets: their ends, and the memory that they hold until then.

mod ahead;
mod cut_responses;
mod ends;
mod sockets;
mod stalled;
mod together;
