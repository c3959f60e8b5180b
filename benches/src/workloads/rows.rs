//! The workloads.

use super::{figures::Figure, sides::Side};

/// A workload.
#[derive(Debug)]
pub struct Row {
    /// The name on the command line.
    pub id: &'static str,
    /// The name in the tables.
    pub title: &'static str,
    /// The servers that it loads.
    pub sides: &'static [Side],
    /// The figures, in the order of the tables.
    pub figures: &'static [Figure],
    /// The program that loads the servers.
    pub by: Generator,
    /// The work of a run: MiB, requests, messages, events or connections.
    pub amounts: Amounts,
    /// How often each server is loaded for the page. A percentile needs more rounds than a count of
    /// bytes.
    pub rounds: usize,
    /// Whether each unit of the work takes a file descriptor.
    pub takes_descriptors: bool,
    /// Whether the run ends the server.
    pub ends_server: bool,
    /// Whether the servers speak TLS.
    pub tls: bool,
}

/// The program that loads the servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Generator {
    /// A child of this program.
    Own,
    /// h2load over h2c, with that many connections and streams.
    H2load {
        /// The connections.
        connections: u32,
        /// The streams on each connection.
        streams: u32,
    },
}

/// How much a run does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Amounts {
    /// For the page.
    pub full: u64,
    /// For `--check`; `None` if the check leaves the row out.
    pub check: Option<u64>,
    /// For `--quick`.
    pub quick: u64,
}

const fn amounts(full: u64, check: Option<u64>, quick: u64) -> Amounts {
    Amounts { full, check, quick }
}

const BASES: [Side; 3] = [Side::Axum, Side::NoDelay, Side::NoDelayAgain];
const READS: &[Side] = &[BASES[0], BASES[1], BASES[2], Side::Serve, Side::Read];
const READ_ONLY: &[Side] = &[BASES[0], BASES[1], BASES[2], Side::Read];
const WRITES: &[Side] = &[BASES[0], BASES[1], BASES[2], Side::Serve, Side::Read, Side::Durable];
const BULK: &[Side] = &[BASES[0], BASES[1], BASES[2], Side::Serve, Side::Read, Side::Stream];
const STREAMS: &[Side] = &[BASES[0], BASES[1], BASES[2], Side::Serve, Side::Stream];
const CPU_RATE: &[Figure] = &[Figure::Cpu, Figure::Rate];

const fn row(id: &'static str, title: &'static str, sides: &'static [Side]) -> Row {
    Row {
        id,
        title,
        sides,
        figures: CPU_RATE,
        by: Generator::Own,
        amounts: amounts(0, None, 0),
        rounds: 11,
        takes_descriptors: false,
        ends_server: false,
        tls: false,
    }
}

const fn streams(id: &'static str, title: &'static str, streams: u32, check: Option<u64>) -> Row {
    Row {
        by: Generator::H2load { connections: 20, streams },
        amounts: amounts(40_000, check, 2_000),
        ..row(id, title, READS)
    }
}

/// The workloads, in the order of the tables.
pub const ROWS: &[Row] = &[
    Row {
        amounts: amounts(40_000, None, 320),
        ..row("small", "small requests, HTTP/1, 16 connections", WRITES)
    },
    Row { amounts: amounts(256, Some(64), 2), ..row("bulk-down", "bulk down, HTTP/1", BULK) },
    Row { amounts: amounts(256, Some(64), 2), ..row("bulk-down-h2c", "bulk down, h2c", BULK) },
    Row { amounts: amounts(256, Some(64), 2), ..row("bulk-up", "bulk up, HTTP/1", BULK) },
    Row {
        amounts: amounts(20_000, Some(5_120), 512),
        ..row("pipeline", "16 requests in a pipeline, HTTP/1", READS)
    },
    streams("streams-1", "h2c, 20 connections with 1 stream", 1, None),
    streams("streams-10", "h2c, 20 connections with 10 streams", 10, None),
    streams("streams-100", "h2c, 20 connections with 100 streams", 100, Some(8_000)),
    Row {
        amounts: amounts(40_000, Some(8_000), 320),
        ..row("echo", "WebSocket echo of 32 bytes, 16 connections", STREAMS)
    },
    Row {
        figures: &[Figure::Cpu, Figure::Rate, Figure::Bytes],
        amounts: amounts(10_000, Some(1_000), 50),
        rounds: 5,
        takes_descriptors: true,
        ..row("events", "server-sent events to many clients", STREAMS)
    },
    Row {
        amounts: amounts(40_000, Some(8_000), 320),
        tls: true,
        ..row("tls-small", "small requests over TLS, 16 connections", READS)
    },
    Row {
        amounts: amounts(256, Some(64), 2),
        tls: true,
        ..row("tls-bulk", "bulk down, HTTP/1 over TLS", BULK)
    },
    Row {
        figures: &[Figure::P99, Figure::Cpu],
        amounts: amounts(40_000, None, 500),
        rounds: 20,
        ..row("storm", "51 of 256 clients hang up all the time", READS)
    },
    Row {
        figures: &[Figure::Time, Figure::Bytes, Figure::Idle],
        amounts: amounts(20_000, Some(1_000), 50),
        rounds: 5,
        takes_descriptors: true,
        ends_server: true,
        ..row("idle", "idle connections, and a shutdown with them", READS)
    },
    Row {
        figures: &[Figure::Time],
        amounts: amounts(10_000, None, 50),
        rounds: 11,
        takes_descriptors: true,
        ends_server: true,
        ..row("stopping", "a shutdown with pending reads, until all are answered 503", READ_ONLY)
    },
    Row {
        figures: &[Figure::P99, Figure::Time],
        amounts: amounts(200, None, 5),
        ..row("notice", "from a client's close to the handler's drop", READS)
    },
];

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_row_has_a_name_of_its_own_and_both_bases() {
        let mut names = HashSet::new();
        for row in ROWS {
            assert!(names.insert(row.id) && names.insert(row.title), "{}", row.id);
            assert_eq!(row.sides[..3], BASES, "{}", row.id);
            assert!(row.amounts.quick > 0 && row.amounts.full >= row.amounts.quick, "{}", row.id);
            assert!(!row.figures.is_empty(), "{}", row.id);
        }
    }

    #[test]
    fn the_check_has_rows_of_throughput_and_of_memory() {
        let checked = |figure| {
            ROWS.iter().any(|row| row.amounts.check.is_some() && row.figures.contains(&figure))
        };
        assert!(checked(Figure::Cpu) && checked(Figure::Bytes));
    }
}
