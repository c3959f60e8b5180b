//! One run: a fresh server, and a load generator on the other core.

use std::path::PathBuf;

use super::{
    figures::{Figure, Figures},
    load::{Fault, Outcome},
    rows::{Generator, Row},
    sides::Side,
};
use crate::wire::{H2loadTarget, Places, Protocol, Running, cores};

/// The limit of a load generator in seconds; the generator itself ends before.
const LIMIT: &str = "120";

/// The program, and the folder for its files.
#[derive(Debug)]
pub(super) struct Bench {
    places: Places,
}

impl Bench {
    pub(super) fn new(places: Places) -> Result<Self, String> {
        super::server::tls::make(&folder(&places))?;
        Ok(Self { places })
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
            command.arg(folder(&self.places));
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
        command.arg(server.id().to_string()).arg(amount.to_string()).arg(folder(&self.places));
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
        let log = &folder(&self.places).join("requests.log");
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

fn folder(places: &Places) -> PathBuf {
    places.scratch().join("workloads")
}
