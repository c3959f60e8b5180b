//! A `RabbitMQ` server.

use std::net::SocketAddr;

use crate::script::{Script, is_installed, start_on_free_port};

/// A `RabbitMQ` server, which ends when the value is dropped.
#[derive(Debug)]
pub struct RabbitMq {
    /// The address that the server listens on, also after a restart.
    pub at: SocketAddr,
    script: Script,
}

impl RabbitMq {
    /// Starts a server, which takes some seconds. Returns `None`, and prints the reason, if none can be installed.
    ///
    /// # Panics
    ///
    /// If the installed server does not start.
    #[must_use]
    pub fn start() -> Option<Self> {
        is_installed("rabbitmq-server").then(|| start_on_free_port(Self::run))
    }

    fn run(port: u16) -> Option<Self> {
        let others = [followthrough_tests::free_port(), followthrough_tests::free_port()];
        let args = [port.to_string(), others[0].to_string(), others[1].to_string()];
        let script = Script::start(include_str!("rabbitmq.sh"), &args)?;
        Some(Self { at: SocketAddr::from(([127, 0, 0, 1], port)), script })
    }

    /// Returns the URL for clients.
    pub fn url(&self) -> String {
        format!("amqp://guest:guest@{}/%2f", self.at)
    }

    /// Ends the server with `SIGKILL`. Its durable queues stay on disk.
    ///
    /// # Panics
    ///
    /// If the script of the server has ended.
    pub fn kill(&mut self) {
        self.script.run("kill");
    }

    /// Starts a killed server again, with the same port and the same queues. Returns when it accepts clients.
    ///
    /// # Panics
    ///
    /// If the server does not start.
    pub fn restart(&mut self) {
        self.script.run("start");
    }
}
