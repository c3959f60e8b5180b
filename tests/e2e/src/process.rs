//! A server in a process of its own, which receives real signals.

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
    time::timeout,
};

use crate::{SOON, soon};

/// Longer than a drain with the default grace takes, because a busy machine may need most of the grace.
const DRAINED: Duration = Duration::from_secs(40);

/// A process whose first line is `listening on ADDR` or `listening on http://ADDR`, and whose last line is its report as JSON.
/// Dropping the value kills the process.
#[derive(Debug)]
pub struct Process {
    /// The address that the process listens on.
    pub at: SocketAddr,
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    /// Lines that no caller has waited for yet.
    seen: Vec<String>,
    errors: JoinHandle<io::Result<String>>,
}

impl Process {
    /// Starts `program`.
    ///
    /// # Panics
    ///
    /// If the process does not print its address.
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
        let at = first.as_deref().and_then(|line| {
            line.strip_prefix("listening on ")?.trim_start_matches("http://").parse().ok()
        });
        let at = at.unwrap_or_else(|| panic!("it says where it listens, not {first:?}"));
        Self { at, child, lines, seen: Vec::new(), errors }
    }

    /// Waits for a line that `wanted` accepts, and returns each line once.
    async fn line(&mut self, what: &str, wanted: impl Fn(&str) -> bool) -> String {
        self.line_within(SOON, what, wanted).await
    }

    async fn line_within(
        &mut self,
        limit: Duration,
        what: &str,
        wanted: impl Fn(&str) -> bool,
    ) -> String {
        loop {
            if let Some(found) = self.seen.iter().position(|line| wanted(line)) {
                return self.seen.remove(found);
            }
            let line = timeout(limit, self.lines.next_line()).await;
            let line = line.unwrap_or_else(|_| panic!("{what} did not happen within {limit:?}"));
            let line = line.expect("it can be read");
            self.seen.push(line.unwrap_or_else(|| panic!("`{what}` comes before the end")));
        }
    }

    /// Waits for the line `WHAT on http://ADDR`, and returns the address.
    ///
    /// # Panics
    ///
    /// If the line has no address.
    pub async fn address(&mut self, what: &str) -> SocketAddr {
        let prefix = format!("{what} on http://");
        let line = self.line(&prefix, |line| line.starts_with(&prefix)).await;
        line[prefix.len()..].parse().expect("an address follows")
    }

    /// Waits until the process prints that `what` has begun.
    pub async fn begun(&mut self, what: &str) {
        let expected = format!("{what} begun");
        self.line(&expected, |line| line == expected).await;
    }

    /// Waits until the process prints that anything has begun.
    pub async fn begun_any(&mut self) {
        self.line("a line that ends with `begun`", |line| line.ends_with(" begun")).await;
    }

    /// Sends a signal and returns the time.
    ///
    /// # Panics
    ///
    /// If the process has ended.
    pub fn signal(&self, signal: Signal) -> Instant {
        let pid = self.child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        let sent = Instant::now();
        kill_process(pid.expect("it runs"), signal).expect("it can be told");
        sent
    }

    /// Waits for the report.
    ///
    /// # Panics
    ///
    /// If the line is not JSON.
    pub async fn report(&mut self) -> Value {
        let line = self.line_within(DRAINED, "the report", |line| line.starts_with('{')).await;
        // Later calls read the same line.
        self.seen.push(line.clone());
        serde_json::from_str(&line).expect("the report is JSON")
    }

    /// Closes stdin and waits for the end of the process. `since` is the time of the signal.
    ///
    /// # Panics
    ///
    /// If the process does not end, or prints no report.
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

/// The end of a process and its report.
#[derive(Debug)]
pub struct Exit {
    /// The time from the signal to the end of the process.
    pub took: Duration,
    /// The exit code; `None` if a signal killed the process.
    pub code: Option<i32>,
    /// The report.
    pub report: Value,
    /// The text on stderr.
    pub text: String,
}

impl Exit {
    /// Returns the duration of the drain by its own clock.
    pub fn elapsed(&self) -> Duration {
        millis(&self.report["elapsed_ms"])
    }

    /// Returns the duration of a phase.
    pub fn phase(&self, name: &str) -> Duration {
        millis(&self.report["phases"][format!("{name}_ms")])
    }

    /// Returns one of the counts of durable work.
    pub fn durable(&self, count: &str) -> u64 {
        number(&self.report["durable"][count])
    }

    /// Returns the abandoned work as handler and kind, in alphabetical order.
    pub fn abandoned(&self) -> Vec<(&str, &str)> {
        works(&self.report["abandoned"])
    }

    /// Returns the connections that were cut, in alphabetical order: each protocol, with the
    /// handler and the kind of each request on the connection.
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

/// Returns the names without their modules.
fn works(works: &Value) -> Vec<(&str, &str)> {
    let describe = |work| {
        let handler = text(work, "handler");
        (handler.rsplit("::").next().unwrap_or(handler), text(work, "kind"))
    };
    let mut works: Vec<_> = list(works).iter().map(describe).collect();
    works.sort_unstable();
    works
}
