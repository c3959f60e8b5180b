//! A TCP proxy in front of the broker that can delay each chunk of bytes.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    time::sleep,
};

/// The largest chunk.
const CHUNK: usize = 64 * 1024;

pub(super) struct Proxy {
    pub(super) at: SocketAddr,
    delay_millis: Arc<AtomicU64>,
}

impl Proxy {
    /// Starts a proxy that runs as long as the process.
    pub(super) async fn start(broker: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let at = listener.local_addr().expect("it is bound");
        let delay_millis = Arc::new(AtomicU64::new(0));
        let delay = delay_millis.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(forward(client, broker, delay.clone()));
            }
        });
        Self { at, delay_millis }
    }

    /// Delays each chunk from now on.
    pub(super) fn delay(&self, delay: Duration) {
        let millis = u64::try_from(delay.as_millis()).expect("it is short");
        self.delay_millis.store(millis, Ordering::Relaxed);
    }
}

/// Forwards in both directions until either side ends.
async fn forward(mut client: TcpStream, broker: SocketAddr, delay: Arc<AtomicU64>) {
    let Ok(mut broker) = TcpStream::connect(broker).await else { return };
    let (client_reads, client_writes) = client.split();
    let (broker_reads, broker_writes) = broker.split();
    tokio::select! {
        () = copy(client_reads, broker_writes, &delay) => {}
        () = copy(broker_reads, client_writes, &delay) => {}
    }
}

async fn copy(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    delay: &AtomicU64,
) {
    let mut chunk = vec![0; CHUNK];
    loop {
        let Ok(length @ 1..) = from.read(&mut chunk).await else { return };
        let millis = delay.load(Ordering::Relaxed);
        if millis > 0 {
            sleep(Duration::from_millis(millis)).await;
        }
        if to.write_all(&chunk[..length]).await.is_err() {
            return;
        }
    }
}
