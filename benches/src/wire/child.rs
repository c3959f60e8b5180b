//! A server in a process of its own.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use super::Protocol;

/// Longer than a start takes on a busy machine.
const START: Duration = Duration::from_secs(30);
/// Longer than an end takes once stdin is closed.
const END: Duration = Duration::from_secs(5);

/// A listening server. Dropping the value ends it.
#[derive(Debug)]
pub struct Running {
    child: Child,
    http1: u16,
    h2c: u16,
}

impl Running {
    /// Starts the server and waits until it prints its address.
    ///
    /// # Errors
    ///
    /// If the server cannot be started, or does not print its address.
    pub fn start(mut command: Command) -> Result<Self, String> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let child = command.spawn().map_err(|error| format!("it cannot be started: {error}"))?;
        let mut running = Self { child, http1: 0, h2c: 0 };
        let out = running.child.stdout.take().ok_or("the server has no stdout")?;
        let (said, hears) = mpsc::channel();
        // A read has no time-out. The end of the server ends this thread.
        std::thread::spawn(move || {
            let mut line = String::new();
            let _ = BufReader::new(out).read_line(&mut line);
            let _ = said.send(line);
        });
        let line =
            hears.recv_timeout(START).map_err(|_| format!("it said nothing within {START:?}"))?;
        (running.http1, running.h2c) =
            ports(&line).ok_or_else(|| format!("it said `{}`, expected its ports", line.trim()))?;
        Ok(running)
    }

    /// Returns the number of the process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Returns whether the process has ended.
    pub(crate) fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    /// Closes stdin, and waits for the end of the server.
    ///
    /// # Errors
    ///
    /// If the server ended with another status than success, or not by itself and was killed.
    pub fn stop(mut self) -> Result<(), String> {
        self.end()
    }

    fn end(&mut self) -> Result<(), String> {
        drop(self.child.stdin.take());
        let began = Instant::now();
        let status = loop {
            match self.child.try_wait() {
                Ok(None) => {}
                Ok(Some(status)) => break status,
                Err(error) => return Err(format!("it cannot be waited for: {error}")),
            }
            if began.elapsed() > END {
                let _ = self.child.kill();
                let _ = self.child.wait();
                return Err(format!("it did not end within {END:?} of its stdin"));
            }
            // The standard library cannot wait for a process with a time-out.
            std::thread::sleep(Duration::from_millis(5));
        };
        if status.success() { Ok(()) } else { Err(format!("it ended with {status}")) }
    }

    /// Returns the port of a protocol.
    pub fn port(&self, protocol: Protocol) -> u16 {
        match protocol {
            Protocol::Http1 => self.http1,
            Protocol::H2c => self.h2c,
        }
    }
}

/// Returns the processor time of all threads of a process until now, in nanoseconds, or `None` if
/// the system does not report it.
pub(crate) fn processor_time(process: u32) -> Option<u64> {
    let threads = std::fs::read_dir(format!("/proc/{process}/task")).ok()?;
    // A thread may end meanwhile.
    let times = threads.flatten().filter_map(|thread| {
        let times = std::fs::read_to_string(thread.path().join("schedstat")).ok()?;
        times.split(' ').next()?.parse::<u64>().ok()
    });
    Some(times.sum()).filter(|sum| *sum > 0)
}

/// Returns the processor time of a process since `before`, or `None` if the system does not report
/// it, or a thread ended meanwhile and took its time with it.
pub(crate) fn processor_time_since(process: u32, before: Option<u64>) -> Option<u64> {
    between(before?, processor_time(process)?)
}

fn between(before: u64, after: u64) -> Option<u64> {
    after.checked_sub(before).filter(|time| *time > 0)
}

/// Parses a line such as `http1 40001 h2c 40002`.
fn ports(line: &str) -> Option<(u16, u16)> {
    let (http1, h2c) = line.trim().strip_prefix("http1 ")?.split_once(" h2c ")?;
    Some((http1.parse().ok()?, h2c.parse().ok()?))
}

impl Drop for Running {
    fn drop(&mut self) {
        // A drop cannot return the error.
        let _ = self.end();
    }
}

#[cfg(test)]
mod tests {
    use super::between;

    #[test]
    fn a_server_whose_time_shrinks_or_stands_still_has_no_figure() {
        assert_eq!(between(3, 10), Some(7));
        // Its threads ended, so the time is unknown, and not zero.
        assert_eq!(between(10, 3), None);
        assert_eq!(between(10, 10), None);
    }
}
