//! The order service in a process of its own.

use std::{net::SocketAddr, time::Duration};

use followthrough_tests::{
    Process,
    h1::{self, Answer, Call},
    soon,
};

/// A running order service with its operations port.
#[derive(Debug)]
pub struct Orders {
    /// The process.
    pub process: Process,
    /// The address of the service.
    pub at: SocketAddr,
    /// The address of its operations port.
    pub operations: SocketAddr,
}

impl Orders {
    /// Starts the service from `program`, on free ports and with a report as JSON.
    pub async fn start(program: &str, args: &[&str]) -> Self {
        let ports =
            ["--port", "0", "--operations", "127.0.0.1:0", "--report", "json", "--log", "off"];
        let mut process = Process::start(program, &[&ports, args].concat()).await;
        let operations = process.address("operations").await;
        Self { at: process.at, process, operations }
    }

    /// Opens a connection for a request that [`request`] writes later.
    pub async fn connect(&self) -> Call {
        h1::raw(self.at, "").await
    }

    /// Sends a request with a JSON body.
    pub async fn send(&self, method: &str, path: &str, body: &str) -> Call {
        h1::raw(self.at, request(method, path, body)).await
    }

    /// Sends a request and waits for its answer.
    pub async fn call(&self, method: &str, path: &str, body: &str) -> Answer {
        self.send(method, path, body).await.answer().await
    }

    /// Waits until the samples of `name` whose labels contain `label` add up to `number`.
    pub async fn until(&self, name: &str, label: &str, number: u32) {
        soon(&format!("{name}{{{label}}} is {number}"), async {
            while self.sum(name, label).await < f64::from(number) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await;
    }

    /// Waits until there is no durable work and no request.
    pub async fn until_idle(&self) {
        soon("the end of the work", async {
            while self.sum("work_in_flight", "").await + self.sum("requests_in_flight", "").await
                > 0.0
            {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        })
        .await;
    }

    async fn sum(&self, name: &str, label: &str) -> f64 {
        let metrics = h1::call(self.operations, "GET", "/metrics").await.body;
        let samples = metrics.lines().filter_map(|line| {
            let rest = line.strip_prefix("followthrough_")?.strip_prefix(name)?;
            let (labels, value) = rest.rsplit_once(' ')?;
            let is_it = (labels.is_empty() || labels.starts_with('{')) && labels.contains(label);
            is_it.then(|| value.parse::<f64>().ok()).flatten()
        });
        samples.sum()
    }
}

/// Returns the bytes of a request with a JSON body.
pub fn request(method: &str, path: &str, body: &str) -> String {
    let length = body.len();
    let head = format!("{method} {path} HTTP/1.1\r\nhost: test\r\ncontent-length: {length}");
    format!("{head}\r\ncontent-type: application/json\r\n\r\n{body}")
}
