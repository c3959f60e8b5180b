//! The report of a campaign, as a table and as JSON.

use std::{fmt, time::Duration};

use serde::Serialize;

use crate::{
    campaign::Campaign,
    handlers::{HANDLERS, KEYED, location},
    keys::KeyTotals,
    plan::{DATABASES, Fault, PROTOCOLS},
    tally::{Counts, RetryCounts, rate},
};

#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) seed: u64,
    pub(crate) runs: u64,
    seconds: f64,
    runs_per_second: f64,
    postgres: bool,
    total: Counts,
    #[serde(skip_serializing_if = "Option::is_none")]
    retries: Option<Retries>,
    passed_by: u64,
    bad: u64,
    bad_services: u64,
    places: Vec<Place>,
    handlers: Vec<Handler>,
}

/// The findings about clients that repeat their requests.
#[derive(Debug, Serialize)]
struct Retries {
    total: RetryCounts,
    keys: KeyTotals,
}

#[derive(Debug, Serialize)]
struct Place {
    protocol: &'static str,
    database: &'static str,
    runs: u64,
}

#[derive(Debug, Serialize)]
struct Handler {
    name: &'static str,
    location: String,
    stages: u32,
    stages_hit: usize,
    points: usize,
    faults: Vec<ByFault>,
}

#[derive(Debug, Serialize)]
struct ByFault {
    fault: &'static str,
    #[serde(flatten)]
    counts: Counts,
    #[serde(flatten)]
    retries: Option<RetryCounts>,
}

impl Report {
    pub(crate) fn new(seed: u64, took: Duration, campaign: &Campaign) -> Self {
        let tally = campaign.tally();
        let total = tally.total();
        let has_keys = campaign.has_keys();
        let shown = HANDLERS.iter().enumerate().filter(|(n, _)| !has_keys || KEYED.contains(n));
        let handlers = shown.map(|(n, (name, _))| Handler {
            name,
            location: location(name),
            stages: campaign.stages[n],
            stages_hit: tally.stages_hit(n),
            points: tally.points[n].len(),
            faults: Fault::ALL
                .iter()
                .enumerate()
                .map(|(fault, named)| ByFault {
                    fault: named.name(),
                    counts: tally.counts[n][fault],
                    retries: has_keys.then_some(tally.retries[n][fault]),
                })
                .collect(),
        });
        let places = (0..2).flat_map(|p| (0..2).map(move |d| (p, d))).map(|(p, d)| Place {
            protocol: PROTOCOLS[p],
            database: DATABASES[d],
            runs: tally.places[p][d],
        });
        Self {
            seed,
            runs: total.sum(),
            seconds: took.as_secs_f64(),
            runs_per_second: rate(total.sum(), took),
            postgres: campaign.has_postgres,
            total,
            retries: has_keys.then(|| {
                let mut total = RetryCounts::default();
                tally.retries.iter().flatten().for_each(|counts| total.add(counts));
                Retries { total, keys: tally.keys }
            }),
            passed_by: tally.passed_by,
            bad: tally.bad,
            bad_services: tally.bad_services,
            places: places.collect(),
            handlers: handlers.collect(),
        }
    }
}

impl Report {
    /// Returns the sums of all cells in words.
    fn sums(&self) -> String {
        let Counts { begun_and_whole, begun_and_lost, unbegun_and_absent, half_done, without_end } =
            self.total;
        let Some(Retries { total, keys }) = &self.retries else {
            return format!(
                "{begun_and_whole} begun and whole, {begun_and_lost} begun and lost, {unbegun_and_absent} unbegun \
                 and absent, {half_done} half done, {without_end} without an end"
            );
        };
        let RetryCounts { written_once, written_twice, answers_lost, answers_unequal } = total;
        let KeyTotals { claimed, joined, replayed, refused, unknown } = keys;
        format!(
            "{written_once} written once, {written_twice} written twice, {answers_lost} answers lost, \
             {answers_unequal} answers unequal, {without_end} without an end. Requests with a key: {claimed} claimed \
             it, {joined} joined the write, {replayed} had its answer replayed, {refused} were refused, {unknown} \
             unknown"
        )
    }
}

/// Writes Markdown, which also reads well on a terminal.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cells = match &self.retries {
            None => "begun and whole / begun and lost / unbegun and absent / half done",
            Some(_) => "written once / written twice / answer lost / answers unequal",
        };
        writeln!(f, "Each cell: {cells}.\n")?;
        write!(f, "| {:<16} |", "handler")?;
        Fault::ALL.iter().try_for_each(|fault| write!(f, " {:>15} |", fault.name()))?;
        write!(f, " {:>7} | {:>6} |\n|{:-<18}|", "stages", "points", "")?;
        Fault::ALL.iter().try_for_each(|_| write!(f, "{:->16}:|", ""))?;
        writeln!(f, "{:->8}:|{:->7}:|", "", "")?;
        for handler in &self.handlers {
            write!(f, "| {:<16} |", handler.name)?;
            for ByFault { counts, retries, .. } in &handler.faults {
                write!(f, " {:>15} |", cell(counts, retries.as_ref()))?;
            }
            let stages = format!("{}/{}", handler.stages_hit, handler.stages);
            writeln!(f, " {stages:>7} | {:>6} |", handler.points)?;
        }
        write!(f, "| {:<16} |", "all")?;
        for n in 0..Fault::ALL.len() {
            let (mut all, mut retries) = (Counts::default(), None);
            for ByFault { counts, retries: of_handler, .. } in
                self.handlers.iter().map(|handler| &handler.faults[n])
            {
                all.add(counts);
                if let Some(of_handler) = of_handler {
                    retries.get_or_insert_with(RetryCounts::default).add(of_handler);
                }
            }
            write!(f, " {:>15} |", cell(&all, retries.as_ref()))?;
        }
        let points: usize = self.handlers.iter().map(|handler| handler.points).sum();
        writeln!(f, " {:>7} | {points:>6} |\n", "")?;
        writeln!(
            f,
            "{} runs with seed {} in {:.1} s, {:.0}/s: {}.",
            self.runs,
            self.seed,
            self.seconds,
            self.runs_per_second,
            self.sums(),
        )?;
        let places = self
            .places
            .iter()
            .map(|Place { protocol, database, runs }| format!("{protocol} with {database} {runs}"));
        writeln!(
            f,
            "{}; {} more runs passed their point by; {} bad runs, {} bad reports of services.",
            places.collect::<Vec<_>>().join(", "),
            self.passed_by,
            self.bad,
            self.bad_services,
        )?;
        if !self.postgres {
            writeln!(f, "PostgreSQL was not there: every run is on SQLite.")?;
        }
        Ok(())
    }
}

fn cell(counts: &Counts, retries: Option<&RetryCounts>) -> String {
    if let Some(retries) = retries {
        let RetryCounts { written_once, written_twice, answers_lost, answers_unequal } = retries;
        return format!("{written_once}/{written_twice}/{answers_lost}/{answers_unequal}");
    }
    let Counts { begun_and_whole, begun_and_lost, unbegun_and_absent, half_done, .. } = counts;
    format!("{begun_and_whole}/{begun_and_lost}/{unbegun_and_absent}/{half_done}")
}
