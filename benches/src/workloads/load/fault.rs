//! The two ways in which a run fails.

use std::io;

use rustix::io::Errno;

/// The reason why a run has no figures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The machine lacks something, such as a program or a port. The row is left out.
    Lacking(String),
    /// The server answered wrongly or not at all. The measurement fails.
    Wrong(String),
}

impl From<String> for Fault {
    fn from(reason: String) -> Self {
        Self::Wrong(reason)
    }
}

impl From<&str> for Fault {
    fn from(reason: &str) -> Self {
        Self::Wrong(reason.to_owned())
    }
}

impl Fault {
    /// Returns the fault of a failed connect: a limit of the machine, or a server that is gone.
    pub(crate) fn of_connect(error: &io::Error) -> Self {
        let is = |errno: Errno| error.raw_os_error() == Some(errno.raw_os_error());
        let limits = [Errno::MFILE, Errno::NFILE, Errno::ADDRNOTAVAIL, Errno::ADDRINUSE];
        if limits.into_iter().any(is) {
            Self::Lacking(format!("no connection: {error}"))
        } else {
            Self::Wrong(format!("no connection: {error}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_of_the_machine_is_no_fault_of_the_server() {
        for errno in [Errno::MFILE, Errno::ADDRNOTAVAIL] {
            let fault = Fault::of_connect(&errno.into());
            assert!(matches!(fault, Fault::Lacking(_)), "{fault:?}");
        }
        let fault = Fault::of_connect(&Errno::CONNREFUSED.into());
        assert!(matches!(fault, Fault::Wrong(_)), "{fault:?}");
    }
}
