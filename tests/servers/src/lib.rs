//! Shared parts of the tests of servers: an application, a server that runs it, and the properties
//! of each server of axum routers.

pub mod app;
pub mod grpc;
pub mod recipes;
mod running;
pub mod scenarios;
mod websocket;

pub use running::{Running, Signal};
pub use websocket::WebSocket;

/// Defines a test for each of these [`scenarios`] against the server that `start` starts.
#[macro_export]
macro_rules! hold {
    ($start:ident: $($scenario:ident $(($argument:expr))?,)*) => {
        $(
            #[tokio::test]
            async fn $scenario() {
                $crate::scenarios::$scenario($start $(, $argument)?).await;
            }
        )*
    };
}
