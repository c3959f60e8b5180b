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

/// A test for each of these [`scenarios`], against the server that `start` starts.
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
