use std::{io, net::SocketAddr};

use axum::{Router, serve::ListenerExt};
use followthrough::{Accepted, Listener};
use tokio::net::{TcpListener, TcpStream, UnixListener};

struct Mine(TcpListener);

impl Listener for Mine {
    type Peer = SocketAddr;

    async fn accept(&mut self) -> io::Result<Accepted<SocketAddr>> {
        let (stream, peer) = self.0.accept().await?;
        Ok(Accepted::tcp(stream, peer).handshake(async |_io, peer| Ok(peer)))
    }

    fn name(&self) -> io::Result<String> {
        Ok("mine".to_owned())
    }
}

async fn tcp() -> io::Result<TcpListener> {
    TcpListener::bind("127.0.0.1:0").await
}

async fn run(unix: UnixListener) -> io::Result<()> {
    let app = Router::new();
    followthrough::serve(Mine(tcp().await?), app.clone()).await?;
    followthrough::serve((tcp().await?, Mine(tcp().await?)), app.clone()).await?;
    followthrough::serve(vec![tcp().await?, tcp().await?], app.clone()).await?;
    followthrough::serve(tcp().await?.tap_io(|_: &mut TcpStream| {}), app.clone()).await?;
    let named = |peer: SocketAddr| peer.to_string();
    let port = tcp().await?.map(move |accepted| accepted.map_peer(named));
    let unix = unix.map(|accepted| accepted.map_peer(|peer| peer.to_string()));
    followthrough::serve((port, unix), app).await?;
    Ok(())
}

fn main() {
    let _ = run;
}
