//! A proxy in front of a service: nginx or `HAProxy`, in a process of its own.

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

/// The proxy program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Make {
    /// nginx.
    Nginx,
    /// `HAProxy`.
    Haproxy,
}

impl Make {
    /// Returns the configuration, which has `@listen@`, `@service@` and `@dir@` as placeholders.
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

    /// Returns the directive that listens on the port of [`hold_port`].
    fn listens(self, at: SocketAddr) -> String {
        match self {
            Self::Nginx => format!("{at} reuseport"),
            Self::Haproxy => at.to_string(),
        }
    }

    /// Installs the program if it is absent, once in a process, because that may take minutes.
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
        // Both programs are in sbin, which a user's PATH often lacks.
        command.env("PATH", format!("{path}:/usr/sbin:/usr/local/sbin"));
        match self {
            // nginx opens its built-in log path before it reads the configuration.
            Self::Nginx => command.arg("-e").arg(dir.join("log")).arg("-p").arg(dir).arg("-c"),
            Self::Haproxy => command.args(["-db", "-f"]),
        };
        command.arg(config);
        command
    }
}

/// Installs the program `name` if it is absent.
///
/// # Errors
///
/// The reason, in one line, if it cannot be installed.
pub fn install(name: &str) -> Result<(), String> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/proxies/install.sh");
    let output = Command::new("bash").arg(script).arg(name).stdin(Stdio::null()).output();
    let output = output.map_err(|error| format!("cannot run {script}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(said.trim().lines().last().unwrap_or("the install script failed").to_owned())
}

/// A proxy that runs until the value is dropped.
#[derive(Debug)]
pub struct Proxy {
    /// The address that the proxy listens on.
    pub at: SocketAddr,
    process: Child,
    dir: TempDir,
    _held: Socket,
}

impl Proxy {
    /// Starts `make` in front of `service`. Each of `edits` is a text of the configuration and its
    /// replacement.
    ///
    /// Returns `None`, and prints the reason, if the program cannot be installed.
    ///
    /// # Panics
    ///
    /// If the configuration lacks the text of an edit, or the proxy does not start with it.
    pub async fn start(make: Make, service: SocketAddr, edits: &[(&str, &str)]) -> Option<Self> {
        let had = tokio::task::spawn_blocking(move || make.installed()).await;
        if let Err(reason) = had.expect("the script does not panic") {
            // The test runner hides the output of `println!` when a test passes.
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
        fs::write(&file, config).expect("the directory is writable");
        let output = File::create(dir.path().join("output")).expect("the directory is writable");
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

    /// Returns whether the proxy accepts connections. Prints its output if not.
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

    /// Returns the output of the proxy.
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

/// Binds a free port with a socket that does not listen, so that no other process gets the port,
/// also not as the local port of a connection. Such a connection could connect to itself before the
/// proxy listens. The proxy shares the port by `SO_REUSEPORT`, which `HAProxy` sets by default.
fn hold_port() -> (Socket, SocketAddr) {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a descriptor is free");
    socket.set_reuse_port(true).expect("the system knows it");
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    socket.bind(&any.into()).expect("a port is free");
    let at = socket.local_addr().expect("it is bound").as_socket().expect("it is one of IPv4");
    (socket, at)
}
