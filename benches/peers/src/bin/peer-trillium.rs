//! Trillium: `peer-trillium [port]`.

use followthrough_peers::{TEXT, announce, port, runtime};
use tokio::net::TcpListener;
use trillium::Conn;
use trillium_router::Router;

async fn answer(conn: Conn) -> Conn {
    tokio::task::yield_now().await;
    conn.ok(TEXT)
}

fn main() -> std::io::Result<()> {
    runtime().block_on(async {
        let listener = TcpListener::bind(("127.0.0.1", port(1))).await?;
        announce(listener.local_addr()?);
        trillium_tokio::config()
            .without_signals()
            .with_prebound_server(listener)
            .run_async(Router::new().get("/x", answer))
            .await;
        Ok(())
    })
}
