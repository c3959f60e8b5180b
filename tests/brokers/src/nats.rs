//! A NATS server.

use std::net::SocketAddr;

use crate::script::{Script, is_installed, start_on_free_port};

/// The settings of a server. By default it has `JetStream`, and the limits that NATS has by default.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Whether the server stores streams.
    pub jetstream: bool,
    /// The largest message with its headers, in bytes.
    pub max_payload: Option<u32>,
    /// The disk that all streams may reserve, in bytes.
    pub max_file_store: Option<u64>,
}

impl Default for Settings {
    fn default() -> Self {
        Self { jetstream: true, max_payload: None, max_file_store: None }
    }
}

impl Settings {
    fn config(self) -> String {
        let setting = |name: &str, bytes: Option<u64>| {
            bytes.map_or(String::new(), |bytes| format!("{name}: {bytes}\n"))
        };
        let max_payload = setting("max_payload", self.max_payload.map(Into::into));
        let max_file_store = setting("max_file_store", self.max_file_store);
        if self.jetstream {
            format!("{max_payload}jetstream {{\n store_dir: \"@dir@/store\"\n {max_file_store}}}\n")
        } else {
            max_payload
        }
    }
}

/// A NATS server, which ends when the value is dropped.
#[derive(Debug)]
pub struct Nats {
    /// The address that the server listens on, also after a restart.
    pub at: SocketAddr,
    script: Script,
}

impl Nats {
    /// Starts a server with the default settings. Returns `None`, and prints the reason, if none can be installed.
    ///
    /// # Panics
    ///
    /// If the installed server does not start.
    #[must_use]
    pub fn start() -> Option<Self> {
        Self::with(Settings::default())
    }

    /// Starts a server with these settings. Returns `None`, and prints the reason, if none can be installed.
    ///
    /// # Panics
    ///
    /// If the installed server does not start.
    #[must_use]
    pub fn with(settings: Settings) -> Option<Self> {
        is_installed("nats-server").then(|| start_on_free_port(|port| Self::run(port, settings)))
    }

    fn run(port: u16, settings: Settings) -> Option<Self> {
        let args = [port.to_string(), settings.config()];
        let script = Script::start(include_str!("nats.sh"), &args)?;
        Some(Self { at: SocketAddr::from(([127, 0, 0, 1], port)), script })
    }

    /// Returns the URL for clients.
    pub fn url(&self) -> String {
        format!("nats://{}", self.at)
    }

    /// Ends the server with `SIGKILL`. Its streams stay on disk.
    ///
    /// # Panics
    ///
    /// If the script of the server has ended.
    pub fn kill(&mut self) {
        self.script.run("kill");
    }

    /// Starts a killed server again, with the same port and the same streams. Returns when it accepts clients.
    ///
    /// # Panics
    ///
    /// If the server does not start.
    pub fn restart(&mut self) {
        self.script.run("start");
    }

    /// Stops the server with `SIGSTOP`: its connections stay open, and nothing is answered.
    ///
    /// # Panics
    ///
    /// If the script of the server has ended.
    pub fn pause(&mut self) {
        self.script.run("pause");
    }

    /// Lets a paused server go on.
    ///
    /// # Panics
    ///
    /// If the script of the server has ended.
    pub fn resume(&mut self) {
        self.script.run("resume");
    }
}
