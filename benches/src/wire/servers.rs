//! The servers, and the path of each program.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::cores::{self, Cores};

/// A server of the tables.
#[derive(Debug)]
pub struct Server {
    /// The name for `--only`.
    pub name: &'static str,
    /// The name in the tables.
    pub title: &'static str,
    /// The kind of the server.
    pub kind: Kind,
}

/// The program that a server belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `axum::serve`, in this program.
    Bare,
    /// `followthrough::serve`, in this program.
    Ours,
    /// A binary of the workspace `benches/peers`, with its arguments.
    Cargo(&'static str, &'static [&'static str]),
    /// `benches/peers/go`.
    Go,
    /// `benches/peers/fastify`.
    Fastify,
}

const fn server(name: &'static str, title: &'static str, kind: Kind) -> Server {
    Server { name, title, kind }
}

/// The servers, in the order of the tables. Bare axum is first, because the others are divided by
/// it.
pub const SERVERS: [Server; 17] = [
    server("bare", "axum::serve", Kind::Bare),
    server("bare_again", "axum::serve, a second process", Kind::Bare),
    server("bare_nodelay", "axum::serve with TCP_NODELAY", Kind::Bare),
    server("serve", "followthrough::serve, no policy", Kind::Ours),
    server("read", "read", Kind::Ours),
    server("read_deadline", "read + deadline", Kind::Ours),
    server("stream", "stream", Kind::Ours),
    server("idempotent_write", "idempotent_write", Kind::Ours),
    server("reversible_write", "reversible_write", Kind::Ours),
    server("cooperative", "read, cooperative", Kind::Ours),
    server("durable_write", "durable_write", Kind::Ours),
    server("durable_site", "read with a durable site", Kind::Ours),
    server(
        "dropshot_cancel",
        "dropshot, CancelOnDisconnect",
        Kind::Cargo("peer-dropshot", &["cancel"]),
    ),
    server("dropshot_detached", "dropshot, Detached", Kind::Cargo("peer-dropshot", &["detached"])),
    server("trillium", "Trillium", Kind::Cargo("peer-trillium", &[])),
    server("go", "Go net/http, context.WithTimeout", Kind::Go),
    server("fastify", "fastify, signal + handlerTimeout", Kind::Fastify),
];

impl Server {
    /// Returns whether the server is in this program, and so cannot be missing.
    pub fn is_ours(&self) -> bool {
        matches!(self.kind, Kind::Bare | Kind::Ours)
    }

    /// Returns the command that starts the server, or `None` if it is not installed.
    pub fn command(&self, places: &Places) -> Option<Command> {
        let command = |program: PathBuf, arguments: &[&str]| {
            let mut command = cores::server(places.cores, &program);
            command.args(arguments);
            program.exists().then_some(command)
        };
        match self.kind {
            Kind::Bare | Kind::Ours => {
                command(places.itself.clone(), &["wire", "serve", self.name, "0"])
            }
            Kind::Cargo(binary, arguments) => command(places.release(binary), arguments),
            Kind::Go => command(places.go_server(), &[]),
            Kind::Fastify => {
                let mut node = cores::server(places.cores, "node");
                node.arg(places.fastify().join("server.js"));
                places.fastify().join("node_modules/fastify").exists().then_some(node)
            }
        }
    }
}

/// The paths of the programs.
#[derive(Debug, Clone)]
pub struct Places {
    /// This program.
    itself: PathBuf,
    /// Cargo's target directory.
    target: PathBuf,
    /// The cores that they run on.
    cores: Option<Cores>,
}

impl Places {
    /// Returns the places for the program at that path, where cargo has put it.
    ///
    /// # Errors
    ///
    /// If the path is not within a target directory.
    pub fn of(program: &Path) -> Result<Self, String> {
        let target = program.ancestors().nth(2);
        let target =
            target.ok_or_else(|| format!("{} is in no target directory", program.display()))?;
        Ok(Self { itself: program.to_owned(), target: target.to_owned(), cores: Cores::find() })
    }

    /// Returns the path of this program.
    pub(crate) fn itself(&self) -> &Path {
        &self.itself
    }

    pub(crate) const fn cores(&self) -> Option<Cores> {
        self.cores
    }

    pub(super) fn target(&self) -> &Path {
        &self.target
    }

    /// Returns the folder for installations.
    pub(crate) fn scratch(&self) -> PathBuf {
        self.target.join("wire")
    }

    fn release(&self, binary: &str) -> PathBuf {
        self.target.join("release").join(binary)
    }

    pub(super) fn go_server(&self) -> PathBuf {
        self.scratch().join("peer-go")
    }

    pub(super) fn fastify(&self) -> PathBuf {
        self.scratch().join("fastify")
    }
}
