//! A socket that hyper reads and writes, that the watch looks at meanwhile, and that the end of
//! a drain can shut whoever holds it.
//!
//! All three use one registration with the runtime: the methods take `&self`.

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

/// Where the system reports a change once, and a short read or write has emptied what there was.
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

    pub(crate) fn poll_write(&self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        loop {
            ready!(each!(self, socket => socket.poll_write_ready(cx)))?;
            let written = self.attempt(
                Interest::WRITABLE,
                buf.len(),
                || each!(self, socket => socket.try_write(buf)),
            );
            if let Some(written) = written {
                return Poll::Ready(written);
            }
        }
    }

    pub(crate) fn poll_write_vectored(
        &self,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        loop {
            ready!(each!(self, socket => socket.poll_write_ready(cx)))?;
            let all = bufs.iter().map(|buf| buf.len()).sum();
            let written = self.attempt(
                Interest::WRITABLE,
                all,
                || each!(self, socket => socket.try_write_vectored(bufs)),
            );
            if let Some(written) = written {
                return Poll::Ready(written);
            }
        }
    }

    /// Tries once; `None` if the readiness was out of date. As tokio's own streams do, it takes a
    /// short read or write for a sign that there is no more, which saves the call that would say so.
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

    /// Has the system ask a silent peer for a sign of life: after `idle`, then three times.
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
        // Without it, a peer that vanishes is noticed later.
        if let Self::Tcp(socket) = self {
            let _ = SockRef::from(socket).set_tcp_keepalive(&probes);
        }
    }

    /// Tells the peer that nothing more comes.
    pub(crate) fn shutdown_write(&self) -> io::Result<()> {
        self.shutdown(Shutdown::Write)
    }

    /// Ends both directions, whoever else holds the socket.
    pub(crate) fn cut(&self) {
        let _ = self.shutdown(Shutdown::Both);
    }

    /// Tells the peer by a reset, once the socket is closed, that what it has got is not whole.
    pub(crate) fn reset_on_close(&self) {
        let _ = each!(self, socket => SockRef::from(socket).set_linger(Some(Duration::ZERO)));
    }

    /// Writes what the system takes now, whatever the runtime knows of the socket.
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

    /// Waits for a change that could be the peer's leaving, without reading.
    pub(crate) async fn ready(&self, interest: Interest) -> io::Result<Ready> {
        each!(self, socket => socket.ready(interest).await)
    }

    /// Forgets what `interest` found, so that the next wait is for news.
    pub(crate) fn forget(&self, interest: Interest) {
        let nothing = || io::Result::<()>::Err(io::ErrorKind::WouldBlock.into());
        let _ = each!(self, socket => socket.try_io(interest, nothing));
    }
}
