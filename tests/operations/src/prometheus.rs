//! A Prometheus in a process of its own.

use std::{fs, net::SocketAddr, path::Path, process::Stdio, time::Duration};

use followthrough_tests::{h1, soon};
use serde_json::Value;
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
};

/// A Prometheus that runs until the value is dropped.
#[derive(Debug)]
pub struct Prometheus {
    at: SocketAddr,
    _process: Child,
    _dir: TempDir,
}

impl Prometheus {
    /// Starts Prometheus, which scrapes `target` and evaluates `rules` each second.
    ///
    /// # Panics
    ///
    /// If the installed program does not start.
    pub async fn start(target: SocketAddr, rules: &Path) -> Self {
        let dir = TempDir::new().expect("a directory can be made");
        let config = format!(
            "global: {{scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}}\n\
             rule_files: ['{}']\n\
             scrape_configs: [{{job_name: orders, static_configs: [{{targets: ['{target}']}}]}}]\n",
            rules.display()
        );
        let file = dir.path().join("prometheus.yml");
        fs::write(&file, config).expect("the directory is writable");
        let mut process = Command::new("prometheus")
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.tsdb.path={}", dir.path().join("data").display()))
            .args(["--web.listen-address=127.0.0.1:0", "--log.format=json"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("it is installed");
        let mut log = BufReader::new(process.stderr.take().expect("it is piped")).lines();
        let (mut said, mut address) = (String::new(), None);
        let at = soon("Prometheus is ready", async {
            while let Some(line) = log.next_line().await.expect("the log is text") {
                let entry: Value = serde_json::from_str(&line).unwrap_or_default();
                match entry["msg"].as_str() {
                    Some("Listening on") => address = entry["address"].as_str().map(str::to_owned),
                    Some("Server is ready to receive web requests.") => {
                        return address.and_then(|address| address.parse().ok());
                    }
                    _ => said.push_str(&line),
                }
            }
            None
        });
        let at = at.await.unwrap_or_else(|| panic!("Prometheus does not start: {said}"));
        // The log is read on, because a full pipe would block the program.
        drop(tokio::spawn(async move { while let Ok(Some(_)) = log.next_line().await {} }));
        Self { at, _process: process, _dir: dir }
    }

    /// Returns the data of an answer of the HTTP API.
    ///
    /// # Panics
    ///
    /// If Prometheus reports an error.
    pub async fn ask(&self, path: &str, parameters: &[(&str, &str)]) -> Value {
        let pairs = parameters.iter().map(|(name, value)| format!("{name}={}", escape(value)));
        let query = pairs.collect::<Vec<_>>().join("&");
        // An answer to HTTP/1.0 is not in chunks.
        let request = format!("GET /api/v1/{path}?{query} HTTP/1.0\r\nhost: test\r\n\r\n");
        let answer = h1::raw(self.at, request).await.answer().await;
        let mut value: Value = serde_json::from_str(&answer.body)
            .unwrap_or_else(|error| panic!("{parameters:?}: {error} in {}", answer.body));
        assert_eq!(value["status"], "success", "{parameters:?}: {value}");
        value["data"].take()
    }

    /// Returns the value of a query whose result is one number, or `None` if it has none yet.
    ///
    /// # Panics
    ///
    /// If the query fails, or has several results.
    pub async fn number(&self, query: &str) -> Option<f64> {
        let data = self.ask("query", &[("query", query)]).await;
        let results = data["result"].as_array().expect("a vector").clone();
        assert!(results.len() <= 1, "{query}: {data}");
        let value = results.first()?["value"][1].as_str().expect("a number is a string").to_owned();
        Some(value.parse().expect("it is a number"))
    }

    /// Waits until a query has the value `number`.
    pub async fn until(&self, query: &str, number: f64) {
        soon(&format!("{query} is {number}"), async {
            while self.number(query).await != Some(number) {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        })
        .await;
    }
}

fn escape(text: &str) -> String {
    let escaped = |byte: u8| {
        if byte.is_ascii_alphanumeric() {
            char::from(byte).to_string()
        } else {
            format!("%{byte:02X}")
        }
    };
    text.bytes().map(escaped).collect()
}
