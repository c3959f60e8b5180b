//! A proxy in front of a service: nginx or `HAProxy`, as a process of its own.

use std::{
    fs::{self, File},
    io::{self, Write},
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Stdio},
    sync::{
        OnceLock,
        atomic::{AtomicU16, Ordering},
    },
    time::Duration,
};

use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};

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
        // Another process may take the port between our look at it and the proxy's.
        for _ in 0..3 {
            if let Some(proxy) = Self::try_start(make, service, &config).await {
                return Some(proxy);
            }
        }
        panic!("{make:?} does not start with\n{config}");
    }

    async fn try_start(make: Make, service: SocketAddr, config: &str) -> Option<Self> {
        let dir = TempDir::new().expect("a directory can be made");
        let at = free_port().await;
        let config = config
            .replace("@listen@", &at.to_string())
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
        let mut proxy = Self { at, process, dir };
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

/// A port that nobody listens on, out of the range from which clients get theirs: a client that
/// connects to a port of that range before the proxy listens may be connected to itself.
async fn free_port() -> SocketAddr {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = u16::try_from(std::process::id() % 100).expect("it is below 100") * 100;
    loop {
        let port = 20_000 + (start + NEXT.fetch_add(1, Ordering::Relaxed)) % 10_000;
        let at = SocketAddr::from(([127, 0, 0, 1], port));
        if TcpListener::bind(at).await.is_ok() {
            return at;
        }
    }
}
