//! The cost of a policy for a server, seen by its clients: bare axum, this crate and other
//! frameworks, each in a process of its own, loaded by `h2load` in turn.
//!
//! `cargo run --release -p followthrough-benches -- wire` installs missing programs, builds the
//! peers and prints the tables. `wire serve <name> <port>` is one of this program's servers; the
//! others are in `benches/peers`. A server prints its address on its first line, and ends when its
//! stdin closes.
//!
//! The tables show only ratios, each taken within one round, in which every server has its turn.
//! The load generator and all other load share the same cores.

mod child;
pub(crate) mod cores;
mod h2load;
pub(crate) mod install;
mod ours;
mod plan;
mod probe;
mod servers;
mod settings;
mod tables;

use std::collections::{HashMap, HashSet};

pub use self::{
    child::Running,
    h2load::{Load, all_succeeded, read_log},
    plan::{CONNECTIONS, Cell, Step, plan, time},
    probe::probe,
    servers::{Kind, Places, SERVERS, Server},
    settings::Settings,
    tables::{Found, tables},
};
pub(crate) use self::{
    child::{processor_time, processor_time_since},
    h2load::Target as H2loadTarget,
    ours::print_address,
};
use crate::results::Table;

/// The body of every response.
pub const TEXT: &str = "ok";

/// The worker threads of every server; the peers have this number in their own sources.
pub(crate) const WORKER_THREADS: usize = 1;

/// A protocol, without TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2 with prior knowledge.
    H2c,
}

impl Protocol {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Http1, Self::H2c];

    fn id(self) -> &'static str {
        match self {
            Self::Http1 => "http1",
            Self::H2c => "h2c",
        }
    }

    fn title(self) -> &'static str {
        match self {
            Self::Http1 => "HTTP/1",
            Self::H2c => "h2c",
        }
    }
}

/// Runs one of this program's servers until stdin closes.
///
/// # Errors
///
/// If there is no server of that name, or it cannot listen.
pub fn serve(name: &str, port: &str) -> Result<(), String> {
    let port = port.parse().map_err(|error| format!("`{port}` is not a port: {error}"))?;
    ours::serve(name, port)
}

/// Measures the servers that `settings` select, and prints progress on stderr.
///
/// # Errors
///
/// If the load generator is missing, or bare axum or a server of this crate fails. A peer that
/// fails is left out, and the notes have the reason.
pub fn measure(settings: &Settings) -> Result<Vec<Table>, String> {
    settings.check()?;
    let itself = std::env::current_exe().map_err(|error| format!("cannot find itself: {error}"))?;
    let places = Places::of(&itself)?;
    install::h2load()?;
    let mut notes = Vec::new();
    let mut wanted = Vec::new();
    let mut running = Vec::new();
    for server in SERVERS.iter().filter(|server| settings.wants(server)) {
        eprintln!("preparing {}", server.name);
        match start(server, &places) {
            Ok(child) => {
                wanted.push(server);
                running.push(child);
            }
            Err(reason) if server.is_ours() => return Err(format!("{}: {reason}", server.name)),
            Err(reason) => notes.push(format!("{} is left out: {reason}", server.title)),
        }
    }
    let mut found = load_all(settings, &places, &wanted, &running, &mut notes)?;
    leave_out_ended(&wanted, &mut running, &mut found, &mut notes)?;
    let mut tables = tables(&wanted, &found, &settings.command(), &notes);
    if places.cores().is_none() {
        // On one core with h2load, rates and percentiles describe the scheduler.
        tables.retain(|table| table.id.ends_with("-cpu"));
    }
    // The general notes appear once on the page.
    tables[0].notes.splice(0..0, general_notes(places.cores()));
    Ok(tables)
}

fn start(server: &Server, places: &Places) -> Result<Running, String> {
    install::server(server, places)?;
    let command = server.command(places).ok_or("it was built and is not there")?;
    Running::start(command)
}

fn load_all(
    settings: &Settings,
    places: &Places,
    servers: &[&Server],
    running: &[Running],
    notes: &mut Vec<String>,
) -> Result<Vec<Found>, String> {
    let mut silent = Vec::new();
    for (server, child) in servers.iter().zip(running) {
        for protocol in Protocol::ALL {
            if let Err(reason) = probe(protocol, child.port(protocol)) {
                complain(server, protocol, &reason, notes)?;
                silent.push((server.name, protocol));
            }
        }
    }
    let mut steps = plan(servers.len(), settings.rounds);
    steps.retain(|Step { cell, .. }| !silent.contains(&(servers[cell.server].name, cell.protocol)));
    announce(settings, servers.len(), &steps);
    std::fs::create_dir_all(places.scratch()).map_err(|error| error.to_string())?;
    let log = &places.scratch().join("requests.log");
    let mut found = Vec::new();
    let (mut calibrated, mut given_up, mut shown) = (HashMap::new(), HashSet::new(), None);
    for step in steps {
        let Step { round, cell } = step;
        if shown.replace(round) != Some(round) {
            eprintln!("round {} of {}", round + 1, settings.rounds);
        }
        if given_up.contains(&cell) {
            continue;
        }
        let Cell { protocol, connections, server } = cell;
        let cores = places.cores();
        let (streams, server_at) = (1, &running[server]);
        let target = H2loadTarget { protocol, server: server_at, connections, streams, log, cores };
        let requests = match calibrated.get(&cell) {
            Some(requests) => Ok(*requests),
            None => target.calibrate(settings.duration()),
        };
        match requests.and_then(|requests| target.load(requests)) {
            Ok(load) => {
                calibrated.insert(cell, target.requests(load, settings.duration()));
                found.push((step, load));
            }
            Err(reason) => {
                let reason = format!("{connections} connections, round {}: {reason}", round + 1);
                complain(servers[server], protocol, &reason, notes)?;
                given_up.insert(cell);
                // The rounds before do not stand for a server that fails.
                found.retain(|(step, _): &(Step, Load)| step.cell != cell);
            }
        }
    }
    Ok(found)
}

/// Removes the figures of each peer whose process has ended, and adds a note.
fn leave_out_ended(
    servers: &[&Server],
    running: &mut [Running],
    found: &mut Vec<Found>,
    notes: &mut Vec<String>,
) -> Result<(), String> {
    for (place, (server, child)) in servers.iter().zip(running).enumerate() {
        if child.has_ended() {
            for protocol in Protocol::ALL {
                complain(server, protocol, "its process ended during the measurement", notes)?;
            }
            found.retain(|(step, _)| step.cell.server != place);
        }
    }
    Ok(())
}

/// Returns a note about a peer, or the error if the server belongs to this program.
fn complain(
    server: &Server,
    protocol: Protocol,
    reason: &str,
    notes: &mut Vec<String>,
) -> Result<(), String> {
    let said = format!("{} over {}: {reason}", server.title, protocol.title());
    if server.is_ours() {
        return Err(said);
    }
    eprintln!("{said}");
    notes.push(format!("Given up: {said}"));
    Ok(())
}

fn announce(settings: &Settings, servers: usize, steps: &[Step]) {
    let Settings { seconds, rounds, .. } = settings;
    eprintln!(
        "{servers} servers, HTTP/1 and h2c, {CONNECTIONS:?} connections, rounds: {rounds}, of {seconds} s each; \
         {} runs, about {} s",
        steps.len(),
        time(steps, settings.duration()).as_secs()
    );
}

fn general_notes(cores: Option<cores::Cores>) -> Vec<String> {
    let where_they_run = if cores.is_some() {
        "All servers run on one core and h2load on another, kept there by `taskset`: otherwise the scheduler's choice \
         decides. They share the machine all the same, so rates and percentiles suffer from whatever else it does. \
         Processor time does less: it is of the server alone, user and system, and less is better."
    } else {
        "Rates and percentiles are left out: there is no second core or no `taskset` to keep h2load away from the \
         servers. Processor time is of the server alone, user and system, and less is better."
    };
    let mut notes: Vec<String> = [
        "Of all tables on the wire: each figure is the median over the rounds of its ratio to bare axum in the same \
         round; each round takes every server in turn, in a rotated order. The second process of bare axum shows \
         what noise looks like.",
        "`GET /x`, a handler that is pending once and answers two bytes; over h2c, too, one request is under way \
         on a connection at a time. Rate and 99th percentile are taken out of h2load's log of all requests of a run, \
         without the first tenth and the last fifth of them to end: connections are made then, and end.",
        where_they_run,
        "A server has one worker thread, Go `GOMAXPROCS=1`, and fastify is one node process: two threads on one core \
         would take turns in slices of the scheduler's, and the 99th percentile would be those.",
        "dropshot logs nowhere (`slog::Discard`) and has no deadline, Trillium neither; Go's handler has one of \
         10 s, and fastify its `handlerTimeout`, as our read + deadline.",
    ]
    .map(str::to_owned)
    .into();
    if cfg!(debug_assertions) {
        notes.push(
            "Our servers were built without `--release`: their ratios mean nothing.".to_owned(),
        );
    }
    notes
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    /// Starts a shell that prints ports, and then runs `then`.
    fn shell(then: &str) -> Running {
        let mut command = Command::new("sh");
        command.args(["-c", &format!("echo http1 1 h2c 2; {then}")]);
        Running::start(command).expect("it prints its ports")
    }

    /// Returns the places of the servers that keep their figures, and the notes, when the process
    /// of the second server has ended.
    fn after_the_end_of(second: &str) -> Result<(Vec<usize>, Vec<String>), String> {
        let of = |name| SERVERS.iter().find(|server| server.name == name).expect("it is known");
        let mut running = [shell("read line"), shell("exit 1")];
        while !running[1].has_ended() {
            std::thread::yield_now();
        }
        let load = Load { rate: 9e9, p99: 1.0, cpu: None };
        let mut found: Vec<Found> = plan(2, 1).into_iter().map(|step| (step, load)).collect();
        let mut notes = Vec::new();
        leave_out_ended(&[of("bare"), of(second)], &mut running, &mut found, &mut notes)?;
        let mut places: Vec<_> = found.iter().map(|(step, _)| step.cell.server).collect();
        places.dedup();
        Ok((places, notes))
    }

    #[test]
    fn a_peer_that_crashed_has_no_figures() {
        let (places, notes) = after_the_end_of("trillium").expect("a peer may fail");
        assert_eq!(places, [0]);
        let note = "Given up: Trillium over HTTP/1: its process ended during the measurement";
        assert_eq!(notes[0], note);
    }

    #[test]
    fn a_server_of_this_program_that_crashed_fails_the_measurement() {
        let error = after_the_end_of("read").expect_err("it is no peer");
        assert!(error.contains("read over HTTP/1: its process ended"), "{error}");
    }
}
