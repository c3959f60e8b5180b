//! The cores: the servers run on one core and the load generator on another. Left to the scheduler,
//! a client and a server with one connection share a core or use two, depending on where they
//! began, which changes their rate by a third.

use std::{ffi::OsStr, fs, process::Command};

/// A core for the servers and one for the load generator.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cores {
    server: u32,
    client: u32,
}

impl Cores {
    /// Returns the first two cores that this process may run on, or `None` if it has only one, or
    /// the system cannot pin a process to a core.
    pub(super) fn find() -> Option<Self> {
        Command::new("taskset").arg("--version").output().ok()?;
        let status = fs::read_to_string("/proc/self/status").ok()?;
        let allowed = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"))?;
        let (server, client) = first_two(allowed.trim())?;
        Some(Self { server, client })
    }
}

/// Returns the command that starts `program` as a server.
pub(crate) fn server(cores: Option<Cores>, program: impl AsRef<OsStr>) -> Command {
    kept_on(cores.map(|cores| cores.server), program.as_ref())
}

/// Returns the command that starts `program` as a client.
pub(crate) fn client(cores: Option<Cores>, program: impl AsRef<OsStr>) -> Command {
    kept_on(cores.map(|cores| cores.client), program.as_ref())
}

fn kept_on(core: Option<u32>, program: &OsStr) -> Command {
    let Some(core) = core else { return Command::new(program) };
    let mut command = Command::new("taskset");
    command.args(["--cpu-list", &core.to_string()]).arg(program);
    command
}

/// Parses a list such as `0-3,8`.
fn first_two(allowed: &str) -> Option<(u32, u32)> {
    let mut cores = allowed.split(',').flat_map(|part| {
        let (from, to) = part.split_once('-').unwrap_or((part, part));
        // A part that is not a number is not a core.
        let bounds = from.parse::<u32>().ok().zip(to.parse::<u32>().ok());
        bounds.map(|(from, to)| from..=to).into_iter().flatten()
    });
    cores.next().zip(cores.next())
}

#[cfg(test)]
mod tests {
    use super::first_two;

    #[test]
    fn the_first_two_cores_are_taken_whatever_the_form_of_the_list() {
        assert_eq!(first_two("0-1"), Some((0, 1)));
        assert_eq!(first_two("3,5-7"), Some((3, 5)));
        assert_eq!(first_two("2-3,8"), Some((2, 3)));
        assert_eq!(first_two("4"), None);
        assert_eq!(first_two(""), None);
    }
}
