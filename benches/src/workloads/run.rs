//! A run: a fresh server, and a load generator on the other core.

use std::{
    path::PathBuf,
    sync::atomic::{AtomicU32, Ordering},
};

use super::{
    figures::{Figure, Figures},
    load::{Fault, Outcome},
    rows::{Generator, Row},
    server::tls,
    sides::Side,
};
use crate::wire::{H2loadTarget, Places, Protocol, Running, cores};

/// The limit of a load generator in seconds; the generator itself ends before.
const LIMIT: &str = "120";

/// The program, and a folder for its files, which is removed at the end.
#[derive(Debug)]
pub(super) struct Bench {
    places: Places,
    folder: PathBuf,
}

impl Bench {
    pub(super) fn new(places: Places) -> Result<Self, String> {
        // Measurements at the same time need folders of their own.
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("workloads-{}-{number}", std::process::id());
        let bench = Self { folder: places.scratch().join(name), places };
        tls::make(&bench.folder)?;
        Ok(bench)
    }

    pub(super) fn has_cores(&self) -> bool {
        self.places.cores().is_some()
    }

    /// Loads a server of `side` with the workload `row`.
    ///
    /// # Errors
    ///
    /// If the machine lacks something, or the server fails or ends.
    pub(super) fn run(&self, row: &Row, side: Side, amount: u64) -> Result<Figures, Fault> {
        let mut command = cores::server(self.places.cores(), self.places.itself());
        command.args(["workloads", "serve", side.name()]);
        if row.tls {
            command.arg(&self.folder);
        }
        let mut server = Running::start(command).map_err(Fault::Lacking)?;
        let found = match row.by {
            Generator::Own => self.own(row, &server, amount),
            Generator::H2load { connections, streams } => {
                self.h2load((connections, streams), &server, amount)
            }
        };
        let mut figures = found?;
        figures.retain(|figure, _| row.figures.contains(figure));
        if !row.ends_server && server.has_ended() {
            return Err("the server ended during the run".into());
        }
        server.stop()?;
        Ok(figures)
    }

    fn own(&self, row: &Row, server: &Running, amount: u64) -> Result<Figures, Fault> {
        let mut command = cores::client(self.places.cores(), "timeout");
        command.args(["--kill-after=5", LIMIT]).arg(self.places.itself());
        command.args(["workloads", "load", row.id]);
        command.arg(server.port(Protocol::Http1).to_string());
        command.arg(server.id().to_string()).arg(amount.to_string()).arg(&self.folder);
        let output =
            command.output().map_err(|error| Fault::Lacking(format!("no load: {error}")))?;
        if !output.status.success() {
            let complaint = String::from_utf8_lossy(&output.stderr);
            return Err(format!("{}, {}", output.status, complaint.trim()).into());
        }
        let said = String::from_utf8_lossy(&output.stdout);
        match serde_json::from_str(&said) {
            Ok(Outcome::Found(figures)) => Ok(figures),
            Ok(Outcome::Lacking(reason)) => Err(Fault::Lacking(reason)),
            Err(error) => Err(format!("the load generator printed `{said}`: {error}").into()),
        }
    }

    fn h2load(
        &self,
        (connections, streams): (u32, u32),
        server: &Running,
        amount: u64,
    ) -> Result<Figures, Fault> {
        let requests = u32::try_from(amount).unwrap_or(u32::MAX);
        let log = &self.folder.join("requests.log");
        let cores = self.places.cores();
        let target =
            H2loadTarget { protocol: Protocol::H2c, server, connections, streams, log, cores };
        target.load((requests / 10).max(connections * streams))?;
        let load = target.load(requests)?;
        let mut figures = Figures::from([(Figure::Rate, load.rate), (Figure::P99, load.p99)]);
        figures.extend(load.cpu.map(|cpu| (Figure::Cpu, cpu)));
        Ok(figures)
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        // A drop cannot return the error.
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
