//! A server in a process of its own, which gets real signals.

use std::{
    fmt, io,
    net::SocketAddr,
    process::Stdio,
    time::{Duration, Instant},
};

pub use rustix::process::Signal;
use rustix::process::{Pid, kill_process};
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, BufReader, Lines},
    process::{Child, ChildStdout, Command},
    task::JoinHandle,
};

use crate::soon;

/// A process that says `listening on ADDR` first and its report as a line of JSON last. It is
/// killed when this is dropped.
#[derive(Debug)]
pub struct Process {
    /// Where it listens.
    pub at: SocketAddr,
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    /// Lines that nobody has waited for yet.
    seen: Vec<String>,
    errors: JoinHandle<io::Result<String>>,
}

impl Process {
    /// Starts `program`.
    ///
    /// # Panics
    ///
    /// If it does not say where it listens.
    pub async fn start(program: &str, args: &[&str]) -> Self {
        let mut child = Command::new(program)
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the program starts");
        let mut lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        let mut stderr = child.stderr.take().expect("it is piped");
        let errors = tokio::spawn(async move {
            let mut text = String::new();
            stderr.read_to_string(&mut text).await.map(|_| text)
        });
        let first = soon("the first line", lines.next_line()).await.expect("it can be read");
        let at = first.as_deref().and_then(|line| line.strip_prefix("listening on ")?.parse().ok());
        let at = at.unwrap_or_else(|| panic!("it says where it listens, not {first:?}"));
        Self { at, child, lines, seen: Vec::new(), errors }
    }

    /// Waits for a line that `wanted` likes, each line once.
    async fn line(&mut self, what: &str, wanted: impl Fn(&str) -> bool) -> String {
        loop {
            if let Some(found) = self.seen.iter().position(|line| wanted(line)) {
                return self.seen.remove(found);
            }
            let line = soon(what, self.lines.next_line()).await.expect("it can be read");
            self.seen.push(line.unwrap_or_else(|| panic!("`{what}` comes before the end")));
        }
    }

    /// Waits until it says that this has begun.
    pub async fn begun(&mut self, what: &str) {
        let expected = format!("{what} begun");
        self.line(&expected, |line| line == expected).await;
    }

    /// Sends a signal, and gives the time of that.
    ///
    /// # Panics
    ///
    /// If the process is gone.
    pub fn signal(&self, signal: Signal) -> Instant {
        let pid = self.child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        let sent = Instant::now();
        kill_process(pid.expect("it runs"), signal).expect("it can be told");
        sent
    }

    /// Waits for its report.
    ///
    /// # Panics
    ///
    /// If that is not JSON.
    pub async fn report(&mut self) -> Value {
        let line = self.line("the report", |line| line.starts_with('{')).await;
        // For whoever asks again.
        self.seen.push(line.clone());
        serde_json::from_str(&line).expect("the report is JSON")
    }

    /// Closes its stdin and waits for its end, which takes as long as it does from `since`.
    ///
    /// # Panics
    ///
    /// If it does not end, or without a report.
    pub async fn exit(mut self, since: Instant) -> Exit {
        drop(self.child.stdin.take());
        let report = self.report().await;
        let status = soon("the end of the process", self.child.wait()).await;
        let took = since.elapsed();
        let text = soon("the end of stderr", self.errors).await.expect("nothing panics there");
        let code = status.expect("it can be waited for").code();
        Exit { took, code, report, text: text.expect("it is text") }
    }
}

/// How a process ended, and what it reported.
#[derive(Debug)]
pub struct Exit {
    /// From the signal to the end of the process.
    pub took: Duration,
    /// Its exit code; `None` if a signal killed it.
    pub code: Option<i32>,
    /// Its report.
    pub report: Value,
    /// What it wrote to stderr.
    pub text: String,
}

impl Exit {
    /// How long the drain took, by its own clock.
    pub fn elapsed(&self) -> Duration {
        millis(&self.report["elapsed_ms"])
    }

    /// How long this phase took.
    pub fn phase(&self, name: &str) -> Duration {
        millis(&self.report["phases"][format!("{name}_ms")])
    }

    /// One of the counts of durable work.
    pub fn durable(&self, count: &str) -> u64 {
        number(&self.report["durable"][count])
    }

    /// The lost work, handler and kind each, in the order of the alphabet.
    pub fn abandoned(&self) -> Vec<(&str, &str)> {
        works(&self.report["abandoned"])
    }

    /// The connections that were cut, in the order of the alphabet: the protocol of each, and
    /// handler and kind of the requests on it.
    pub fn cut(&self) -> Vec<(&str, Vec<(&str, &str)>)> {
        let describe = |cut| (text(cut, "protocol"), works(&cut["requests"]));
        let mut cut: Vec<_> = list(&self.report["connections_cut"]).iter().map(describe).collect();
        cut.sort_unstable();
        cut
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "took {:?}, exit code {:?}\n{}\n{}", self.took, self.code, self.text, self.report)
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap_or_else(|| panic!("expected a list, found {value}"))
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("expected a number, found {value}"))
}

fn millis(value: &Value) -> Duration {
    Duration::from_millis(number(value))
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_else(|| panic!("expected text in `{key}` of {value}"))
}

/// Without their modules.
fn works(works: &Value) -> Vec<(&str, &str)> {
    let describe = |work| {
        let handler = text(work, "handler");
        (handler.rsplit("::").next().unwrap_or(handler), text(work, "kind"))
    };
    let mut works: Vec<_> = list(works).iter().map(describe).collect();
    works.sort_unstable();
    works
}
