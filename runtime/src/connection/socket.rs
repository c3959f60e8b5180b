//! A socket that hyper reads and writes, whose readiness the peer watch polls meanwhile, and that the end of a
//! drain can shut down.
//!
//! All three use one registration with the runtime, because the methods take `&self`.

use std::{
    io,
    net::Shutdown,
    task::{Context, Poll, ready},
    time::Duration,
};

use socket2::{SockRef, TcpKeepalive};
#[cfg(unix)]
use tokio::net::UnixStream;
use tokio::{
    io::{Interest, ReadBuf, Ready},
    net::TcpStream,
};

/// Whether the system reports readiness by edges. A short read or write has used up the readiness then.
const EDGES: bool = cfg!(any(
    target_os = "linux",
    target_os = "android",
    target_os = "macos",
    target_os = "ios",
    target_os = "freebsd",
    target_os = "netbsd",
    target_os = "openbsd",
    target_os = "dragonfly",
));

/// The flag of `send` by which Linux keeps an incomplete segment.
const MSG_MORE: i32 = 0x8000;

/// The socket of a connection.
#[derive(Debug)]
pub(crate) enum Socket {
    Tcp(TcpStream),
    #[cfg(unix)]
    Unix(UnixStream),
}

macro_rules! each {
    ($self:expr, $socket:ident => $do:expr) => {
        match $self {
            Self::Tcp($socket) => $do,
            #[cfg(unix)]
            Self::Unix($socket) => $do,
        }
    };
}

impl Socket {
    pub(crate) fn poll_read(
        &self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            ready!(each!(self, socket => socket.poll_read_ready(cx)))?;
            let room = buf.remaining();
            let read = self.attempt(
                Interest::READABLE,
                room,
                || each!(self, socket => socket.try_read_buf(buf)),
            );
            if let Some(read) = read {
                return Poll::Ready(read.map(|_| ()));
            }
        }
    }

    /// Writes `bufs`. The system `keeps` an incomplete segment until [`push`](Self::push), or for 200 ms.
    pub(crate) fn poll_write(
        &self,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
        keeps: bool,
    ) -> Poll<io::Result<usize>> {
        loop {
            ready!(each!(self, socket => socket.poll_write_ready(cx)))?;
            let all = bufs.iter().map(|buf| buf.len()).sum();
            let written = self.attempt(Interest::WRITABLE, all, || {
                each!(self, socket => if keeps {
                SockRef::from(socket).send_vectored_with_flags(bufs, MSG_MORE)
                } else {
                socket.try_write_vectored(bufs)
                })
            });
            if let Some(written) = written {
                return Poll::Ready(written);
            }
        }
    }

    /// Returns whether `TCP_NODELAY` is set.
    pub(crate) fn has_nodelay(&self) -> bool {
        matches!(self, Self::Tcp(socket) if socket.nodelay().unwrap_or(false))
    }

    /// Sends the bytes that the system keeps.
    pub(crate) fn push(&self) {
        if let Self::Tcp(socket) = self {
            // Setting the option sends them, also when it is set already.
            let _ = socket.set_nodelay(true);
        }
    }

    /// Tries `io` once; `None` if the readiness was out of date. A short read or write clears the readiness, as in
    /// tokio's own streams, which saves the system call that would block.
    fn attempt(
        &self,
        interest: Interest,
        all: usize,
        mut io: impl FnMut() -> io::Result<usize>,
    ) -> Option<io::Result<usize>> {
        let mut short = None;
        let tried = || match io() {
            Ok(n) if EDGES && 0 < n && n < all => {
                short = Some(n);
                // Clears the readiness that was seen before, and no later one.
                Err(io::ErrorKind::WouldBlock.into())
            }
            result => result,
        };
        match each!(self, socket => socket.try_io(interest, tried)) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => short.map(Ok),
            result => Some(result),
        }
    }

    /// Enables TCP keep-alive: the system probes a silent peer after `idle`, then three times.
    pub(crate) fn keep_alive(&self, idle: Duration) {
        let probes = TcpKeepalive::new().with_time(idle);
        #[cfg(any(
            target_os = "android",
            target_os = "freebsd",
            target_os = "ios",
            target_os = "linux",
            target_os = "macos",
            target_os = "netbsd",
            target_os = "windows",
        ))]
        let probes = probes.with_interval((idle / 3).max(Duration::from_secs(1))).with_retries(3);
        // On an error, a peer that vanishes is only noticed later.
        if let Self::Tcp(socket) = self {
            let _ = SockRef::from(socket).set_tcp_keepalive(&probes);
        }
    }

    /// Shuts down the write half.
    pub(crate) fn shutdown_write(&self) -> io::Result<()> {
        self.shutdown(Shutdown::Write)
    }

    /// Shuts down both halves, also when an upgrade uses the socket.
    pub(crate) fn cut(&self) {
        let _ = self.shutdown(Shutdown::Both);
    }

    /// Has the close of the socket reset the connection, which tells the peer that the answer is not whole.
    pub(crate) fn reset_on_close(&self) {
        let _ = each!(self, socket => SockRef::from(socket).set_linger(Some(Duration::ZERO)));
    }

    /// Writes the bytes that the system takes now, without regard to the readiness that the runtime knows.
    pub(crate) fn write_now(&self, bufs: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        match each!(self, socket => SockRef::from(socket).send_vectored(bufs)) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Poll::Pending,
            result => Poll::Ready(result),
        }
    }

    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        match each!(self, socket => SockRef::from(socket).shutdown(how)) {
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(()),
            result => result,
        }
    }

    /// Waits for the readiness of `interest`, without reading.
    pub(crate) async fn ready(&self, interest: Interest) -> io::Result<Ready> {
        each!(self, socket => socket.ready(interest).await)
    }

    /// Clears the readiness of `interest`, so that the next wait is for a change.
    pub(crate) fn forget(&self, interest: Interest) {
        let nothing = || io::Result::<()>::Err(io::ErrorKind::WouldBlock.into());
        let _ = each!(self, socket => socket.try_io(interest, nothing));
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::future::poll_fn;

    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn the_system_keeps_bytes_until_they_are_pushed() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let peer = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let socket = Socket::Tcp(listener.accept().await.unwrap().0);
        socket.push();
        let write = async |bytes, keeps| {
            let bufs = [io::IoSlice::new(bytes)];
            poll_fn(|cx| socket.poll_write(cx, &bufs, keeps)).await.unwrap()
        };
        let mut read = [0; 16];
        assert_eq!(write(b"one ", true).await, 4);
        assert_eq!(write(b"two ", true).await, 4);
        let kept = peer.try_read(&mut read).unwrap_err();
        assert_eq!(kept.kind(), io::ErrorKind::WouldBlock);
        socket.push();
        peer.readable().await.unwrap();
        assert_eq!(peer.try_read(&mut read).unwrap(), 8);
        assert_eq!(write(b"three", false).await, 5);
        peer.readable().await.unwrap();
        assert_eq!(peer.try_read(&mut read).unwrap(), 5);
    }
}
