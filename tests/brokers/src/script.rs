//! The shell script that holds a server.

use std::{
    io::{self, BufRead, BufReader, Write},
    process::{Child, ChildStdout, Command, Stdio},
};

/// A script that reads commands from its standard input, one a line, and prints a line when it has done one.
#[derive(Debug)]
pub(crate) struct Script {
    child: Child,
    answers: BufReader<ChildStdout>,
}

impl Script {
    /// Starts the script. Returns `None` if it ends before it prints that the server has started.
    pub(crate) fn start(text: &str, args: &[String]) -> Option<Self> {
        let mut child = Command::new("sh")
            .args(["-c", text, "server"])
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("there is a shell");
        let answers = BufReader::new(child.stdout.take().expect("it is piped"));
        let mut script = Self { child, answers };
        script.answered().then_some(script)
    }

    /// Runs one command of the script.
    ///
    /// # Panics
    ///
    /// If the script ends instead, with its reason on standard error.
    pub(crate) fn run(&mut self, command: &str) {
        let mut commands = self.child.stdin.as_ref().expect("it is piped");
        writeln!(commands, "{command}").expect("the script reads");
        assert!(self.answered(), "the server does not {command}");
    }

    fn answered(&mut self) -> bool {
        self.answers.read_line(&mut String::new()).expect("it is text") > 0
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

/// Installs the program `name` if it is absent. Returns `false`, and prints the reason, if it cannot be installed.
pub(crate) fn is_installed(name: &str) -> bool {
    let installed = followthrough_tests::proxy::install(name);
    if let Err(reason) = &installed {
        // The test runner hides the output of `println!` when a test passes.
        let _ = writeln!(io::stderr(), "skipped: {reason}");
    }
    installed.is_ok()
}

/// Starts a server on a free port. Another process may take the port before the server binds it, so a start is tried
/// three times.
pub(crate) fn start_on_free_port<T>(start: impl Fn(u16) -> Option<T>) -> T {
    let started = (0..3).find_map(|_| start(followthrough_tests::free_port()));
    started.expect("an installed server starts")
}
