//! The notes below the first table.

use super::{
    figures::{Figure, Spread},
    rows::ROWS,
    sides::Side,
    tables::Measured,
};
use crate::page;

/// Returns how the tables come about.
pub(super) fn general(has_cores: bool) -> Vec<String> {
    let mut notes = vec![
        "Of all tables of workloads: each figure is the median, the least or the greatest of the \
         ratios of all rounds, each within one round. A round takes every server in turn, in a \
         rotated order, and starts a process for it. *The same, a second process* is axum with \
         TCP_NODELAY again, and shows the noise."
            .to_owned(),
        "Processor time is that of the server, user and system, for a MiB, a request, a message or \
         an event that a client has received."
            .to_owned(),
        "The size of a stripped binary is a figure of `benches/compile`.".to_owned(),
    ];
    notes.push(if has_cores {
        "A server has one worker thread and one core, the load generator another core. The load \
         generator checks status, length and content of every answer. A wrong answer fails the \
         measurement."
            .to_owned()
    } else {
        "Rates, percentiles and times are left out: there is no second core or no `taskset` to \
         keep the load generator away from the servers."
            .to_owned()
    });
    if cfg!(debug_assertions) {
        notes.push("The servers were built without `--release`: their ratios mean nothing.".into());
    }
    notes
}

/// Returns the figures that have a meaning by themselves: bytes, and the idle share of a core,
/// which has no ratio because that of axum is close to zero.
pub(super) fn absolute(measured: &Measured) -> Vec<String> {
    let shown = [
        (Figure::Bytes, "resident bytes a connection", 1.0),
        (Figure::Idle, "share of a core while idle, in percent", 100.0),
    ];
    let mut notes = Vec::new();
    for row in ROWS {
        for (figure, title, factor) in shown {
            let sides = row.sides.iter().filter(|side| **side != Side::NoDelayAgain);
            let medians = sides.filter_map(|side| {
                let Spread { median, .. } = measured.spread(row.id, figure, *side)?;
                Some(format!("{} {}", page::figure(median * factor), side.title()))
            });
            let medians: Vec<String> = medians.collect();
            if !medians.is_empty() {
                notes.push(format!("{}: {title}: {}.", row.title, medians.join("; ")));
            }
        }
    }
    notes
}

#[cfg(test)]
mod tests {
    use super::{
        super::{figures::Figures, tables::Found},
        *,
    };

    #[test]
    fn bytes_and_the_idle_share_are_shown_by_themselves() {
        let rounds = [0.001, 0.002, 0.009]
            .map(|idle| Figures::from([(Figure::Idle, idle), (Figure::Bytes, 23_169.744)]));
        let found = Found { row: "idle", side: Side::Serve, rounds: rounds.into() };
        assert_eq!(
            absolute(&Measured(vec![found])),
            [
                "idle connections, and a shutdown with them: resident bytes a connection: \
                 23170 followthrough::serve, no policy.",
                "idle connections, and a shutdown with them: share of a core while idle, in \
                 percent: 0.20 followthrough::serve, no policy.",
            ]
        );
    }
}
