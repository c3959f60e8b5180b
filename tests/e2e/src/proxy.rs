//! A proxy in front of a service: nginx or `HAProxy`, as a process of its own.

use std::{
    fs::{self, File},
    io::{self, Write},
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Stdio},
    sync::OnceLock,
    time::Duration,
};

use socket2::{Domain, Socket, Type};
use tempfile::TempDir;
use tokio::net::TcpStream;

use crate::soon;

/// Which one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Make {
    /// nginx.
    Nginx,
    /// `HAProxy`.
    Haproxy,
}

impl Make {
    /// Its configuration, with `@listen@`, `@service@` and `@dir@` to be filled in.
    pub const fn template(self) -> &'static str {
        match self {
            Self::Nginx => include_str!("../proxies/nginx.conf.in"),
            Self::Haproxy => include_str!("../proxies/haproxy.cfg.in"),
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Nginx => "nginx",
            Self::Haproxy => "haproxy",
        }
    }

    /// The port of [`hold_port`], in its words.
    fn listens(self, at: SocketAddr) -> String {
        match self {
            Self::Nginx => format!("{at} reuseport"),
            Self::Haproxy => at.to_string(),
        }
    }

    /// Installs it if it is absent; once in a process, since that may take minutes.
    fn installed(self) -> Result<(), String> {
        static NGINX: OnceLock<Result<(), String>> = OnceLock::new();
        static HAPROXY: OnceLock<Result<(), String>> = OnceLock::new();
        let once = match self {
            Self::Nginx => &NGINX,
            Self::Haproxy => &HAPROXY,
        };
        once.get_or_init(|| install(self.name())).clone()
    }

    fn command(self, config: &Path, dir: &Path) -> Command {
        let path = std::env::var("PATH").unwrap_or_default();
        let mut command = Command::new(self.name());
        // A user's PATH often has no sbin, and that is where both of them live.
        command.env("PATH", format!("{path}:/usr/sbin:/usr/local/sbin"));
        match self {
            // The log of the build, which nginx opens before it reads where ours is.
            Self::Nginx => command.arg("-e").arg(dir.join("log")).arg("-p").arg(dir).arg("-c"),
            Self::Haproxy => command.args(["-db", "-f"]),
        };
        command.arg(config);
        command
    }
}

fn install(name: &str) -> Result<(), String> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/proxies/install.sh");
    let output = Command::new("bash").arg(script).arg(name).stdin(Stdio::null()).output();
    let output = output.map_err(|error| format!("cannot run {script}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(said.trim().lines().last().unwrap_or("the install script failed").to_owned())
}

/// A proxy that runs until it is dropped.
#[derive(Debug)]
pub struct Proxy {
    /// Where it listens.
    pub at: SocketAddr,
    process: Child,
    dir: TempDir,
    _held: Socket,
}

impl Proxy {
    /// Starts `make` in front of `service`, with each of `edits` made in its configuration: what
    /// stands there, and what shall stand there instead.
    ///
    /// `None` if it cannot be had, after the reason is printed.
    ///
    /// # Panics
    ///
    /// If the configuration has no such text, or the proxy does not start with it.
    pub async fn start(make: Make, service: SocketAddr, edits: &[(&str, &str)]) -> Option<Self> {
        let had = tokio::task::spawn_blocking(move || make.installed()).await;
        if let Err(reason) = had.expect("the script does not panic") {
            // Not `println!`, which the test runner swallows when a test passes.
            let _ = writeln!(io::stderr(), "skipped: {reason}");
            return None;
        }
        let mut config = make.template().to_owned();
        for (from, to) in edits {
            assert!(config.contains(from), "`{from}` is not in {}", make.template());
            config = config.replace(from, to);
        }
        let started = Self::run(make, service, &config).await;
        Some(started.unwrap_or_else(|| panic!("{make:?} does not start with\n{config}")))
    }

    async fn run(make: Make, service: SocketAddr, config: &str) -> Option<Self> {
        let dir = TempDir::new().expect("a directory can be made");
        let (held, at) = hold_port();
        let config = config
            .replace("@listen@", &make.listens(at))
            .replace("@service@", &service.to_string())
            .replace("@dir@", &dir.path().to_string_lossy());
        let file = dir.path().join("config");
        fs::write(&file, config).expect("the directory is ours");
        let output = File::create(dir.path().join("output")).expect("the directory is ours");
        let process = make
            .command(&file, dir.path())
            .stdin(Stdio::null())
            .stdout(output.try_clone().expect("a file can be shared"))
            .stderr(output)
            .spawn()
            .expect("it is installed");
        let mut proxy = Self { at, process, dir, _held: held };
        soon("the proxy accepts or ends", proxy.accepts()).await.then_some(proxy)
    }

    /// Whether it came to accept connections; if not, what it said is printed.
    async fn accepts(&mut self) -> bool {
        loop {
            let ended = self.process.try_wait().expect("it is our child");
            if let Some(status) = ended {
                println!("the proxy ended with {status}:\n{}", self.log());
                return false;
            }
            if TcpStream::connect(self.at).await.is_ok() {
                return true;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// What it has said.
    pub fn log(&self) -> String {
        let read = |name| fs::read_to_string(self.dir.path().join(name)).unwrap_or_default();
        read("output") + &read("log")
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A port that the system has chosen, held by a socket that does not listen: no other process is given
/// it, also not for the near end of a connection, which before the proxy listens could be connected to
/// itself. The proxy shares it by `SO_REUSEPORT`; `HAProxy` does so by default.
fn hold_port() -> (Socket, SocketAddr) {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a descriptor is free");
    socket.set_reuse_port(true).expect("the system knows it");
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    socket.bind(&any.into()).expect("a port is free");
    let at = socket.local_addr().expect("it is bound").as_socket().expect("it is one of IPv4");
    (socket, at)
}
