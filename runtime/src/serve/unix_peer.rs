//! The peer of a Unix socket.

use std::fmt;

use axum::extract::connect_info::Connected;
use tokio::net::{UnixStream, unix::UCred};

/// The process at the other end of a Unix socket, as `ConnectInfo<UnixPeer>` gives it.
///
/// ```no_run
/// # #[cfg(unix)] {
/// use axum::{Router, extract::ConnectInfo, routing::get};
/// use followthrough::UnixPeer;
///
/// async fn whoami(ConnectInfo(peer): ConnectInfo<UnixPeer>) -> String {
///     format!("uid {:?}", peer.uid())
/// }
///
/// # async fn run() -> std::io::Result<()> {
/// let app: Router = Router::new().route("/", get(whoami));
/// let listener = tokio::net::UnixListener::bind("/run/orders.sock")?;
/// followthrough::serve(listener, app.into_make_service_with_connect_info::<UnixPeer>()).await?;
/// # Ok(())
/// # }
/// # }
/// ```
#[derive(Clone, Copy, Debug)]
pub struct UnixPeer(Option<UCred>);

impl UnixPeer {
    pub(super) fn of(stream: &UnixStream) -> Self {
        Self(stream.peer_cred().ok())
    }

    /// Returns the user ID of the process when it connected, if the system reports it.
    pub fn uid(&self) -> Option<u32> {
        self.0.map(|credentials| credentials.uid())
    }

    /// Returns the group ID of the process when it connected, if the system reports it.
    pub fn gid(&self) -> Option<u32> {
        self.0.map(|credentials| credentials.gid())
    }

    /// Returns the ID of the process, if the system reports it.
    pub fn pid(&self) -> Option<i32> {
        self.0?.pid()
    }
}

impl fmt::Display for UnixPeer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("unix")?;
        if let Some(pid) = self.pid() {
            write!(f, ":pid={pid}")?;
        }
        Ok(())
    }
}

impl Connected<Self> for UnixPeer {
    fn connect_info(peer: Self) -> Self {
        peer
    }
}
