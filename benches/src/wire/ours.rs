//! Bare axum and the servers of this crate: the same handler under each policy.

use std::{io::Read, net::SocketAddr};

use axum::{
    Router,
    routing::{MethodRouter, get},
    serve::ListenerExt,
};
use followthrough::{RequestToken, cancellable, durable_write};
use tokio::net::TcpListener;

use super::{TEXT, WORKER_THREADS};
use crate::calls::on_workers;

/// Returns `Pending` once, as a query does.
async fn work() -> &'static str {
    tokio::task::yield_now().await;
    TEXT
}

async fn bare() -> &'static str {
    work().await
}

#[cancellable(read)]
async fn read() -> &'static str {
    work().await
}

#[cancellable(read)]
#[deadline = "10s"]
async fn read_deadline() -> &'static str {
    work().await
}

#[cancellable(stream)]
async fn stream() -> &'static str {
    work().await
}

#[cancellable(idempotent_write)]
async fn idempotent_write() -> &'static str {
    work().await
}

#[cancellable(reversible_write, on_cancel = std::future::ready(()))]
async fn reversible_write() -> &'static str {
    work().await
}

#[cancellable(read, cooperative)]
async fn cooperative(token: RequestToken) -> &'static str {
    let answer = work().await;
    // The safe point.
    if token.is_cancelled() { "stopped" } else { answer }
}

#[durable_write]
async fn durable() -> &'static str {
    work().await
}

#[cancellable(read)]
async fn durable_site() -> &'static str {
    #[durable_write]
    let answer = work().await;
    answer
}

/// Returns the handler for the server `name`, or `None` if this program has no such server.
fn handler(name: &str) -> Option<MethodRouter> {
    Some(match name {
        "bare" | "bare_again" | "bare_nodelay" | "serve" => get(bare),
        "read" => get(read),
        "read_deadline" => get(read_deadline),
        "stream" => get(stream),
        "idempotent_write" => get(idempotent_write),
        "reversible_write" => get(reversible_write),
        "cooperative" => get(cooperative),
        "durable_write" => get(durable),
        "durable_site" => get(durable_site),
        _ => return None,
    })
}

/// Serves `name` on that port of loopback, or on any free one for 0, until stdin closes.
pub(super) fn serve(name: &str, port: u16) -> Result<(), String> {
    let handler =
        handler(name).ok_or_else(|| format!("`{name}` is not a server of this program"))?;
    let app = Router::new().route("/x", handler);
    on_workers(WORKER_THREADS).block_on(async {
        let listener = TcpListener::bind(("127.0.0.1", port)).await;
        let listener = listener.map_err(|error| format!("cannot listen: {error}"))?;
        print_address(listener.local_addr().map_err(|error| format!("no address: {error}"))?);
        let ended = if name == "bare_nodelay" {
            // A connection that has gone meanwhile takes no option, and needs none.
            let listener = listener.tap_io(|stream| drop(stream.set_nodelay(true)));
            axum::serve(listener, app).await
        } else if name.starts_with("bare") {
            axum::serve(listener, app).await
        } else {
            followthrough::serve(listener, app).await.map(drop)
        };
        ended.map_err(|error| format!("the server ended: {error}"))
    })
}

/// Prints the address, and ends the process when stdin closes.
pub(crate) fn print_address(address: SocketAddr) {
    let port = address.port();
    println!("http1 {port} h2c {port}");
    std::thread::spawn(|| {
        // An error of stdin also ends the process.
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(0);
    });
}
