//! A service in a process of its own, which a signal ends.

use std::net::SocketAddr;
use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::Failure;

/// Longer than a start takes on a busy machine.
const START: Duration = Duration::from_secs(30);

/// A listening service. Dropping the value kills it.
pub(crate) struct Service {
    pub(crate) address: SocketAddr,
    child: Child,
    out: Lines<BufReader<ChildStdout>>,
    log: JoinHandle<Vec<String>>,
}

/// The end of a service.
pub(crate) struct Ended {
    /// The time from the signal to the end of the process.
    pub(crate) after: Duration,
    /// `None` if a signal killed it.
    pub(crate) code: Option<i32>,
    /// The lines on its stdout since it listened.
    pub(crate) out: Vec<String>,
    /// The lines on its stderr.
    pub(crate) log: Vec<String>,
}

impl Service {
    /// Starts the service and waits until it prints its address.
    pub(crate) async fn start(mut command: Command) -> Result<Self, Failure> {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.kill_on_drop(true).spawn()?;
        let out = child.stdout.take().ok_or("no stdout")?;
        let mut out = BufReader::new(out).lines();
        let log = child.stderr.take().ok_or("no stderr")?;
        let log = tokio::spawn(all_lines(BufReader::new(log).lines()));
        let first = timeout(START, out.next_line()).await.map_err(|_| "the service is stuck")??;
        let address = first.as_deref().and_then(|line| line.strip_prefix("listening on http://"));
        let Some(address) = address else {
            drop(child);
            return Err(format!("the service did not start: {}", log.await?.join("; ")).into());
        };
        Ok(Self { address: address.parse()?, child, out, log })
    }

    /// Returns the id of the process while it runs.
    pub(crate) fn pid(&self) -> Option<Pid> {
        Pid::from_raw(self.child.id()?.try_into().ok()?)
    }

    /// Sends SIGTERM and waits at most `within` for the end of the process.
    pub(crate) async fn terminate(mut self, within: Duration) -> Result<Ended, Failure> {
        let pid = self.pid().ok_or("the service ended before its signal")?;
        let signalled = Instant::now();
        kill_process(pid, Signal::TERM)?;
        let ended = async {
            // The output ends with the process. Its last line is longer than the buffer of a pipe,
            // so this reads on.
            let out = all_lines(self.out).await;
            let status = self.child.wait().await?;
            let after = signalled.elapsed();
            Ok(Ended { after, code: status.code(), out, log: self.log.await? })
        };
        let late = |_| format!("the service has not ended {within:?} after its signal");
        timeout(within, ended).await.map_err(late)?
    }
}

async fn all_lines<R: AsyncRead + Unpin>(mut lines: Lines<BufReader<R>>) -> Vec<String> {
    let mut all = Vec::new();
    while let Ok(Some(line)) = lines.next_line().await {
        all.push(line);
    }
    all
}
