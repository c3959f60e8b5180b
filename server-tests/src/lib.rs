//! What the tests of the servers share: an application, a server that runs it, and what each
//! server of axum routers has to hold.

pub mod app;
pub mod grpc;
pub mod recipes;
mod running;
pub mod scenarios;
mod websocket;

pub use running::{Running, Signal};
pub use websocket::WebSocket;
